//! A real Apache Kafka of one node: broker and controller in one process, with its data in a scratch folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, output};
use crate::stage::{self, Scratch};
use crate::{Error, Result, ports};

/// The version that tests run against.
pub const VERSION: &str = "4.1.1";
/// Names the broker that tests share, as `127.0.0.1:port`.
pub const SHARED: &str = "LOGPIPE_TEST_KAFKA";

/// Who may log in where a broker asks: may do everything.
pub const ALICE: (&str, &str) = ("alice", "alice-secret");
/// May log in and do nothing.
pub const STRANGER: (&str, &str) = ("stranger", "stranger-secret");

/// Ready takes 4 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// A clean stop writes a snapshot and closes logs.
const STOP: Duration = Duration::from_secs(30);
/// The password of a key that is made for one run.
const KEY_PASSWORD: &str = "logpipe-tests";

/// What a broker is started with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Also listen with SASL, plain and over TLS, and let nobody but [`ALICE`] and the plain listener do anything.
    pub secure: bool,
    /// Make topics that a client names, with four partitions.
    pub auto_create: bool,
    /// Lines of server.properties; they win.
    pub properties: Vec<(String, String)>,
}

/// A broker; dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Broker {
    process: Option<Process>,
    libs: PathBuf,
    settings: Settings,
    ports: Ports,
    scratch: Scratch,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    sasl: u16,
    tls: u16,
    controller: u16,
}

/// The shared broker's bootstrap servers, for a test that does not stop or break it.
///
/// # Panics
/// When there is none: with the sentence that says how to get one.
pub fn shared() -> String {
    std::env::var(SHARED).unwrap_or_else(|_| {
        panic!(
            "no broker to test against: run `cargo xtask test`, or `cargo xtask services up kafka` and set {SHARED} \
             as it says"
        )
    })
}

impl Broker {
    /// Starts a broker with plain access only.
    ///
    /// # Errors
    /// When it can't be fetched, or is not ready in time.
    pub fn start() -> Result<Self> {
        Self::start_with(&Settings::default())
    }

    /// Starts a broker.
    ///
    /// # Errors
    /// When it can't be fetched, or is not ready in time.
    pub fn start_with(settings: &Settings) -> Result<Self> {
        let libs = prepare()?;
        let scratch = Scratch::new("kafka")?;
        let [plain, sasl, tls, controller] = ports::free()?;
        let mut broker = Self {
            process: None,
            libs,
            settings: settings.clone(),
            ports: Ports {
                plain,
                sasl,
                tls,
                controller,
            },
            scratch,
        };
        broker.write("server.properties", &broker.properties(settings))?;
        broker.write("log4j2.properties", LOG)?;
        if settings.secure {
            broker.make_certificate()?;
        }
        broker.format(settings)?;
        broker.up()?;
        Ok(broker)
    }

    /// `127.0.0.1:port`, without a login.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// `127.0.0.1:port` of SASL_PLAINTEXT: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    pub fn sasl(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl)
    }

    /// `127.0.0.1:port` of SASL_SSL; its certificate is [`Self::certificate`].
    pub fn tls(&self) -> String {
        format!("127.0.0.1:{}", self.ports.tls)
    }

    /// The certificate that clients have to trust, in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.scratch.path().join("certificate.pem")
    }

    /// What the broker logs.
    pub fn output(&self) -> PathBuf {
        self.scratch.path().join("server.log")
    }

    /// The broker's process.
    ///
    /// # Panics
    /// When the broker is stopped.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the broker is up")
    }

    /// Starts it again, on the same ports and data.
    ///
    /// # Errors
    /// When it is not ready in time.
    ///
    /// # Panics
    /// When it is up.
    pub fn up(&mut self) -> Result {
        assert!(self.process.is_none(), "the broker is up already");
        let mut command = self.java("-Xmx1g");
        command
            .arg("-XX:+UseSerialGC")
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.path("log4j2.properties")
            ))
            .arg("kafka.Kafka")
            .arg(self.scratch.path().join("server.properties"));
        let mut process = Process::start("Apache Kafka", &command, &self.output())?;
        process.wait_for("Kafka Server started", PATIENCE)?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it cleanly; [`Self::up`] starts it again.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn stop(&mut self) -> Result {
        match self.process.take() {
            Some(process) => process.stop(STOP),
            None => Ok(()),
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// From its next start on it listens at another port for access without a login, where clients that know the one
    /// before do not find it. Returns that one, for [`Self::listen_at`].
    ///
    /// # Errors
    /// When there is no port, or its properties can't be written.
    ///
    /// # Panics
    /// When the broker is up.
    pub fn hide(&mut self) -> Result<u16> {
        let [port] = ports::free()?;
        let before = self.ports.plain;
        self.listen_at(port)?;
        Ok(before)
    }

    /// From its next start on it listens at this port for access without a login.
    ///
    /// # Errors
    /// When its properties can't be written.
    ///
    /// # Panics
    /// When the broker is up.
    pub fn listen_at(&mut self, port: u16) -> Result {
        assert!(self.process.is_none(), "stop the broker first");
        self.ports.plain = port;
        self.write("server.properties", &self.properties(&self.settings))
    }

    /// Puts a copy of the data aside, under this name.
    ///
    /// # Errors
    /// When it can't be written.
    ///
    /// # Panics
    /// When the broker is up.
    pub fn save(&self, name: &str) -> Result {
        assert!(self.process.is_none(), "stop the broker first");
        let copy = self.scratch.path().join(name);
        stage::remove(&copy)?;
        stage::copy(&self.data(), &copy)
    }

    /// Puts a copy back, in the place of what was written since.
    ///
    /// # Errors
    /// When it can't be written.
    ///
    /// # Panics
    /// When the broker is up.
    pub fn restore(&self, name: &str) -> Result {
        assert!(self.process.is_none(), "stop the broker first");
        stage::remove(&self.data())?;
        stage::copy(&self.scratch.path().join(name), &self.data())
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result {
        let path = self.scratch.path().join(name);
        fs::write(&path, text).map_err(Error::io(format_args!("writing {}", path.display())))
    }

    fn java(&self, heap: &str) -> Command {
        let mut command = Command::new("java");
        command
            .arg(heap)
            .arg("-cp")
            .arg(format!("{}/*", self.libs.display()));
        command
    }

    /// Gives the node its identity and the users that log in with SCRAM.
    fn format(&self, settings: &Settings) -> Result {
        // 16 bytes in base64: the data of one run is never seen by another.
        let mut command = self.java("-Xmx256m");
        command
            .args(["kafka.tools.StorageTool", "format"])
            .args(["-t", "bG9ncGlwZS10ZXN0cy0wMQ", "-c"])
            .arg(self.scratch.path().join("server.properties"));
        if settings.secure {
            for (name, password) in [ALICE, STRANGER] {
                for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                    command.arg("--add-scram");
                    command.arg(format!("{mechanism}=[name={name},password={password}]"));
                }
            }
        }
        output("formatting Kafka's storage", &mut command)
    }

    /// One self-signed certificate for 127.0.0.1, which clients trust by name.
    fn make_certificate(&self) -> Result {
        let store = self.path("key.p12");
        let common = ["-alias", "broker", "-storepass", KEY_PASSWORD, "-keystore"];
        output(
            "making a key",
            Command::new("keytool")
                .arg("-genkeypair")
                .args(common)
                .arg(&store)
                .args(["-storetype", "PKCS12", "-keyalg", "EC", "-validity", "30"])
                .args([
                    "-dname",
                    "CN=127.0.0.1",
                    "-ext",
                    "san=ip:127.0.0.1,dns:localhost",
                ])
                .args(["-ext", "bc:critical=ca:true"]),
        )?;
        output(
            "writing the key's certificate",
            Command::new("keytool")
                .args(["-exportcert", "-rfc"])
                .args(common)
                .arg(&store)
                .arg("-file")
                .arg(self.certificate()),
        )
    }

    fn properties(&self, settings: &Settings) -> String {
        let Ports {
            plain,
            sasl,
            tls,
            controller,
        } = self.ports;
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{plain}");
        if settings.secure {
            listeners += &format!(",SASL_PLAINTEXT://127.0.0.1:{sasl},SASL_SSL://127.0.0.1:{tls}");
        }
        let mut lines = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={listeners}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
             log.dirs={data}\n\
             num.partitions=4\n\
             auto.create.topics.enable={auto_create}\n{ONE_NODE}",
            data = self.data().display(),
            auto_create = settings.auto_create,
        );
        if settings.secure {
            lines += &format!(
                "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
                 ssl.keystore.type=PKCS12\n\
                 ssl.keystore.location={}\n\
                 ssl.keystore.password={KEY_PASSWORD}\n\
                 authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 super.users=User:ANONYMOUS;User:{}\n",
                self.path("key.p12"),
                ALICE.0,
            );
            let users: String = [ALICE, STRANGER]
                .iter()
                .map(|(name, password)| format!(" user_{name}=\"{password}\""))
                .collect();
            for listener in ["sasl_plaintext", "sasl_ssl"] {
                lines += &format!(
                    "listener.name.{listener}.plain.sasl.jaas.config=\
                     org.apache.kafka.common.security.plain.PlainLoginModule required{users};\n"
                );
                for mechanism in ["scram-sha-256", "scram-sha-512"] {
                    lines += &format!(
                        "listener.name.{listener}.{mechanism}.sasl.jaas.config=\
                         org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
                    );
                }
            }
        }
        for (key, value) in &settings.properties {
            lines += &format!("{key}={value}\n");
        }
        lines
    }
}

/// Internal topics for one node, and no waiting where tests would only wait: a group's first members, deleted files.
const ONE_NODE: &str = "\
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.delete.delay.ms=1000
";

const LOG: &str = "\
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
";

/// Makes a topic, and waits until the broker knows it.
///
/// # Errors
/// When the broker does not answer or refuses.
#[cfg(feature = "kafka")]
pub async fn create_topic(bootstrap: &str, topic: &str, partitions: i32) -> Result {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};

    let failed =
        |error: &dyn std::fmt::Display| Error::new(format!("making topic {topic}: {error}"));
    let admin: AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .map_err(|error| failed(&error))?;
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let made = admin.create_topics([&wanted], &options).await;
    match made.map_err(|error| failed(&error))?.pop() {
        Some(Ok(_)) => Ok(()),
        Some(Err((_, code))) => Err(failed(&code)),
        None => Err(failed(&"no answer")),
    }
}

/// Fetches Kafka's jars, once; returns their folder.
///
/// # Errors
/// When Maven or Java is missing, or the download fails.
pub fn prepare() -> Result<PathBuf> {
    let home = stage::prepared(&format!("kafka-{VERSION}"), |partial| {
        eprintln!("fetching Apache Kafka {VERSION} with Maven, once");
        let pom = partial.join("pom.xml");
        fs::write(&pom, POM.replace("VERSION", VERSION)).map_err(Error::io("writing the pom"))?;
        output(
            "fetching Apache Kafka with `mvn`",
            Command::new("mvn")
                .args(["-B", "-q", "dependency:copy-dependencies"])
                .args(["-DoutputDirectory=libs", "-DincludeScope=runtime", "-f"])
                .arg(&pom)
                .current_dir(partial),
        )
    })?;
    Ok(home.join("libs"))
}

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>logpipe</groupId>
  <artifactId>kafka-server</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"#;
