//! How much of a folder full of schemas can be read, and what stands in the way of the rest?
//!
//! `cargo run -p logpipe-build --example survey -- FOLDER`. Every JSON file below the folder is read as a message by
//! itself. A panic or a hang is a defect.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use logpipe_build::diagnostic::Severity;
use logpipe_build::read;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os()
        .nth(1)
        .ok_or("name a folder: survey FOLDER")?;
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files)?;
    files.sort();
    let (mut read_whole, mut slowest) = (0, (Duration::ZERO, PathBuf::new()));
    let mut reasons = BTreeMap::<String, usize>::new();
    for file in &files {
        let bytes = fs::read(file)?;
        let start = Instant::now();
        let (_, _, diagnostics) = read::read_texts([("survey.v1.json", bytes)]);
        let took = start.elapsed();
        if took > slowest.0 {
            slowest = (took, file.clone());
        }
        let errors = diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error);
        // One reason counts once for a file, whatever names stand in it.
        let mut of_file = errors
            .map(|one| without_names(&one.message))
            .collect::<Vec<_>>();
        of_file.sort();
        of_file.dedup();
        read_whole += usize::from(of_file.is_empty());
        for reason in of_file {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    println!("{read_whole} of {} files can be read", files.len());
    println!("slowest: {:?} for {}", slowest.0, slowest.1.display());
    let mut reasons = reasons.into_iter().collect::<Vec<_>>();
    reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (reason, count) in reasons {
        println!("{count:6}  {reason}");
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Keeps keywords, drops what stands in backticks after other words.
fn without_names(message: &str) -> String {
    match message.strip_prefix("not supported yet: ") {
        Some(_) => message.to_owned(),
        None => {
            let parts = message.split('`').enumerate();
            parts
                .map(|(index, part)| if index % 2 == 0 { part } else { ".." })
                .collect()
        }
    }
}
