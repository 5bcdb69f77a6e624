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
}
