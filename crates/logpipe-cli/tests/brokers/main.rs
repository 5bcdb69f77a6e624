//! Do the commands work on a real Kafka and on Kinesis? `cargo xtask test` starts the servers.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use logpipe::config::Config;
use logpipe::kinesis::{self, Kinesis};
use logpipe::source::{Event, Join};
use logpipe::store::Sqlite;
use logpipe::{Consumer, Cx, Error, Log, Service};
use logpipe_servers::kafka::{self, Broker};
use logpipe_servers::kinesis_local;
use serde_json::Value;
use tempfile::TempDir;

/// The message; one below zero is parked.
struct Note {
    id: String,
    number: i64,
}

logpipe::wire! {
    struct Note open {
        id: "id";
        number: "number";
    }
}
logpipe::message! { Note = "note" version 1, key id; }

/// The same as a schema, for `logpipe send`.
const SCHEMA: &str = r#"{ "type": "object", "required": ["id", "number"], "x-logpipe": { "key": "id" },
    "properties": { "id": { "type": "string" }, "number": { "type": "integer" } } }"#;

/// A folder with a schema and a database, and a log behind it.
struct Place {
    folder: TempDir,
    log: Log,
    environment: Vec<(&'static str, String)>,
}

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new(folder: TempDir, log: Log, environment: Vec<(&'static str, String)>) -> Self {
        std::fs::create_dir_all(folder.path().join("schemas")).unwrap();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("schemas/note.v1.json"), SCHEMA).unwrap();
        Self {
            folder,
            log,
            environment,
        }
    }

    async fn kafka(bootstrap: &str) -> Self {
        let environment = vec![
            ("LOGPIPE_LOG_BACKEND", "kafka".to_owned()),
            ("LOGPIPE_KAFKA_BOOTSTRAP_SERVERS", bootstrap.to_owned()),
        ];
        let config = Config::loader().environment(environment.clone()).load();
        let log = Log::open(&config.unwrap().config).await.unwrap();
        Self::new(tempfile::tempdir().unwrap(), log, environment)
    }

    async fn kinesis(server: &kinesis_local::Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = vec![("LOGPIPE_LOG_BACKEND", "kinesis".to_owned())];
        environment.extend(server.environment());
        let value = |name: &str| {
            let mut found = environment.iter().filter(|(one, _)| *one == name);
            found.next().unwrap().1.clone()
        };
        let settings = kinesis::Settings::new()
            .region(value("AWS_REGION"))
            .endpoint_url(server.endpoint())
            .credentials(value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"))
            .leases(folder.path().join("data/leases.db"));
        let log = Log::new(Kinesis::open(settings).await.unwrap());
        Self::new(folder, log, environment)
    }

    /// Calls the command with lines on standard input, off the runtime: what we hold goes on meanwhile.
    async fn run_with(&self, words: &str, lines: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logpipe"));
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .current_dir(self.folder.path())
            .args(words.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let lines = lines.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            // A command that takes no lines closes its end.
            let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        Ended {
            code: output.status.code().expect("ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn run(&self, words: &str) -> Ended {
        self.run_with(words, "").await
    }

    /// Rows of a command that succeeds.
    async fn rows(&self, words: &str) -> Vec<Value> {
        let ended = self.run(&format!("{words} --format json")).await;
        assert_eq!(ended.code, 0, "logpipe {words}\n{}", ended.stderr);
        let rows = ended.stdout.lines();
        rows.map(|row| serde_json::from_str(row).unwrap()).collect()
    }

    /// Handles all there is in the topic, as a group of the topic's name.
    async fn consume(&self, topic: &str) -> logpipe::Outcome {
        let store = Sqlite::open(self.folder.path().join("data/app.db")).await;
        let consumer = Consumer::with_store(self.log.source(topic), store.unwrap())
            .group(topic)
            .idle_timeout(Duration::from_millis(500))
            .on(async |note: Note, _: &mut Cx<Sqlite>| match note.number {
                0.. => Ok(()),
                _ => Err(Error::park("below zero")),
            });
        Service::new().with(consumer).run().await.unwrap()
    }
}

/// Sends, looks, consumes, looks again, and moves the group: by commands, but for the consumer itself.
async fn commands_work(place: &Place, topic: &str) {
    let lines: String = (-1..20)
        .map(|number| format!("{{\"id\": \"{}\", \"number\": {number}}}\n", number % 5))
        .collect();
    let send = format!("send {topic} --type note --create");
    let sent = place.run_with(&send, &lines).await;
    assert_eq!(
        (sent.code, sent.stdout),
        (0, format!("21 messages sent to {topic}\n")),
        "{}",
        sent.stderr
    );
    let wrong = place.run_with(&send, "{\"id\": 5, \"number\": 1}\n").await;
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("line 1: /id: "), "{}", wrong.stderr);

    let topics = place.rows("topics").await;
    let found = topics.iter().find(|one| one["topic"] == topic).unwrap();
    assert!(
        found["records"] == 21 || found["records"].is_null(),
        "{found}"
    );
    let versions = place.rows(&format!("versions {topic}")).await;
    assert_eq!(versions.len(), 1, "{versions:?}");
    assert_eq!(
        (
            &versions[0]["type"],
            &versions[0]["version"],
            &versions[0]["records"]
        ),
        (&"note".into(), &1.into(), &21.into())
    );
    let tail = place.rows(&format!("tail {topic} -n 100")).await;
    let mut numbers: Vec<i64> = tail
        .iter()
        .map(|one| one["message"]["number"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (-1..20).collect::<Vec<_>>());
    assert_eq!(place.rows(&format!("tail {topic} -n 3")).await.len(), 3);

    let outcome = place.consume(topic).await;
    assert_eq!((outcome.handled, outcome.parked), (20, 1));
    let parked = place.rows("parked list").await;
    assert_eq!(
        (parked.len(), &parked[0]["topic"], &parked[0]["reason"]),
        (1, &topic.into(), &"below zero".into())
    );
    let id = &parked[0]["id"];
    let shown = place.rows(&format!("parked show {id}")).await;
    assert_eq!(shown[0]["record"]["message"]["number"], -1);
    let lag = place.rows(&format!("lag {topic}")).await;
    let behind = lag.iter().filter_map(|lane| lane["behind"].as_u64());
    assert_eq!(behind.sum::<u64>(), 0, "{lag:?}");
    let shown = place.rows(&format!("offsets show {topic}")).await;
    assert_eq!(shown.len(), found["lanes"].as_u64().unwrap() as usize);
    assert!(
        shown.iter().all(|lane| lane["kept_by"] == "store"),
        "{shown:?}"
    );

    // While the group has a member nothing is moved.
    let set = format!("offsets set {topic} {topic} --to earliest --execute");
    let join = Join {
        group: topic.into(),
        topics: vec![topic.into()],
        instance_id: None,
    };
    let member = place.log.backend().join(join).await.unwrap();
    let assigned = loop {
        match member.event().await.unwrap() {
            Event::Assigned(lanes) => break lanes,
            Event::Joined => continue,
            other => panic!("{other:?}"),
        }
    };
    let refused = place.run(&set).await;
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("members"), "{}", refused.stderr);
    for lane in assigned {
        member.release(&lane.lane).await.unwrap();
    }
    member.leave().await.unwrap();
    let moved = place.run(&set).await;
    assert_eq!(moved.code, 0, "{}", moved.stderr);
    // What is settled is handled again, because somebody asked for it; what is parked stays and is not doubled.
    let again = place.consume(topic).await;
    assert_eq!(again.handled + again.parked, 21);

    let absent = place.run("tail nowhere").await;
    assert_eq!(absent.code, 1);
    assert!(
        absent
            .stderr
            .contains("there is no topic `nowhere`; there are "),
        "{}",
        absent.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_on_kafka() {
    let (bootstrap, topic) = (kafka::shared(), format!("notes-{}", std::process::id()));
    // The shared broker makes no topic that is merely named.
    kafka::create_topic(&bootstrap, &topic, 4).await.unwrap();
    commands_work(&Place::kafka(&bootstrap).await, &topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_on_kinesis() {
    let server = kinesis_local::Server::start(&[("notes", 2)]).unwrap();
    let place = Place::kinesis(&server).await;
    commands_work(&place, "notes").await;
}

/// Each within seconds, in words that say what to do, and with the status that says who is at fault.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_reached_is_said_within_seconds() {
    let broker = Broker::start_with(&kafka::Settings {
        secure: true,
        auto_create: false,
        ..kafka::Settings::default()
    });
    let broker = broker.unwrap();
    let login = "--set kafka.client.security.protocol=sasl_plaintext --set kafka.client.sasl.mechanism=PLAIN \
                 --set kafka.client.sasl.username=alice";
    let place = Place::kafka(&broker.bootstrap()).await;
    let sasl = format!("--set kafka.bootstrap_servers={} {login}", broker.sasl());
    let send = "send absent --type note --create";
    let kinesis = "topics --set log.backend=kinesis --set kinesis.endpoint_url=http://127.0.0.1:1 --set kinesis.region=us-east-1";
    let table = [
        (
            "topics --set kafka.bootstrap_servers=127.0.0.1:1".to_owned(),
            3,
            "check the address of the bootstrap servers",
        ),
        (
            format!("topics {sasl} --set kafka.client.sasl.password=hunter2"),
            1,
            "check `sasl.mechanisms`, `sasl.username` and `sasl.password`",
        ),
        // It may come, so it counts as what is not there yet.
        (send.into(), 3, "make the topic first"),
        (
            "topics --set kafka.client.no.such.key=hunter2".into(),
            2,
            "no.such.key",
        ),
        (kinesis.into(), 3, "no AWS credentials"),
    ];
    for (words, code, told) in table {
        let began = Instant::now();
        let ended = place
            .run_with(&words, "{\"id\": \"a\", \"number\": 1}\n")
            .await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (code, ""),
            "{words}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(told), "{words}: {}", ended.stderr);
        assert!(
            !ended.stderr.contains("hunter2"),
            "{words}: {}",
            ended.stderr
        );
        assert!(began.elapsed() < Duration::from_secs(30), "{words}");
    }
    let right = format!("topics {sasl} --set kafka.client.sasl.password=alice-secret");
    assert_eq!(place.run(&right).await.code, 0);
}
