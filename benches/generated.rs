//! How long does generated code take to check? 200 files of a ten-field record, against serde derive of the same.

#[path = "support/made.rs"]
mod made;
mod support;

use std::fs;

use made::Crate;
use support::{Contest, children_cpu, is_test, root};

const FILES: usize = 200;
const ROUNDS: usize = 3;

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
    let ours = Crate::new(
        "bench-generated",
        &format!(
            "logpipe = {{ path = \"{}\" }}\n",
            root().join("crates/logpipe").display()
        ),
    );
    for file in 0..FILES {
        ours.write(&format!("schemas/record{file}.v1.json"), SCHEMA);
    }
    ours.generate();
    ours.write("src/lib.rs", "//! Generated.\n#[path = \"../generated/mod.rs\"]\nmod generated;\npub use generated::*;\n");

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

    let record = fs::read_to_string(ours.dir().join("generated/record0/v1.rs")).unwrap();
    let lines = record.lines().count();
    // The round that is not counted also checks what the crates depend on.
    let [figures] = Contest::new()
        .leg("serde derive, without rules", || {
            check(&derived, "bench-derived")
        })
        .leg("logpipe, with rules", || check(&ours, "bench-generated"))
        .run(ROUNDS);
    println!(
        "{lines} lines a file, {} of serde derive",
        DERIVED.lines().count()
    );
    let title = format!("`cargo check` of {FILES} files of a ten-field record, CPU time");
    figures.print("generated", &title, "ms", 0);
    println!(r#"{{"bench":"generated","files":{FILES},"lines_per_file":{lines}}}"#);
}

/// Milliseconds of CPU time.
fn check(subject: &Crate, package: &str) -> [f64; 1] {
    subject.cargo(&["clean", "--quiet", "--package", package]);
    let before = children_cpu();
    subject.cargo(&["check", "--quiet"]);
    [(children_cpu() - before) * 1e3]
}
