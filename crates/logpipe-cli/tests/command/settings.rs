//! What `logpipe config` says about settings.

use crate::Place;

#[test]
fn show_tells_value_and_origin() {
    let place = Place::new();
    place.write("logpipe.toml", "[log]\ndir = 'elsewhere'\n");
    let shown = place.command(["config", "show", "--set", "producer.id=me"]);
    let output = { shown }
        .env("LOGPIPE_CONSUMER_ATTEMPTS", "2")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(words("log.dir"), "elsewhere logpipe.toml:2");
    assert_eq!(words("log.backend"), "local default");
    assert_eq!(words("producer.id"), "me flag");
    assert_eq!(words("consumer.attempts"), "2 LOGPIPE_CONSUMER_ATTEMPTS");
}

#[test]
fn wrong_settings_are_told_and_end_with_2() {
    let place = Place::new();
    place.write(
        "logpipe.toml",
        "[log]\ndirr = 1\n[consumer]\nattempts = 'x'\n",
    );
    let ended = place.run("config show");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert_eq!(
        ended.stderr,
        "logpipe: logpipe.toml:2:1: unknown key `dirr` in [log]; did you mean `dir`?\n\
         logpipe: logpipe.toml:4:12: `consumer.attempts` takes a whole number from 1 to 4294967295, not text\n"
    );
    assert_eq!(place.run("config show --config absent.toml").code, 2);
    // What there is to set does not depend on what is set.
    assert!(
        place
            .done("config keys")
            .contains("| `log.dir` | `./data` |")
    );
    // For programs it is one object on one line, and the same one.
    let line = place.done("config schema --format json");
    assert_eq!(line.lines().count(), 1, "{line}");
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parsed(&line), parsed(&place.done("config schema")));
}

#[test]
fn secrets_of_a_client_are_not_shown() {
    let place = Place::new();
    place.write(
        "logpipe.toml",
        "[kafka.client]\nsasl.username = 'joe'\nsasl.password = 'hunter2'\n",
    );
    for words in ["config show", "config show --format json"] {
        let shown = place.done(words);
        assert!(shown.contains("kafka.client.sasl.password"), "{shown}");
        assert!(shown.contains("joe") && shown.contains("***"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_log_that_this_build_can_not_reach_ends_with_2_and_names_the_feature() {
    let place = Place::new();
    // With the feature there is nobody at this address, and the status is 3.
    for (backend, is_built) in [
        ("kafka", cfg!(feature = "kafka")),
        ("kinesis", cfg!(feature = "kinesis")),
        ("memory", false),
    ] {
        if is_built {
            continue;
        }
        let ended = place.run(&format!("topics --set log.backend={backend}"));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{backend}");
        let named = backend == "memory" || ended.stderr.contains(&format!("--features {backend}"));
        assert!(named, "{}", ended.stderr);
    }
}
