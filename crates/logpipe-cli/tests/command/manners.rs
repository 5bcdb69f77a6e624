//! How the command behaves whatever it is asked.

use crate::Place;

#[test]
fn wrong_usage_ends_with_2_and_prints_nothing_to_standard_output() {
    let place = Place::new();
    for words in [
        "",
        "frobnicate",
        "list --formt json",
        "--format xml list",
        "config show --set a",
        "-C absent list",
    ] {
        let ended = place.run(words);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "logpipe {words}"
        );
        assert!(!ended.stderr.is_empty());
    }
}

#[test]
fn every_command_teaches_with_examples() {
    let place = Place::new();
    let help = place.done("--help");
    assert!(help.contains("First steps:"), "{help}");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let mut seen = 0;
    for line in commands.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        if command != "help" {
            let help = place.done(&format!("{command} --help"));
            assert!(help.contains("Examples:\n  logpipe "), "{command}: {help}");
            seen += 1;
        }
    }
    assert!(seen > 0, "{help}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::new();
    for words in ["config keys", "config schema", "config show"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(words.split_whitespace());
        let ended = command.stdout(writer).output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(
            (ended.status.code(), told.as_ref()),
            (Some(0), ""),
            "{words}"
        );
    }
}
