//! What does `logpipe.toml` set, on which line?

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Wrong, quote, suggest};
use super::{Fault, Key, Origin, Set};

/// A larger file is not read: it is not a file of settings.
const LARGEST: u64 = 1 << 20;

/// So many faults are told at once: counting lines for each of a file's thousands would take its square.
const TOLD: usize = 50;

/// Reads the file. One that is not there sets nothing, unless somebody named it.
pub(super) fn read(table: &[Key], path: &Path, named: bool) -> Result<Vec<Set>, Vec<Fault>> {
    let place = path.display().to_string();
    match load(path) {
        Ok(Some(text)) => parse(table, &place, &text),
        Ok(None) if !named => Ok(Vec::new()),
        Ok(None) => Err(vec![Fault::new(place, "there is no such file", "")]),
        Err(why) => Err(vec![Fault::new(place, why, "")]),
    }
}

fn load(path: &Path) -> Result<Option<String>, String> {
    let unreadable = |error: std::io::Error| format!("can't be read: {error}");
    match fs::metadata(path) {
        // Opening a pipe would wait for its writer.
        Ok(found) if !found.is_file() => return Err("is not a file".into()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err("is larger than 1 MiB, which no file of settings is".into());
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
    Ok(Some(text))
}

fn parse(table: &[Key], name: &str, text: &str) -> Result<Vec<Set>, Vec<Fault>> {
    let place = |offset: usize| {
        let (line, column) = position(text, offset);
        format!("{name}:{line}:{column}")
    };
    let document = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        vec![Fault::new(place(offset), error.message().trim(), "")]
    })?;
    let mut sections: Vec<&str> = table.iter().map(|key| key.section.as_str()).collect();
    sections.dedup();

    let mut set = Vec::new();
    let mut faults = Vec::new();
    for (section, body) in document.get_ref() {
        let at = section.span().start;
        let section = section.get_ref().as_ref();
        let here: Vec<&Key> = table.iter().filter(|key| key.section == section).collect();
        if here.is_empty() {
            let message = format!("unknown section {}", quote(section));
            faults.push((at, Wrong::new(message, suggest(section, &sections))));
            continue;
        }
        let DeValue::Table(body) = body.get_ref() else {
            let message = format!("`{section}` is a section");
            faults.push((at, Wrong::new(message, format!("write `[{section}]`"))));
            continue;
        };
        let names: Vec<&str> = here.iter().map(|key| key.name.as_str()).collect();
        for (name_found, found) in body {
            let at = name_found.span().start;
            let Some(key) = here
                .iter()
                .find(|key| key.name == name_found.get_ref().as_ref())
            else {
                let unknown = name_found.get_ref();
                let message = format!("unknown key {} in [{section}]", quote(unknown));
                faults.push((at, Wrong::new(message, suggest(unknown, &names))));
                continue;
            };
            let settings = match found.get_ref() {
                DeValue::Table(members) if key.is_table() => {
                    let mut leaves = Vec::new();
                    collect(members, "", &mut leaves);
                    let leaves = leaves.into_iter();
                    leaves
                        .map(|(name, leaf)| (key.member(&name), leaf))
                        .collect()
                }
                _ => vec![((*key).clone(), found)],
            };
            for (key, found) in settings {
                let at = found.span().start;
                let value = plain(found);
                match key.check(&value) {
                    Ok(()) => set.push(Set {
                        key: key.path(),
                        value,
                        origin: Origin::File {
                            path: name.into(),
                            line: position(text, at).0,
                        },
                    }),
                    Err(wrong) => faults.push((at, wrong)),
                }
            }
        }
    }
    faults.sort_by_key(|(at, _)| *at);
    let told = faults.into_iter().take(TOLD);
    let told: Vec<Fault> = told.map(|(at, wrong)| wrong.at(place(at))).collect();
    if told.is_empty() { Ok(set) } else { Err(told) }
}

/// The members of a table that may be written in two ways: `"sasl.username" = ..`, and `sasl.username = ..`, which TOML
/// takes for a table `sasl`.
fn collect<'a, 'b>(
    table: &'a DeTable<'b>,
    before: &str,
    leaves: &mut Vec<(String, &'a Spanned<DeValue<'b>>)>,
) {
    for (name, value) in table {
        let name = format!("{before}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, &format!("{name}."), leaves),
            _ => leaves.push((name, value)),
        }
    }
}

/// A value on its own, as the environment gives it for a key that is not plain text.
pub(super) fn value(text: &str) -> Option<Value> {
    DeValue::parse(text).ok().map(|value| plain(&value))
}

/// TOML's values as serde knows them. The reader bounds their depth. A number that no key could take is its text, and
/// so of the wrong type; a time is its text too.
fn plain(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(whole) => match i64::from_str_radix(whole.as_str(), whole.radix()) {
            Ok(whole) => whole.into(),
            Err(_) => whole.to_string().into(),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => number.into(),
            _ => number.to_string().into(),
        },
        DeValue::Boolean(boolean) => (*boolean).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(plain).collect(),
        DeValue::Table(table) => {
            let members = table.iter();
            let members = members.map(|(name, value)| (name.get_ref().to_string(), plain(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// Line and column, from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    (line, before[start..].chars().count() + 1)
}
