//! `logpipe add`: where does a new message, or a new version of one, begin?

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Output};
use crate::schemas;

/// Makes version 1 of a new message, or the next version of one that is there: a copy of its newest.
///
/// Prints the file that it made, and the one thing to do next.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe add person          # schemas/person.v1.json
  logpipe add person          # schemas/person.v2.json, a copy of v1: change it, then build
  logpipe add com.acme.Person # module com_acme_person")]
pub struct Arguments {
    /// The message's type, which is the start of the file's name.
    name: String,
}

/// Where a new message begins: an object with an identity that keys it.
const FIRST: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "description": "What this message says, in a sentence.",
  "type": "object",
  "properties": {
    "uuid": { "description": "Who it is about.", "type": "string", "format": "uuid" }
  },
  "required": ["uuid"],
  "x-logpipe": { "key": "uuid" }
}
"#;

#[derive(Serialize)]
struct Added {
    file: String,
    version: u32,
    next: String,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Outcome {
    let name = arguments.name.as_str();
    if !is_name(name) {
        return Err(Failure::usage(format!(
            "`{}` can't name a message; begin with a letter or digit, go on with these and `.`, `_`, `-`",
            output::clean(name)
        )));
    }
    let mut message = name;
    while let Some((start, _)) = message.rsplit_once('.').filter(|(_, end)| is_ending(end)) {
        message = start;
    }
    if message != name {
        return Err(Failure::usage(format!(
            "`{name}` ends as a file does, but the version is counted here: `logpipe add {message}`"
        )));
    }
    let project = schemas::project();
    let folder = project.schemas();
    if !folder.is_dir() && !Path::new("Cargo.toml").is_file() {
        return Err(Failure::wrong(
            "there is no schemas/ here; run this in a project, or make one with `logpipe new`",
        ));
    }
    let newest = logpipe_build::admit(&project, name).map_err(|faults| {
        let words = faults.iter().map(ToString::to_string);
        Failure::usage(words.collect::<Vec<_>>().join("\n"))
    })?;
    fs::create_dir_all(&folder).map_err(|error| cant("make", &folder, &error))?;
    let (version, text) = match newest {
        None => (1, FIRST.to_owned()),
        Some(u32::MAX) => return Err(Failure::wrong("there is no version above this one")),
        Some(newest) => {
            let path = folder.join(format!("{name}.v{newest}.json"));
            let text = fs::read_to_string(&path).map_err(|error| cant("read", &path, &error))?;
            (newest + 1, text)
        }
    };
    let file = format!("{name}.v{version}.json");
    write(&folder.join(&file), &text)?;

    let file = format!("schemas/{file}");
    let next = match newest {
        None => format!(
            "say in {file} what the message holds, `cargo build`, and write its handler: `impl {}::Handler for ..`",
            logpipe_build::name::module(name)
        ),
        Some(_) => format!(
            "change {file}, then `cargo build`: it names every handler that lacks `v{version}`"
        ),
    };
    if output.is_json() {
        return output.json(&Added {
            file,
            version,
            next,
        });
    }
    output.line(&file)?;
    output.flush()?;
    output::note(&format!("next: {next}"));
    Ok(())
}

/// As the generator reads file names.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 200
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether it is a version, or what names a schema file.
fn is_ending(end: &str) -> bool {
    let digits = end.strip_prefix('v').unwrap_or_default();
    end == "json" || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> Outcome {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::wrong(format!("{} is there already", path.display())),
        _ => cant("write", path, &error),
    })
}

fn cant(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::wrong(format!("can't {doing} {}: {error}", path.display()))
}
