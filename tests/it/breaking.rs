//! The three steps of a breaking change, as README tells them: consumers learn v2, producers switch, v1 goes.

use std::path::PathBuf;
use std::process::Command;

use logpipe::Log;
use logpipe::source::Before;
use serde_json::Value;

use crate::project::{Project, Ran, root};

/// A service of one type, and the programs that were built of it along the way: a deploy is the next one.
struct Deploys {
    project: Project,
}

/// A program that was built from these versions.
struct Deploy(PathBuf);

/// What the versions' samples hold besides the name.
const UUID: &str = "uuid: logpipe::types::Uuid::from_u128(7), last_name: \"B\".into()";
const EMAIL: &str = ", email: \"a@example.com\".parse().unwrap()";

impl Deploys {
    fn new() -> Self {
        let project = Project::new("breaking");
        for message in ["order", "place", "thing"] {
            project.remove(&format!("schemas/{message}.v1.json"));
        }
        project.remove("schemas/person.v2.json");
        for file in [
            "handlers", "inspect", "journal", "orders", "samples", "upcasts",
        ] {
            project.remove(&format!("src/{file}.rs"));
        }
        project.write(
            "src/lib.rs",
            "#[path = \"../generated/mod.rs\"]\nmod generated;\npub use generated::*;\n",
        );
        Self { project }
    }

    /// A service that sends the newest of these versions, and has a handler for each.
    fn program(&self, versions: &[u32]) {
        let newest = versions.last().unwrap();
        let email = if *newest == 2 { EMAIL } else { "" };
        let handlers = versions.iter().map(|version| {
            format!(
                "v{version}: async |person: person::v{version}::Person, _: &mut Cx<Sqlite>| {{ \
                    println!(\"v{version} {{}}\", person.first_name); Ok(()) }},\n"
            )
        });
        let handlers: String = handlers.collect();
        let program = format!(
            r#"
            use logpipe::store::Sqlite;
            use logpipe::{{Consumer, Cx, Log, Result, Service}};
            use nouns::person;

            #[tokio::main]
            async fn main() -> Result<std::process::ExitCode> {{
                let log = Log::local("data").await?;
                if let Some(name) = std::env::args().nth(1) {{
                    let person = person::v{newest}::Person {{ first_name: name, {UUID}{email} }};
                    log.producer("nouns").await?.send(&person).await?;
                    return Ok(std::process::ExitCode::SUCCESS);
                }}
                let people = person::handler(person::Handlers {{ {handlers} }});
                let consumer = Consumer::with_store(log.source("nouns"), Sqlite::open("data/app.db").await?)
                    .group("people")
                    .idle_timeout(std::time::Duration::from_millis(300))
                    .register(people);
                let outcome = Service::new().with(consumer).run().await?;
                outcome.held.iter().for_each(|held| println!("{{held}}"));
                Ok(outcome.exit_code())
            }}
            "#
        );
        self.project.write("src/main.rs", &program);
    }

    /// Builds what the files say now, and keeps the program: others go on running it after the files have changed.
    fn deploy(&self, name: &str) -> Deploy {
        self.project.cargo(&["build"]).ok();
        let built = root().join("target/projects/target/debug/nouns-breaking");
        let kept = self.project.path().join(name);
        std::fs::copy(built, &kept).unwrap();
        Deploy(kept)
    }

    /// What `logpipe versions nouns` counts: version and records.
    fn versions(&self) -> Vec<(u64, u64)> {
        let output = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "-p", "logpipe-cli", "--", "-C"])
            .arg(self.project.path())
            .args(["versions", "nouns", "--format", "json"])
            .current_dir(root())
            .output()
            .unwrap();
        let rows = Ran::from(output).ok().stdout;
        let rows = rows
            .lines()
            .map(|row| serde_json::from_str::<Value>(row).unwrap());
        rows.map(|row| {
            (
                row["version"].as_u64().unwrap(),
                row["records"].as_u64().unwrap(),
            )
        })
        .collect()
    }
}

impl Deploy {
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(&self.0);
        let folder = self.0.parent().unwrap();
        let output = command.current_dir(folder).args(arguments).output();
        output.unwrap().into()
    }

    fn sends(&self, name: &str) {
        self.run(&[name]).ok();
    }

    /// Handles all there is: exactly these.
    #[track_caller]
    fn handles(&self, lines: &[&str]) {
        let ran = self.run(&[]).ok();
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), lines);
    }

    /// Handles nothing, holds the lane for that version, and says so with status 1.
    #[track_caller]
    fn holds(&self, version: u32) {
        let ran = self.run(&[]);
        assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
        let [held] = ran.stdout.lines().collect::<Vec<_>>()[..] else {
            panic!("more than a held lane:\n{}", ran.stdout);
        };
        assert!(held.contains("is held for people"), "{held}");
        assert!(
            held.contains(&format!("unknown version {version} of person")),
            "{held}"
        );
    }
}

#[tokio::test]
async fn consumers_learn_then_producers_switch_then_the_old_version_goes() {
    let deploys = Deploys::new();
    let version_1 = deploys.project.read("schemas/person.v1.json");
    let version_2 = std::fs::read_to_string(root().join("schemas/person.v2.json")).unwrap();
    deploys.program(&[1]);
    let old = deploys.deploy("old");
    old.sends("Ann");
    old.handles(&["v1 Ann"]);

    // One: consumers learn version 2. Without its handler there is no program.
    deploys.project.write("schemas/person.v2.json", &version_2);
    deploys
        .project
        .cargo(&["build"])
        .fails_with(&["E0063", "missing field `v2`"]);
    deploys.program(&[1, 2]);
    let both = deploys.deploy("both");
    let generated = deploys.project.generated();
    old.sends("Bob");
    both.handles(&["v1 Bob"]);

    // Two: producers switch. A consumer that was forgotten holds, and whoever knows the version goes on from there.
    both.sends("Cid");
    old.holds(2);
    both.handles(&["v2 Cid"]);
    assert_eq!(deploys.versions(), [(1, 2), (2, 1)]);

    // Three: retention has removed the last message of version 1, so its schema can go, and what handled it with it.
    let log = Log::local(deploys.project.path().join("data"))
        .await
        .unwrap();
    let second = 2_u64.into();
    log.trim("nouns", Before::Position(second)).await.unwrap();
    assert_eq!(deploys.versions(), [(2, 1)]);
    deploys.project.remove("schemas/person.v1.json");
    deploys.project.cargo(&["build"]).fails_with(&["v1"]);
    deploys.program(&[2]);
    let new = deploys.deploy("new");

    // A producer that was forgotten: its message is held, and so is what follows it, however often one tries.
    old.sends("Dot");
    new.sends("Eve");
    new.holds(1);
    new.holds(1);
    assert_eq!(deploys.versions(), [(1, 1), (2, 2)]);

    // Version 1 is put back: nothing was lost, and the order is kept.
    deploys.project.write("schemas/person.v1.json", &version_1);
    deploys.program(&[1, 2]);
    let again = deploys.deploy("again");
    assert_eq!(deploys.project.generated(), generated);
    again.handles(&["v1 Dot", "v2 Eve"]);
    again.handles(&[]);
}
