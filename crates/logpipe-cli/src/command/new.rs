//! `logpipe new`: what does a project of one's own begin with?

use std::fs;
use std::path::{Path, PathBuf};

use logpipe_build::Options;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Output};
use crate::schemas;

/// Makes a project that builds, runs and is tested: a schema, its handler, a service, and a test of it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe new shop --git https://example.com/logpipe.git
  logpipe new shop --path ../logpipe
  cd shop && cargo run && logpipe add person")]
pub struct Arguments {
    /// The project's name, which is that of its folder and its crate.
    name: String,
    #[command(flatten)]
    from: From,
}

/// Where the project takes logpipe from.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct From {
    /// A checkout of logpipe on this machine.
    #[arg(long, value_name = "CHECKOUT")]
    path: Option<PathBuf>,
    /// A repository of logpipe.
    #[arg(long, value_name = "URL")]
    git: Option<String>,
}

/// The files of a project. `{{..}}` in them is replaced.
const FILES: [(&str, &str); 9] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    ("build.rs", include_str!("../../template/build.rs.in")),
    (".gitignore", include_str!("../../template/gitignore.in")),
    (
        "logpipe.toml",
        include_str!("../../template/logpipe.toml.in"),
    ),
    (
        "schemas/note.v1.json",
        include_str!("../../template/schemas/note.v1.json.in"),
    ),
    ("src/lib.rs", include_str!("../../template/src/lib.rs.in")),
    (
        "src/handlers.rs",
        include_str!("../../template/src/handlers.rs.in"),
    ),
    ("src/main.rs", include_str!("../../template/src/main.rs.in")),
    (
        "tests/service.rs",
        include_str!("../../template/tests/service.rs.in"),
    ),
];

/// Crates that the project's own would hide or be mistaken for, modules of it that would hide the crate, folders that cargo keeps, and words of the language.
const TAKEN: &str = "logpipe logpipe_build tokio tempfile note handlers std core alloc proc_macro test build deps examples incremental \
    abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if impl in \
    let loop macro match mod move mut override priv pub ref return self static struct super trait true try type typeof unsafe \
    unsized use virtual where while yield";

#[derive(Serialize)]
struct Made<'a> {
    folder: &'a str,
    next: String,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Outcome {
    let name = arguments.name.as_str();
    let crate_name = crate_name(name)?;
    let dependency = |package: &str| match (&arguments.from.path, &arguments.from.git) {
        (Some(checkout), _) => in_checkout(checkout, package),
        (None, git) => Ok(format!(
            "git = {}",
            quoted(git.as_deref().unwrap_or_default())?
        )),
    };
    let replaced = [
        ("{{name}}", name.to_owned()),
        ("{{crate}}", crate_name),
        ("{{logpipe}}", dependency("logpipe")?),
        ("{{logpipe-build}}", dependency("logpipe-build")?),
    ];

    let folder = Path::new(name);
    fs::create_dir(folder).map_err(|error| cant("make", folder, &error))?;
    for (path, text) in FILES {
        let text = replaced
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        write(&folder.join(path), &text)?;
    }
    logpipe_build::generate(&Options::new(folder)).map_err(schemas::failure)?;

    let next = format!("cd {name} && cargo run");
    if output.is_json() {
        return output.json(&Made { folder: name, next });
    }
    output.line(name)?;
    output.flush()?;
    output::note(&format!("next: {next}"));
    Ok(())
}

/// The crate that cargo makes of a package of this name.
fn crate_name(name: &str) -> Outcome<String> {
    let crate_name = name.replace('-', "_");
    let mut bytes = name.bytes();
    let is_name = name.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
        });
    if !is_name {
        return Err(Failure::usage(format!(
            "`{}` can't name a project; begin with a lower-case letter, go on with these, digits, `-` and `_`",
            output::clean(name)
        )));
    }
    if TAKEN.split_whitespace().any(|taken| taken == crate_name) {
        return Err(Failure::usage(format!(
            "`{name}` is taken; choose another name"
        )));
    }
    Ok(crate_name)
}

/// A dependency on a crate of a checkout. Its path is absolute: the project may be moved, and says where logpipe is.
fn in_checkout(checkout: &Path, package: &str) -> Outcome<String> {
    let folder = checkout.join("crates").join(package);
    if !folder.join("Cargo.toml").is_file() {
        let checkout = checkout.display();
        return Err(Failure::wrong(format!(
            "{checkout} is no checkout of logpipe: it has no crates/{package}"
        )));
    }
    let folder = folder
        .canonicalize()
        .map_err(|error| cant("open", &folder, &error))?;
    let path = folder.to_str().ok_or_else(|| {
        Failure::wrong(format!(
            "{} is not UTF-8, and Cargo.toml can't name it",
            folder.display()
        ))
    })?;
    Ok(format!("path = {}", quoted(path)?))
}

/// A string of TOML: JSON's are such, where they hold no control characters.
fn quoted(text: &str) -> Outcome<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Failure::usage("a path or URL is text on one line"));
    }
    Ok(serde_json::Value::from(text).to_string())
}

fn write(path: &Path, text: &str) -> Outcome {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| cant("make", folder, &error))?;
    fs::write(path, text).map_err(|error| cant("write", path, &error))
}

fn cant(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::wrong(format!("can't {doing} {}: {error}", path.display()))
}
