//! What would the generated type say of a value, where there is a schema and no generated type?
//!
//! `read` and `check` walk the Catalog as the generated code was written from it, with the run time's own codec, types and
//! rules: both judge alike, in the same words, and write the same bytes. A test holds them together.

mod check;
mod read;

use logpipe::codec::{Fault, JsonReader};
use logpipe::rules::Rule;
use logpipe::types::{Timestamp, Value};
use logpipe::{Format, Invalid, Key as _, envelope};
use logpipe_build::catalog::{self, Catalog, Message, Presence, Shape, Ty};
use logpipe_build::rule;

use crate::failure::{Failure, Outcome};
use crate::{output, schemas};

/// One version of a message, by its schema.
pub struct Schema {
    schemas: &'static Schemas,
    message: &'static Message,
    key: Option<&'static catalog::Field>,
}

/// The schemas of a project. They live as long as the process: faults name members by `&'static str`, as generated code
/// does.
struct Schemas {
    catalog: Catalog,
    /// For each type of the catalog.
    rules: Vec<Rules>,
}

/// The rules of a type, made once.
struct Rules {
    /// Of an object as a whole, or of what a newtype is around.
    own: Vec<Rule>,
    /// Of each member.
    fields: Vec<Vec<Rule>>,
}

/// A message that may be sent.
pub struct Sealed {
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

impl Schema {
    /// The schema of this type and version, of the project that the command works in. A type with one version needs no
    /// number.
    pub fn find(message_type: &str, version: Option<u32>) -> Outcome<Self> {
        let checked = logpipe_build::check(&schemas::project());
        if checked.has_errors() {
            let error = logpipe_build::Error::Schemas(Box::new(checked));
            return Err(schemas::failure(error));
        }
        let schemas = Schemas::new(checked.catalog);
        let message = pick(&schemas.catalog, message_type, version)?;
        let key = message.key.and_then(|key| schemas.fields(message).get(key));
        Ok(Self {
            schemas,
            message,
            key,
        })
    }

    /// Takes the key from this member, whatever the schema says.
    pub fn keyed_by(mut self, member: &str) -> Outcome<Self> {
        let fields = self.schemas.fields(self.message);
        let field = fields.iter().find(|field| field.wire == member);
        let Some(field) = field.filter(|field| self.schemas.is_scalar(&field.value.ty)) else {
            let keys = fields
                .iter()
                .filter(|field| self.schemas.is_scalar(&field.value.ty))
                .map(|field| format!("`{}`", field.wire));
            return Err(Failure::usage(format!(
                "{} has no member `{}` that can be a key; there are {}",
                self.name(),
                output::clean(member),
                keys.collect::<Vec<_>>().join(", ")
            )));
        };
        self.key = Some(field);
        Ok(self)
    }

    /// `person v2`
    pub fn name(&self) -> String {
        format!("{} v{}", self.message.wire, self.message.version)
    }

    /// Reads a message as JSON spells it, checks it, and writes it as its generated type would.
    pub fn seal(&self, json: &str, format: Format, producer_id: &str) -> Result<Sealed, Invalid> {
        let value = self.read(json)?;
        let Message { wire, version, .. } = self.message;
        let sealed = envelope::seal_value(format, wire, *version, &value, producer_id)?;
        Ok(Sealed {
            key: self.key_of(&value),
            value: sealed,
        })
    }

    fn read(&self, json: &str) -> Result<Value, Fault> {
        let mut reader = JsonReader::new(json);
        let root = self.message.root;
        let value = self.schemas.read_named(&mut reader, root)?;
        reader.end()?;
        self.schemas.check_named(root, &value)?;
        Ok(value)
    }

    /// The key's bytes, as [`logpipe::Key`] has them.
    fn key_of(&self, message: &Value) -> Option<Vec<u8>> {
        let field = self.key?;
        let Value::Object(members) = message else {
            return None;
        };
        let text = match members.get(field.wire.as_str())? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Null | Value::List(_) | Value::Object(_) => return None,
        };
        if let Ty::Format(catalog::Format::DateTime) = self.schemas.bare(&field.value.ty) {
            let time: Timestamp = text.parse().ok()?;
            return time.key().map(Into::into);
        }
        Some(text.into_bytes())
    }
}

impl Schemas {
    fn new(catalog: Catalog) -> &'static Self {
        let rules = catalog.types.iter().map(|ty| match &ty.shape {
            Shape::Struct { fields, checks, .. } => Rules {
                own: check::rules(rule::of_object(checks)),
                fields: fields
                    .iter()
                    .map(|field| check::rules(rule::of(&catalog, &field.value)))
                    .collect(),
            },
            Shape::Newtype(rules) => Rules {
                own: check::rules(rule::of(&catalog, rules)),
                fields: Vec::new(),
            },
            Shape::Enum { .. } => Rules {
                own: Vec::new(),
                fields: Vec::new(),
            },
        });
        let rules = rules.collect();
        Box::leak(Box::new(Self { catalog, rules }))
    }

    fn fields(&self, message: &Message) -> &[catalog::Field] {
        match &self.catalog.types[message.root.0].shape {
            Shape::Struct { fields, .. } => fields,
            Shape::Enum { .. } | Shape::Newtype(_) => &[],
        }
    }

    /// The type behind the names of newtypes.
    fn bare<'a>(&'a self, ty: &'a Ty) -> &'a Ty {
        match ty {
            Ty::Named(id) => match &self.catalog.types[id.0].shape {
                Shape::Newtype(rules) => self.bare(&rules.ty),
                Shape::Struct { .. } | Shape::Enum { .. } => ty,
            },
            _ => ty,
        }
    }

    fn is_scalar(&self, ty: &Ty) -> bool {
        match self.bare(ty) {
            Ty::Bool | Ty::Integer(_) | Ty::Number | Ty::String | Ty::Format(_) => true,
            Ty::Named(id) => matches!(self.catalog.types[id.0].shape, Shape::Enum { .. }),
            Ty::List(_) | Ty::Map(_) | Ty::Any => false,
        }
    }
}

fn is_nullable(presence: Presence) -> bool {
    matches!(presence, Presence::Nullable | Presence::OptionalNullable)
}

fn is_required(presence: Presence) -> bool {
    matches!(presence, Presence::Required | Presence::Nullable)
}

fn pick<'a>(
    catalog: &'a Catalog,
    message_type: &str,
    version: Option<u32>,
) -> Outcome<&'a Message> {
    let of_type = catalog.messages.iter();
    let of_type: Vec<_> = of_type.filter(|one| one.wire == message_type).collect();
    if of_type.is_empty() {
        let mut types: Vec<_> = catalog
            .messages
            .iter()
            .map(|one| one.wire.as_str())
            .collect();
        types.dedup();
        let there_is = match types.as_slice() {
            [] => "schemas/ describes no message".into(),
            types => format!("there are {}", types.join(", ")),
        };
        return Err(Failure::usage(format!(
            "there is no schema of a type `{}`; {there_is}",
            output::clean(message_type)
        )));
    }
    let versions = of_type
        .iter()
        .map(|one| one.version.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    match (version, of_type.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::usage(format!(
            "say which version of {message_type}: --version {versions}"
        ))),
        (Some(version), _) => of_type
            .iter()
            .find(|one| one.version == version)
            .copied()
            .ok_or_else(|| {
                Failure::usage(format!(
                    "there is no schema of {message_type} v{version}; there are versions {versions}"
                ))
            }),
    }
}
