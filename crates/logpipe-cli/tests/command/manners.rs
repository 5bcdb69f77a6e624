//! How the command behaves whatever it is asked.

use crate::{Ended, Place};

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

/// On a terminal, which `script` makes.
#[cfg(target_os = "linux")]
#[test]
fn colours_are_for_terminals_that_have_them_and_users_who_want_them() {
    let place = Place::new();
    place.write("schemas/person.v1.json", "{ \"type\": \"objekt\" }");
    let logpipe = env!("CARGO_BIN_EXE_logpipe");
    for (variables, coloured) in [
        (&[("TERM", "xterm")][..], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "0")], false),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        for words in ["check", "frobnicate"] {
            let mut script = std::process::Command::new("script");
            let path = std::env::var_os("PATH").unwrap();
            script.env_clear().env("PATH", path);
            script.envs(variables.iter().copied());
            let call = format!("{logpipe} {words}");
            script.args(["--quiet", "--return", "--command", &call, "/dev/null"]);
            let ended = script.current_dir(place.path()).output().unwrap();
            let shown = String::from_utf8(ended.stdout).unwrap();
            assert!(!shown.is_empty(), "{words}, {variables:?}");
            assert_eq!(
                shown.contains('\u{1b}'),
                coloured,
                "{words}, {variables:?}: {shown:?}"
            );
        }
    }
    let piped = place.run("check");
    assert!(!piped.stdout.contains('\u{1b}'), "{}", piped.stdout);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::new();
    place.write("Cargo.toml", "");
    place.done("add person");
    for words in [
        "config keys",
        "config schema",
        "config show",
        "list",
        "completions bash",
        "add order",
    ] {
        place.unread(words);
    }
    // Of a fault nobody hears here either, for nobody asks any more.
    place.write("schemas/person.v1.json", "{ \"type\": \"objekt\" }");
    place.unread("check");
    place.unread("check --format json");
}

/// Each shell reads what is meant for it; those that are not here can't be asked.
#[test]
fn completions_are_scripts_that_shells_take() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = place.done(&format!("completions {shell}"));
        for word in ["versions", "redrive", "execute"] {
            assert!(script.contains(word), "{shell} learns no `{word}`");
        }
        place.write(shell, &script);
        if !["bash", "fish", "zsh"].contains(&shell) {
            continue;
        }
        let read = std::process::Command::new(shell)
            .args(["-n", shell])
            .current_dir(place.path())
            .output();
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            read => {
                let read = Ended::from(read.unwrap());
                assert_eq!((read.code, read.stderr.as_str()), (0, ""), "{shell}");
            }
        }
    }
}
