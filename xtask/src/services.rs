//! `cargo xtask services up kafka | kinesis`: a real server to work against, until ctrl-c.

use std::time::Duration;

use logpipe_servers::kafka::{self, Broker};
use logpipe_servers::{Process, kinesis_local};

use crate::run::Result;
use crate::tools;

/// Which server.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Starts a server on free ports of 127.0.0.1, says how to reach it, and ends it at ctrl-c.
    ///
    /// What it runs is fetched once, with mvn or npm, into target/services. Data is kept until it ends.
    Up {
        #[command(subcommand)]
        server: Server,
    },
}

#[derive(clap::Subcommand)]
enum Server {
    /// Apache Kafka, one node.
    Kafka {
        /// Also listen with SASL and TLS, with a user that may do everything and one that may do nothing.
        #[arg(long)]
        secure: bool,
        /// Make no topic just because a client names it; otherwise such topics get four partitions.
        #[arg(long)]
        no_auto_create: bool,
        /// A line of server.properties; may be given several times.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = property)]
        properties: Vec<(String, String)>,
    },
    /// A Kinesis server (npm's kinesis-local).
    Kinesis {
        /// A stream to make, with its number of shards; may be given several times.
        #[arg(long = "stream", value_name = "NAME:SHARDS", value_parser = stream, default_values = ["nouns:4", "orders:4"])]
        streams: Vec<(String, u32)>,
    },
}

fn property(text: &str) -> std::result::Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as KEY=VALUE".into())
}

fn stream(text: &str) -> std::result::Result<(String, u32), String> {
    text.split_once(':')
        .and_then(|(name, shards)| Some((name.to_owned(), shards.parse().ok()?)))
        .filter(|(name, shards)| !name.is_empty() && *shards > 0)
        .ok_or_else(|| "write it as NAME:SHARDS, such as nouns:4".into())
}

/// Starts the server and stays until it ends, or we are told to.
pub fn services(arguments: &Arguments) -> Result {
    tools::check()?;
    let Command::Up { server } = &arguments.command;
    match server {
        Server::Kafka {
            secure,
            no_auto_create,
            properties,
        } => {
            let mut broker = Broker::start_with(&kafka::Settings {
                secure: *secure,
                auto_create: !no_auto_create,
                properties: properties.clone(),
            })
            .map_err(|error| error.to_string())?;
            tell_kafka(&broker, *secure);
            stay(broker.process())
        }
        Server::Kinesis { streams } => {
            let streams: Vec<(&str, u32)> = streams
                .iter()
                .map(|(name, shards)| (name.as_str(), *shards))
                .collect();
            let mut server =
                kinesis_local::Server::start(&streams).map_err(|error| error.to_string())?;
            println!("Kinesis is up; ctrl-c ends it.\n");
            for (name, shards) in streams {
                println!("stream {name} with {shards} shards");
            }
            println!();
            for (name, value) in server.environment() {
                println!("export {name}={value}");
            }
            println!("export LOGPIPE_LOG_BACKEND=kinesis LOGPIPE_STORE_PATH=./data/kinesis.db");
            stay(server.process())
        }
    }
}

fn tell_kafka(broker: &Broker, secure: bool) {
    let bootstrap = broker.bootstrap();
    println!("Apache Kafka {} is up; ctrl-c ends it.\n", kafka::VERSION);
    println!("bootstrap.servers  {bootstrap}");
    if secure {
        println!("SASL_PLAINTEXT     {}", broker.sasl());
        println!("SASL_SSL           {}", broker.tls());
        println!("certificate        {}", broker.certificate().display());
        println!(
            "users              {} / {} may do everything, {} / {} nothing (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)",
            kafka::ALICE.0,
            kafka::ALICE.1,
            kafka::STRANGER.0,
            kafka::STRANGER.1
        );
    }
    println!("its log            {}\n", broker.output().display());
    println!("export LOGPIPE_KAFKA_BOOTSTRAP_SERVERS={bootstrap}");
    println!("export LOGPIPE_LOG_BACKEND=kafka LOGPIPE_STORE_PATH=./data/kafka.db\n");
    println!("for the tests:     export {}={bootstrap}", kafka::SHARED);
}

/// The server ends with us: ctrl-c ends us, and its guard sees that we are gone.
fn stay(server: &mut Process) -> Result {
    loop {
        std::thread::sleep(Duration::from_millis(500));
        if let Some(status) = server.ended().map_err(|error| error.to_string())? {
            return Err(format!("the server ended by itself: {status}"));
        }
    }
}
