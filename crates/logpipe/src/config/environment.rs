//! What do the environment and the flags set?

use super::fault::{nearest, quote, suggest};
use super::{Fault, Key, Origin, Set};

const PREFIX: &str = "LOGPIPE_";

/// Reads the environment of this process.
pub(super) fn of_process(table: &[Key]) -> Result<Vec<Set>, Vec<Fault>> {
    let ours = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with(PREFIX).then_some((name, value))
    });
    let mut variables = Vec::new();
    let mut faults = Vec::new();
    for (name, value) in ours {
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if belongs(table, &name).is_none() => {}
            Err(_) => faults.push(Fault::new(name, "the value is not UTF-8 text", "")),
        }
    }
    match read(table, variables) {
        Ok(set) if faults.is_empty() => Ok(set),
        Ok(_) => Err(faults),
        Err(more) => Err(faults.into_iter().chain(more).collect()),
    }
}

/// Reads `LOGPIPE_<SECTION>_<KEY>`. Other variables with our prefix are left alone: the build and the tests have some, and
/// Kubernetes makes up its own, `LOGPIPE_PORT` and `LOGPIPE_STORE_SERVICE_HOST`, for services of these names.
pub(super) fn read(
    table: &[Key],
    variables: Vec<(String, String)>,
) -> Result<Vec<Set>, Vec<Fault>> {
    let mut set = Vec::new();
    let mut faults = Vec::new();
    for (name, text) in variables {
        let of_a_table = || table.iter().find_map(|key| member(key, &name));
        let key = table.iter().find(|key| key.variable() == name);
        if let Some(key) = key.cloned().or_else(of_a_table) {
            match key.parse(&text) {
                Ok(value) => set.push(Set {
                    key: key.path(),
                    value,
                    origin: Origin::Environment(name),
                }),
                Err(wrong) => faults.push(wrong.at(name)),
            }
        } else if let Some(known) = belongs(table, &name) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            faults.push(Fault::new(
                name.clone(),
                "this variable sets nothing",
                suggest(&name, &known),
            ));
        }
    }
    if faults.is_empty() {
        Ok(set)
    } else {
        Err(faults)
    }
}

/// The member of a table that a variable sets: `LOGPIPE_KAFKA_CLIENT_SASL_PASSWORD` is `sasl.password` of `kafka.client`.
fn member(key: &Key, variable: &str) -> Option<Key> {
    let name = variable.strip_prefix(&key.variable())?.strip_prefix('_')?;
    let is_one = key.is_table() && !name.is_empty();
    is_one.then(|| key.member(&name.to_lowercase().replace('_', ".")))
}

/// The variables among which one that sets nothing was meant to be, if it was meant for us at all: those of its section,
/// or else the one that it is a slip of the pen away from.
fn belongs(table: &[Key], name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix(PREFIX)?;
    if rest.contains("_SERVICE_") || rest.ends_with("_PORT") || rest.contains("_PORT_") {
        return None;
    }
    let section = table.iter().find(|key| {
        rest.strip_prefix(&key.section.to_uppercase())
            .is_some_and(|rest| rest.starts_with('_'))
    });
    if let Some(section) = section {
        let keys = table.iter().filter(|key| key.section == section.section);
        return Some(keys.map(Key::variable).collect());
    }
    let all: Vec<String> = table.iter().map(Key::variable).collect();
    let near = nearest(name, &all.iter().map(String::as_str).collect::<Vec<_>>())?;
    (strsim::osa_distance(name, near) <= 2).then_some(all)
}

/// Reads what flags set: `section.key` and a value.
pub(super) fn flags(table: &[Key], flags: Vec<(String, String)>) -> Result<Vec<Set>, Vec<Fault>> {
    let paths: Vec<String> = table.iter().map(Key::path).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut set = Vec::new();
    let mut faults = Vec::new();
    for (path, text) in flags {
        let of_a_table = || {
            let mut tables = table.iter().filter(|key| key.is_table());
            tables.find_map(|key| {
                let name = path.strip_prefix(&key.path())?.strip_prefix('.')?;
                (!name.is_empty()).then(|| key.member(name))
            })
        };
        let key = table.iter().find(|key| key.path() == path);
        match key.cloned().or_else(of_a_table) {
            Some(key) => match key.parse(&text) {
                Ok(value) => set.push(Set {
                    key: path,
                    value,
                    origin: Origin::Flag,
                }),
                Err(wrong) => faults.push(wrong.at("flag")),
            },
            None => faults.push(Fault::new(
                "flag",
                format!("unknown key {}", quote(&path)),
                suggest(&path, &paths),
            )),
        }
    }
    if faults.is_empty() {
        Ok(set)
    } else {
        Err(faults)
    }
}
