//! Schema work: add, check, generate, list.

use std::fs;

use crate::Place;

fn project() -> Place {
    let place = Place::new();
    place.write("Cargo.toml", "");
    place
}

#[test]
fn a_message_begins_at_version_1_and_goes_on_as_a_copy() {
    let place = project();
    let first = place.run("add com.acme.Person");
    assert_eq!(first.stdout, "schemas/com.acme.Person.v1.json\n");
    assert_eq!(
        first.stderr,
        "logpipe: next: say in schemas/com.acme.Person.v1.json what the message holds, `cargo build`, and write its \
         handler: `impl com_acme_person::Handler for ..`\n"
    );
    let text = place
        .read("schemas/com.acme.Person.v1.json")
        .replace("uuid", "id");
    // A gap: the oldest versions went long ago.
    place.write("schemas/com.acme.Person.v9.json", &text);
    let next = place.run("add com.acme.Person --format json");
    assert_eq!(
        next.stdout,
        "{\"file\":\"schemas/com.acme.Person.v10.json\",\"version\":10,\"next\":\"change schemas/com.acme.Person.v10.json, then \
         `cargo build`: it names every handler that lacks `v10`\"}\n"
    );
    assert_eq!(place.read("schemas/com.acme.Person.v10.json"), text);
    // Another type that begins alike is another type.
    assert_eq!(place.done("add com"), "schemas/com.v1.json\n");
}

#[test]
fn what_add_makes_is_a_schema_without_a_warning() {
    let place = project();
    place.done("add person");
    let checked = place.run("check");
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""));
    assert_eq!(checked.stderr, "logpipe: 1 schema: 0 errors, 0 warnings\n");
}

#[test]
fn add_refuses_what_is_no_name_and_where_there_is_no_project() {
    let place = project();
    let long = "a".repeat(10_000);
    for name in [
        "../person",
        ".person",
        "a/b",
        "a\u{202e}b",
        "",
        "a b",
        &long,
    ] {
        let ended = place.command(["add", name]).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{name:?}");
    }
    assert!(!place.path().join("schemas").exists());
    assert_eq!(Place::new().run("add person").code, 1);

    place.write(&format!("schemas/person.v{}.json", u32::MAX), "{}");
    assert_eq!(place.run("add person").code, 1);
}

#[test]
fn add_writes_nothing_that_the_generator_would_refuse() {
    let place = project();
    // A name, what is there already, and what the generator says of it.
    for (name, there, said) in [
        ("mod", "", "`mod_` is a name that is taken"),
        ("dispatch", "", "`dispatch` is a name that is taken"),
        ("con", "", "`con` is a name that is taken"),
        (
            "Person",
            "person.v1.json",
            "would both be the module `person`",
        ),
        (
            "com-acme",
            "com.acme.v1.json",
            "would both be the module `com_acme`",
        ),
        ("Ab", "aB.v1.json", "differ in case only"),
        (
            "thing",
            "thing.v01.json",
            "the version `v01` begins with a zero",
        ),
        ("person.v2", "", "`logpipe add person`"),
        ("x.v1.json", "", "`logpipe add x`"),
    ] {
        if !there.is_empty() {
            place.write(&format!("schemas/{there}"), "{}");
        }
        let before = place.run("list").stderr;
        let ended = place.run(&format!("add {name}"));
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{name}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(said), "{name}: {}", ended.stderr);
        assert_eq!(place.run("list").stderr, before, "{name}");
    }
    // What is wrong with one message is no reason not to add another.
    assert_eq!(place.done("add order"), "schemas/order.v1.json\n");
}

#[test]
fn generate_writes_once_and_check_says_what_is_stale() {
    let place = project();
    place.done("add person");
    let stale = place.run("generate --check");
    assert_eq!(stale.code, 1);
    assert!(
        stale.stdout.contains("stale   generated/person/v1.rs\n"),
        "{}",
        stale.stdout
    );
    assert!(!place.path().join("generated").exists());

    let written = place.run("generate");
    assert!(
        written.stdout.contains("written  generated/person/v1.rs\n"),
        "{}",
        written.stdout
    );
    assert_eq!(place.run("generate --check").code, 0);
    let again = place.run("generate");
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));

    fs::remove_file(place.path().join("schemas/person.v1.json")).unwrap();
    place.done("add thing");
    let removed = place.done("generate --format json");
    let line = "{\"change\":\"removed\",\"file\":\"generated/person/v1.rs\"}\n";
    assert!(removed.contains(line), "{removed}");
}

#[test]
fn every_command_that_reads_schemas_tells_of_warnings() {
    let place = project();
    place.done("add person");
    let text = place.read("schemas/person.v1.json");
    let text = text.replacen('{', "{\n  \"titel\": \"Person\",", 1);
    place.write("schemas/person.v1.json", &text);
    for words in ["check", "generate", "generate --check", "list"] {
        let ended = place.run(words);
        assert_eq!(ended.code, 0, "{words}: {}", ended.stderr);
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(told.contains("titel"), "{words}: {told}");
        assert_eq!(
            told.matches("schemas/person.v1.json:2:").count(),
            1,
            "{words}: {told}"
        );
    }
}

#[test]
fn faults_are_shown_in_their_text_and_stop_the_generator() {
    let place = project();
    place.write("schemas/person.v1.json", "{\n  \"type\": \"objekt\"\n}\n");
    let shown = place.run("check");
    assert_eq!(shown.code, 1);
    assert!(
        shown.stdout.contains("schemas/person.v1.json:2:11"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("\"objekt\""), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("did you mean `object`?"),
        "{}",
        shown.stdout
    );

    let json = place.run("check --format json");
    let fault: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&fault["line"], &fault["column"]), (&2.into(), &11.into()));

    for words in ["generate", "generate --check", "list"] {
        let ended = place.run(words);
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{words}");
        assert!(
            ended.stderr.contains("schemas/person.v1.json:2:11: "),
            "{}",
            ended.stderr
        );
    }
    assert!(!place.path().join("generated").exists());
}

#[test]
fn hostile_schemas_are_shown_without_harm() {
    let place = project();
    let long = format!("{{\"type\": \"{}\"}}", "x".repeat(500_000));
    for text in [
        "",
        "{",
        "\u{feff}{}",
        "\"\u{1b}[31m",
        &long,
        &"[".repeat(200_000),
    ] {
        place.write("schemas/person.v1.json", text);
        let ended = place.run("check");
        assert_eq!(ended.code, 1, "{}", &text[..text.len().min(20)]);
        assert!(ended.stdout.contains("schemas/person.v1.json:1:"));
        assert!(ended.stdout.len() < 10_000);
    }
}

#[test]
fn list_tells_types_versions_files_and_keys() {
    let place = project();
    place.done("add person");
    place.done("add com.acme.Thing");
    place.write(
        "schemas/com.acme.Thing.v1.json",
        "{\"type\": \"object\", \"properties\": {}}",
    );
    assert_eq!(
        place.done("list"),
        "type            version  file                            Rust                       key\n\
         com.acme.Thing        1  schemas/com.acme.Thing.v1.json  com_acme_thing::v1::Thing  -\n\
         person                1  schemas/person.v1.json          person::v1::Person         uuid\n"
            .replace(
                "Rust                      key",
                "Rust                       key"
            )
    );
    let json = place.done("list --format json");
    assert_eq!(json.lines().count(), 2);
}

#[test]
fn new_refuses_what_would_not_build_and_overwrites_nothing() {
    let place = Place::new();
    place.write("there/file", "");
    let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let table: [(&[&str], i32); 10] = [
        (&["new", "shop"], 2),
        (&["new", "shop", "--path", "a", "--git", "b"], 2),
        (&["new", "Shop", "--path", checkout], 2),
        (&["new", "../shop", "--path", checkout], 2),
        (&["new", "self", "--path", checkout], 2),
        (&["new", "note", "--path", checkout], 2),
        (&["new", "handlers", "--path", checkout], 2),
        (&["new", "shop", "--git", "a\nb"], 2),
        (&["new", "shop", "--path", "."], 1),
        (&["new", "there", "--path", checkout], 1),
    ];
    for (arguments, code) in table {
        let ended = place.command(arguments).output().unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}");
        assert!(!place.path().join("shop").exists(), "{arguments:?}");
    }
    assert_eq!(
        place.done("new shop --git https://example.com/a\"b.git"),
        "shop\n"
    );
    let manifest = place.read("shop/Cargo.toml");
    assert!(
        manifest.contains(r#"logpipe = { git = "https://example.com/a\"b.git" }"#),
        "{manifest}"
    );
    assert!(!manifest.contains("{{"), "{manifest}");
    assert_eq!(place.run("-C shop generate --check").code, 0);
}
