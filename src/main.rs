//! The command line of the service: `cargo run -- produce | consume | inspect`, or all of it in one go.

use std::fmt::Display;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use logpipe::config::{Backend, Config};
use logpipe::store::Sqlite;
use logpipe::{Error, Log, Outcome, Result, Service, shutdown_signal};

use nouns::journal::{self, Counts};
use nouns::samples::Samples;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// An example service: people, places, things and orders, from schema files to SQLite.
///
/// Without a command it sends some messages to the log, consumes them, and reports.
/// Settings: logpipe.toml, or LOGPIPE_LOG_DIR, LOGPIPE_STORE_PATH and so on in the environment.
/// It ends with 0 when it is done, 1 when a lane is held or something is wrong, 2 when it was called wrongly, and 3 when the
/// log or the database can't be reached.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The log: `local`, `memory`, or with the Cargo feature of that name `kafka` or `kinesis`.
    #[arg(long, global = true)]
    backend: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Send new messages: people v1 and v2, places, things and orders.
    Produce {
        /// How many of each.
        #[arg(long, default_value_t = PER_KIND)]
        count: usize,
    },
    /// Handle what is in the log.
    Consume {
        /// Stay and handle what comes, until SIGINT or SIGTERM.
        #[arg(long)]
        follow: bool,
        /// Run this consumer alone.
        #[arg(long, value_name = "NAME", value_parser = nouns::GROUPS)]
        only: Option<String>,
    },
    /// Print one line of JSON about a record's value; status 1 where it can't be handled.
    Inspect {
        /// A file that holds the value, or `-` for standard input.
        file: PathBuf,
    },
}

/// Messages of each kind that a run sends.
const PER_KIND: usize = 20;
/// Held lanes that a report names one by one.
const HELD_SHOWN: usize = 3;
/// Without anything to do for so long, a run is done.
const IDLE: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match log_to_stderr() {
        Ok(()) => run(Arguments::parse()).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            say(&failure.why);
            ExitCode::from(failure.code)
        }
    }
}

/// The service's own log goes to stderr: warnings, and what logpipe says, unless RUST_LOG asks for something else.
fn log_to_stderr() -> Result<(), Failure> {
    // Each consumer says at its start what it promises, and whoever waits says for what.
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,logpipe=info".into());
    let filter = asked.parse::<Targets>().map_err(|error| {
        Failure::usage(format_args!(
            "RUST_LOG: {error}; write levels and targets, such as `warn,logpipe=debug`"
        ))
    })?;
    let says = |name| std::env::var_os(name).unwrap_or_default();
    let coloured =
        io::stderr().is_terminal() && says("NO_COLOR").is_empty() && says("TERM") != "dumb";
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(io::stderr)
        // Where nobody reads, it would complain to nobody, and panic.
        .log_internal_errors(false)
        .with_ansi(coloured)
        .finish()
        .with(filter)
        .init();
    Ok(())
}

/// Why the service ended early, and with which status.
struct Failure {
    code: u8,
    why: String,
}

impl Failure {
    fn usage(why: impl Display) -> Self {
        let why = why.to_string();
        Self { code: 2, why }
    }

    fn unreachable(why: impl Display) -> Self {
        let why = why.to_string();
        Self { code: 3, why }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let why = error.to_string();
        match error.is_unavailable() {
            true => Self::unreachable(why),
            false => Self { code: 1, why },
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let loader = match arguments.backend {
        Some(backend) => Config::loader().flag("log.backend", backend),
        None => Config::loader(),
    };
    let config = match loader.load() {
        Ok(loaded) => loaded.config,
        Err(faults) => return Err(Failure::usage(faults)),
    };
    match arguments.command {
        None => {
            let app = App::open(config).await?;
            let before = app.counts()?;
            let sent = app.produce(PER_KIND).await?;
            let outcome = app.consume(None, false).await?;
            Ok(app.report(Some(sent), before, &outcome).await?)
        }
        Some(Command::Produce { count }) => {
            let app = App::open(config).await?;
            let sent = app.produce(count).await?;
            print(&[("sent", sent)])?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Consume { follow, only }) => {
            let app = App::open(config).await?;
            let before = app.counts()?;
            let outcome = app.consume(only.as_deref(), follow).await?;
            Ok(app.report(None, before, &outcome).await?)
        }
        Some(Command::Inspect { file }) => Ok(inspect(&file)?),
    }
}

/// The log and the database of this process.
struct App {
    config: Config,
    log: Log,
    store: Sqlite,
}

impl App {
    async fn open(config: Config) -> Result<Self, Failure> {
        let log = Log::open(&config).await.map_err(|error| {
            // What can't be reached may be tomorrow; else the settings are wrong, or this build for them.
            match error.is_unavailable() || config.log.backend == Backend::Local {
                true => Failure::unreachable(error),
                false => Failure::usage(error),
            }
        })?;
        let path = &config.store.path;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                let (folder, path) = (folder.display(), path.display());
                Failure::unreachable(format!(
                    "can't make the folder {folder} for the database {path}: {error}; set store.path to where it may be"
                ))
            })?;
        }
        let store = Sqlite::open(path).await.map_err(Failure::unreachable)?;
        journal::prepare(path).map_err(|error| {
            let doing = format!("making the service's tables in {}", path.display());
            Failure::unreachable(error.context(doing))
        })?;
        Ok(Self { config, log, store })
    }

    fn counts(&self) -> Result<Counts> {
        journal::counts(&self.config.store.path)
    }

    /// Sends some of each; returns what to say of it.
    async fn produce(&self, count: usize) -> Result<String> {
        let format = self.config.producer.format.codec()?;
        let id = &self.config.producer.id;
        let nouns = self.log.producer("nouns").await?.format(format).id(id);
        let orders = self.log.producer("orders").await?.format(format).id(id);
        let samples = Samples::new(count);
        let sent = nouns.send_all(&samples.old_people).await?.len()
            + nouns.send_all(&samples.people).await?.len()
            + nouns.send_all(&samples.places).await?.len()
            + nouns.send_all(&samples.things).await?.len();
        let ordered = orders.send_all(&samples.orders).await?.len();
        nouns.close().await?;
        orders.close().await?;
        Ok(format!(
            "{} messages: {sent} to nouns, {ordered} to orders",
            sent + ordered
        ))
    }

    /// Handles what there is, or all that comes.
    async fn consume(&self, only: Option<&str>, follow: bool) -> Result<Outcome> {
        let mut service = Service::new();
        for (name, consumer) in nouns::consumers(&self.log, &self.store) {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            let consumer = if follow {
                consumer
            } else {
                consumer.idle_timeout(IDLE)
            };
            service = service.with(consumer.configure(&self.config.consumer));
        }
        service.run_until(shutdown_signal()).await
    }

    async fn report(
        &self,
        sent: Option<String>,
        before: Counts,
        outcome: &Outcome,
    ) -> Result<ExitCode> {
        let now = self.counts()?;
        let [people, places, things, orders] = now.rows;
        let mut lines = vec![("schemas", schemas())];
        lines.extend(sent.map(|sent| ("sent", sent)));
        lines.push((
            "handled",
            format!(
                "{} new, {} handled again",
                now.handled - before.handled,
                now.again
            ),
        ));
        lines.push(("parked", format!("{}", now.parked)));
        lines.push((
            "rows",
            format!("{people} people, {places} places, {things} things, {orders} orders"),
        ));
        lines.push(("log", self.log.backend().describe()));
        lines.push(("database", self.config.store.path.display().to_string()));
        // Many lanes may be held for one cause: the first ones say it.
        for lane in outcome.held.iter().take(HELD_SHOWN) {
            lines.push(("held", lane.to_string()));
        }
        if let Some(more @ 1..) = outcome.held.len().checked_sub(HELD_SHOWN) {
            lines.push(("held", format!("and {more} more")));
        }
        let (service, command) = again(self.config.log.backend);
        let follow = format!("{service} consume --follow, and {service} produce beside it");
        lines.push(("next", follow));
        lines.push(("", format!("{command} versions nouns")));
        print(&lines)?;
        Ok(outcome.exit_code())
    }
}

/// How the service and the command `logpipe` are run on the same log.
fn again(backend: Backend) -> (String, String) {
    let (service, command) = ("cargo run", "cargo run -p logpipe-cli");
    match backend {
        Backend::Local | Backend::Memory => (format!("{service} --"), format!("{command} --")),
        other => {
            let name = other.name();
            (
                format!("{service} --features {name} -- --backend {name}"),
                format!("{command} --features {name} -- --set log.backend={name}"),
            )
        }
    }
}

/// `person v1 v2, place v1`, from the table that dispatch uses.
fn schemas() -> String {
    let mut text = String::new();
    let mut last = "";
    for schema in nouns::dispatch::SCHEMAS {
        if schema.message_type != last {
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(schema.message_type);
            last = schema.message_type;
        }
        text.push_str(&format!(" v{}", schema.version));
    }
    text
}

fn inspect(file: &Path) -> Result<ExitCode> {
    let mut value = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().read_to_end(&mut value)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut value))
    };
    read.map_err(|error| Error::from(error).context(format!("reading {}", file.display())))?;
    let inspected = nouns::inspect::inspect(Some(&value));
    write(&serde_json::to_string(&inspected)?)?;
    Ok(if inspected.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Aligned lines of a label and a text.
fn print(lines: &[(&str, String)]) -> Result {
    let text: Vec<String> = lines
        .iter()
        .map(|(label, text)| format!("{label:<10}{text}"))
        .collect();
    write(&text.join("\n"))
}

/// What is no data goes to standard error. Nobody may be there to read it.
fn say(text: impl Display) {
    let _ = writeln!(io::stderr(), "nouns: {text}");
}

/// Data goes to standard output; a reader that has seen enough is no error.
fn write(text: &str) -> Result {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
