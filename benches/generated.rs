//! How long does generated code take to check? 200 files of a ten-field record, against serde derive of the same.

mod support;

use std::fs;

use support::{Crate, children_cpu, is_test, median, root};

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
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (index, subject) in [&ours, &derived].into_iter().enumerate() {
            // The first round also checks what the crate depends on, and is not counted.
            subject.cargo(&[
                "clean",
                "--quiet",
                "--package",
                if index == 0 {
                    "bench-generated"
                } else {
                    "bench-derived"
                },
            ]);
            let before = children_cpu();
            subject.cargo(&["check", "--quiet"]);
            if round > 0 {
                seconds[index].push(children_cpu() - before);
            }
        }
    }
    let [ours, derived] = seconds.map(median);
    println!(
        "{FILES} files of a ten-field record, CPU seconds of `cargo check`, median of {ROUNDS} alternating rounds"
    );
    println!(
        "{:<28}{ours:>8.2} s   {lines} lines a file",
        "logpipe, with rules"
    );
    println!(
        "{:<28}{derived:>8.2} s   {} lines a file",
        "serde derive, without",
        DERIVED.lines().count()
    );
    println!("{:<28}{:>8.2}", "ours / serde derive", ours / derived);
    println!(
        r#"{{"bench":"generated","files":{FILES},"ours_s":{ours:.3},"serde_derive_s":{derived:.3},"ratio":{:.3},"lines_per_file":{lines}}}"#,
        ours / derived
    );
}
