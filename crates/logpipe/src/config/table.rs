//! Which keys are there, what does each take, and how are they told to people and editors?

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Config;
use super::fault::{Wrong, list, nearest};
use super::secret::names_a_secret;

/// One key, as the structs of [`Config`] declare it.
#[derive(Debug, Clone)]
pub struct Key {
    /// The table of the file: `log`.
    pub section: String,
    /// Its name there: `dir`.
    pub name: String,
    /// What it is for.
    pub docs: String,
    /// What holds where nobody says otherwise; null where there is nothing.
    pub default: Value,
    /// Its value is not shown.
    pub secret: bool,
    takes: Takes,
}

/// What a key takes.
#[derive(Debug, Clone, PartialEq)]
struct Takes {
    kind: Kind,
    least: Option<u64>,
    most: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text,
    Whole,
    Number,
    Boolean,
    Choice(Vec<String>),
    /// A table whose members are settings of their own.
    Table,
    Other,
}

/// Every key, section by section, in the order of their names.
pub fn keys() -> Vec<Key> {
    let defaults = json!(Config::default());
    let schema = inlined();
    let mut keys = Vec::new();
    for section in fields(&schema) {
        for (name, property) in section.1["properties"].as_object().into_iter().flatten() {
            keys.push(Key {
                section: section.0.clone(),
                name: name.clone(),
                docs: text(&property["description"]),
                default: defaults[section.0][name].clone(),
                secret: is_secret(property),
                takes: takes(property),
            });
        }
    }
    keys
}

/// The JSON Schema of `logpipe.toml`, as text, for editors.
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = sorted(generator.into_root_schema_for::<Config>());
    format!("{schema:#}\n")
}

/// The README's table of settings.
pub fn markdown() -> String {
    let mut out = String::from("| in `logpipe.toml` | default | what it is |\n|---|---|---|\n");
    for key in keys() {
        let default = match &key.default {
            Value::Null | Value::Object(_) => String::new(),
            Value::String(text) if text.is_empty() => String::new(),
            value => format!("`{}`", shown(value)),
        };
        let docs = key.docs.replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | {default} | {docs} |", key.path());
    }
    out
}

/// A value as people write it in the environment.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Key {
    /// `section.key`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `LOGPIPE_<SECTION>_<KEY>`.
    pub fn variable(&self) -> String {
        format!("LOGPIPE_{}_{}", self.section, self.name).to_uppercase()
    }

    /// Whether its members are settings of their own.
    pub(super) fn is_table(&self) -> bool {
        self.takes.kind == Kind::Table
    }

    /// A member of a key that is a table: text, and secret where its name says so.
    pub(super) fn member(&self, name: &str) -> Self {
        Self {
            section: self.section.clone(),
            name: format!("{}.{name}", self.name),
            docs: self.docs.clone(),
            default: Value::Null,
            secret: names_a_secret(name),
            takes: Takes {
                kind: Kind::Text,
                least: None,
                most: None,
            },
        }
    }

    /// What the key takes, in words: `a whole number, at least 1`.
    pub fn takes(&self) -> String {
        let what = match &self.takes.kind {
            Kind::Text | Kind::Other if self.secret => "text, which is kept secret".into(),
            Kind::Text => "text".into(),
            Kind::Whole => "a whole number".into(),
            Kind::Number => "a number".into(),
            Kind::Boolean => "`true` or `false`".into(),
            Kind::Choice(words) => {
                list(&words.iter().map(String::as_str).collect::<Vec<_>>()).replace(" and ", " or ")
            }
            Kind::Table => "a table".into(),
            Kind::Other => "a table or a list".into(),
        };
        match (self.takes.least, self.takes.most) {
            (None, None) => what,
            (Some(least), None) => format!("{what}, at least {least}"),
            (least, Some(most)) => format!("{what} from {} to {most}", least.unwrap_or(0)),
        }
    }

    /// Reads a value as the environment and flags spell it: plain text, or for anything that is not text, TOML.
    pub(super) fn parse(&self, text: &str) -> Result<Value, Wrong> {
        let value = match self.takes.kind {
            Kind::Text | Kind::Choice(_) => Some(text.into()),
            Kind::Boolean => text.parse::<bool>().ok().map(Value::from),
            Kind::Whole => text.parse::<i64>().ok().map(Value::from),
            Kind::Number => text.parse::<f64>().ok().map(Value::from),
            // Its members are set one by one.
            Kind::Table => None,
            Kind::Other => super::file::value(text),
        };
        match value {
            Some(value) => self.check(&value).map(|()| value),
            None => Err(self.refuse("this")),
        }
    }

    /// Whether the key takes this value. What was found is not repeated: it may be a secret, and it stands at the place.
    pub(super) fn check(&self, value: &Value) -> Result<(), Wrong> {
        let alone = match self.name.split_once('.') {
            Some((table, member)) => json!({ &self.section: { table: { member: value } } }),
            None => json!({ &self.section: { &self.name: value } }),
        };
        let Err(error) = serde_json::from_value::<Config>(alone) else {
            return Ok(());
        };
        let found = match (&self.takes.kind, value) {
            (Kind::Choice(words), Value::String(word)) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let mut wrong = self.refuse("this word");
                if let Some(near) = nearest(word, &words) {
                    wrong.help = format!("did you mean `{near}`?");
                }
                return Err(wrong);
            }
            // Of the right kind, and yet refused: by a rule of the type, in its own words.
            (Kind::Text, Value::String(_)) => {
                return Err(Wrong::new(format!("`{}`: {error}", self.path()), ""));
            }
            (Kind::Whole, Value::Number(number)) if !number.is_f64() => "this number",
            (_, Value::Null) => "nothing",
            (_, Value::Bool(_)) => "a boolean",
            (_, Value::Number(number)) if number.is_f64() => "a number with a fraction",
            (_, Value::Number(_)) => "a number",
            (_, Value::String(_)) => "text",
            (_, Value::Array(_)) => "a list",
            (_, Value::Object(_)) => "a table",
        };
        Err(self.refuse(found))
    }

    fn refuse(&self, found: &str) -> Wrong {
        let message = format!("`{}` takes {}, not {found}", self.path(), self.takes());
        Wrong::new(message, "")
    }
}

/// The schema with every type in its place.
fn inlined() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let generator = settings.into_generator();
    sorted(generator.into_root_schema_for::<Config>())
}

/// The schema in an order that no feature of a dependency changes.
fn sorted(schema: schemars::Schema) -> Value {
    let mut schema = schema.to_value();
    schema.sort_all_objects();
    schema
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The schema of what is in an `Option`, or the schema itself.
fn present(property: &Value) -> &Value {
    let some = property["anyOf"].as_array().into_iter().flatten();
    some.into_iter()
        .find(|branch| branch["type"] != "null")
        .unwrap_or(property)
}

fn is_secret(property: &Value) -> bool {
    present(property)["writeOnly"] == true
}

fn takes(property: &Value) -> Takes {
    let property = present(property);
    let words = |list: &Value, word: fn(&Value) -> &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.map(|entry| text(word(entry)))
            .filter(|word| !word.is_empty())
            .collect()
    };
    let mut choice = words(&property["enum"], |entry| entry);
    choice.extend(words(&property["oneOf"], |entry| &entry["const"]));
    let is = |name: &str| match &property["type"] {
        Value::Array(types) => types.iter().any(|one| one == name),
        one => one == name,
    };
    let kind = match () {
        () if !choice.is_empty() => Kind::Choice(choice),
        () if is("string") => Kind::Text,
        () if is("integer") => Kind::Whole,
        () if is("number") => Kind::Number,
        () if is("boolean") => Kind::Boolean,
        () if is("object") => Kind::Table,
        () => Kind::Other,
    };
    let bound = |name: &str| property[name].as_f64().map(|bound| bound as u64);
    Takes {
        kind,
        least: bound("minimum"),
        most: bound("maximum").or(match property["format"].as_str() {
            Some("uint8") => Some(u8::MAX.into()),
            Some("uint16") => Some(u16::MAX.into()),
            Some("uint32") => Some(u32::MAX.into()),
            _ => None,
        }),
    }
}
