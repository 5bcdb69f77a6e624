//! What does a build script tell cargo? What to watch, and each diagnostic as one line.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::diagnostic::Severity;
use crate::{Error, Options, Report, Stamp, generate, verify};

/// The whole of a build script: `schemas` in, `generated` out, in the package that is being built.
///
/// It never fails by itself: cargo prints a dump around a script that does. Errors are lines for cargo, which ends the
/// build with them, and what was generated last stays as it is.
pub fn build() {
    let Some(root) = std::env::var_os("CARGO_MANIFEST_DIR") else {
        println!(
            "cargo::error=logpipe_build::build() is for build scripts; elsewhere use logpipe_build::generate()"
        );
        return;
    };
    let mut options = Options::new(root);
    let locked =
        std::env::var_os("LOGPIPE_LOCKED").is_some_and(|value| !value.is_empty() && value != "0");
    println!("cargo::rerun-if-env-changed=LOGPIPE_LOCKED");
    println!("cargo::rerun-if-changed=schemas");
    let inputs = Inputs::in_folder(&options.schemas());
    for path in &inputs.files {
        println!("cargo::rerun-if-changed={path}");
    }
    if let Some(newest) = inputs.newest {
        options.stamp = Stamp::At(newest);
    }

    match if locked {
        verify(&options)
    } else {
        generate(&options)
    } {
        Ok(report) => watch(&report),
        Err(Error::Schemas(checked)) => {
            tell(&checked.diagnostics);
            println!(
                "cargo::error=`logpipe check` shows the places; what was generated last stays"
            );
        }
        Err(error) => println!("cargo::error={}", one_line(&error.to_string())),
    }
}

/// Watches generated files one by one: the folder's own time changes with every file that is written.
fn watch(report: &Report) {
    tell(&report.checked.diagnostics);
    for path in report.written.iter().chain(&report.unchanged) {
        println!("cargo::rerun-if-changed=generated/{path}");
    }
}

fn tell(diagnostics: &[crate::diagnostic::Diagnostic]) {
    for diagnostic in diagnostics {
        let kind = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        println!("cargo::{kind}={}", one_line(&diagnostic.to_string()));
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// The files of the schemas folder, whatever they are.
#[derive(Default)]
struct Inputs {
    files: Vec<String>,
    newest: Option<SystemTime>,
}

impl Inputs {
    fn in_folder(folder: &Path) -> Self {
        let mut inputs = Self::default();
        inputs.add(folder, "schemas", 0);
        inputs
    }

    /// No link is followed, and nothing so deep that it could only be a mistake.
    fn add(&mut self, folder: &Path, name: &str, depth: u32) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        let mut entries = entries.filter_map(Result::ok).collect::<Vec<_>>();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if kind.is_dir() && depth < 16 {
                self.add(&entry.path(), &name, depth + 1);
            } else if kind.is_file() && !name.contains(['\n', '\r']) {
                let modified = entry
                    .metadata()
                    .and_then(|metadata| metadata.modified())
                    .ok();
                self.newest = self.newest.max(modified);
                self.files.push(name);
            }
        }
    }
}
