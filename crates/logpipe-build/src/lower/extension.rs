//! What does a schema say to us alone? `x-logpipe`.

use super::Lowering;
use crate::diagnostic::{nearest, quote};
use crate::json::Json;
use crate::refs::Place;

/// Every key, and where it belongs.
const KEYS: [(&str, &str); 4] = [
    ("key", "the root of a message"),
    ("type", "the root of a message"),
    ("unknown-fields", "an object with `properties`"),
    ("unknown-values", "an `enum` of strings"),
];

/// A wire type is printed in logs and travels in every message.
const LONGEST_TYPE: usize = 128;

/// What was said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extension {
    /// `"unknown-fields": "keep"`
    pub(super) unknown_fields: bool,
    /// `"unknown-values": "keep"`
    pub(super) unknown_values: bool,
}

impl Lowering<'_, '_> {
    /// Reads the extension of a schema; `here` are the keys that belong to its kind, the root's aside.
    pub(super) fn extension(&mut self, place: Place, here: &[&str]) -> Extension {
        let schema = self.at(place);
        let mut said = Extension::default();
        let Some(ours) = schema.get("x-logpipe") else {
            return said;
        };
        if !ours.is_object() {
            let help = "write `\"x-logpipe\": {\"key\": \"id\"}`";
            self.error(
                place,
                ours,
                format!("`x-logpipe` is an object, not {}", ours.kind()),
                help,
            );
            return said;
        }
        let root = self.is_message(place);
        for (key, span, value) in ours.members() {
            let source = self.documents.source(place);
            let Some((_, home)) = KEYS.iter().find(|(known, _)| *known == key) else {
                let help = match nearest(key, KEYS.map(|(known, _)| known)) {
                    Some(known) => format!("did you mean {}?", quote(known)),
                    None => format!("the keys are {}", KEYS.map(|(known, _)| known).join(", ")),
                };
                self.report.error(
                    source,
                    span,
                    format!("`x-logpipe` has no key {}", quote(key)),
                    help,
                );
                continue;
            };
            let belongs = here.contains(&key) || root && matches!(key, "key" | "type");
            if !belongs {
                let message = format!("{} says nothing here", quote(key));
                self.report
                    .error(source, span, message, format!("it belongs to {home}"));
                continue;
            }
            match (key, value.as_str()) {
                ("unknown-fields", Some("keep")) => said.unknown_fields = true,
                ("unknown-values", Some("keep")) => said.unknown_values = true,
                ("unknown-fields" | "unknown-values", _) => {
                    let help = "write `\"keep\"`, or leave it out";
                    self.error(
                        place,
                        value,
                        format!("{} can only be `keep`", quote(key)),
                        help,
                    );
                }
                (_, None) => {
                    self.error(
                        place,
                        value,
                        format!("{} is a string, not {}", quote(key), value.kind()),
                        "write it in quotes",
                    );
                }
                ("type", Some(wire)) => self.check_wire(place, value, wire),
                _ => {}
            }
        }
        said
    }

    /// The type that a message's root gives itself.
    pub(super) fn wire(&self, file: Place) -> Option<String> {
        let ours = self.at(file).get("x-logpipe")?;
        ours.get("type")?
            .as_str()
            .filter(|wire| is_wire(wire))
            .map(str::to_owned)
    }

    fn check_wire(&mut self, place: Place, at: Json<'_>, wire: &str) {
        if !is_wire(wire) {
            let message = format!("{} can't be the type of a message", quote(wire));
            let help = format!(
                "use 1 to {LONGEST_TYPE} characters, without spaces and control characters"
            );
            self.error(place, at, message, help);
        }
    }
}

fn is_wire(wire: &str) -> bool {
    let plain = |character: char| !character.is_control() && !character.is_whitespace();
    (1..=LONGEST_TYPE).contains(&wire.chars().count()) && wire.chars().all(plain)
}
