//! How long does generated code take to check? 200 files of a ten-field record, against serde derive of the same.
//!
//! Each type brings what handles it, whatever the number of its versions, so there are two legs of ours: types with five
//! versions, and as many types as files.

#[path = "support/made.rs"]
mod made;
mod support;

use std::fs;

use made::Crate;
use support::{Contest, children_cpu, is_test, root};

const FILES: usize = 200;
const VERSIONS: usize = 5;
const ROUNDS: usize = 5;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "description": "Ten fields with rules.",
  "type": "object",
  "properties": {
    "id": { "type": "string", "format": "uuid", "description": "Identifies it." },
    "name": { "type": "string", "minLength": 1, "maxLength": 100, "description": "What it is called." },
    "email": { "type": "string", "maxLength": 200, "description": "Where to write to." },
    "age": { "type": "integer", "minimum": 0, "maximum": 255, "description": "Years." },
    "score": { "type": "number", "minimum": 0, "maximum": 1, "description": "How well it does." },
    "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 16, "description": "Words to find it by." },
    "active": { "type": "boolean", "description": "Whether it is in use." },
    "count": { "type": "integer", "minimum": 0, "description": "How many there are." },
    "country": { "type": "string", "pattern": "^[A-Z]{2}$", "description": "Two letters." },
    "note": { "type": "string", "maxLength": 1000, "description": "Anything else." }
  },
  "required": ["id", "name", "email", "age", "score", "tags", "active", "count", "country"],
  "x-logpipe": { "key": "id" }
}"#;

const DERIVED: &str = "//! A record.

/// Ten fields.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Identifies it.
    pub id: uuid::Uuid,
    /// What it is called.
    pub name: String,
    /// Where to write to.
    pub email: String,
    /// Years.
    pub age: u8,
    /// How well it does.
    pub score: f64,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Whether it is in use.
    pub active: bool,
    /// How many there are.
    pub count: i64,
    /// Two letters.
    pub country: String,
    /// Anything else.
    #[serde(skip_serializing_if = \"Option::is_none\")]
    pub note: Option<String>,
}
";

fn main() {
    if is_test() {
        return;
    }
    let versions = generated("bench-generated", VERSIONS);
    let types = generated("bench-generated-types", 1);

    let derived = Crate::new(
        "bench-derived",
        "serde = { version = \"1\", features = [\"derive\"] }\nuuid = { version = \"1\", features = [\"serde\"] }\n",
    );
    let mut modules = String::from("//! Derived.\n");
    for file in 0..FILES {
        modules.push_str(&format!("pub mod record{file};\n"));
        derived.write(&format!("src/record{file}.rs"), DERIVED);
    }
    derived.write("src/lib.rs", &modules);

    let record = fs::read_to_string(types.dir().join("generated/record0/v1.rs")).unwrap();
    let lines = record.lines().count();
    let of_types = FILES / VERSIONS;
    let several = format!("logpipe, with rules: {of_types} types of {VERSIONS} versions");
    let one = format!("logpipe, with rules: {FILES} types of one version");
    // The round that is not counted also checks what the crates depend on.
    let [figures] = Contest::new()
        .leg("serde derive, without rules", || {
            check(&derived, "bench-derived")
        })
        .leg(several, || check(&versions, "bench-generated"))
        .leg(one, || check(&types, "bench-generated-types"))
        .run(ROUNDS);
    println!(
        "{lines} lines a file, {} of serde derive",
        DERIVED.lines().count()
    );
    let title = format!("`cargo check` of {FILES} files of a ten-field record, CPU time");
    figures.print("generated", &title, "ms", 0);
    println!(r#"{{"bench":"generated","files":{FILES},"lines_per_file":{lines}}}"#);
}

/// A crate of so many files, of types that have so many versions each.
fn generated(name: &str, versions: usize) -> Crate {
    let library = root().join("crates/logpipe");
    let subject = Crate::new(
        name,
        &format!("logpipe = {{ path = \"{}\" }}\n", library.display()),
    );
    for file in 0..FILES {
        let (record, version) = (file / versions, file % versions + 1);
        subject.write(&format!("schemas/record{record}.v{version}.json"), SCHEMA);
    }
    subject.generate();
    subject.write("src/lib.rs", "//! Generated.\n#[path = \"../generated/mod.rs\"]\nmod generated;\npub use generated::*;\n");
    subject
}

/// Milliseconds of CPU time.
fn check(subject: &Crate, package: &str) -> [f64; 1] {
    subject.cargo(&["clean", "--quiet", "--package", package]);
    let before = children_cpu();
    subject.cargo(&["check", "--quiet"]);
    [(children_cpu() - before) * 1e3]
}
