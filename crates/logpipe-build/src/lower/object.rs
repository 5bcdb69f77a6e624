//! Which members does an object have? Structs, maps, and what is required of them.

use std::collections::BTreeMap;

use super::{Lowering, Use};
use crate::catalog::{Check, Docs, Field, Item, Presence, Rules, Shape, Ty, TypeId, Unknown};
use crate::diagnostic::{Severity, nearest, quote};
use crate::json::{Json, Value};
use crate::refs::Place;

impl<'a> Lowering<'a, '_> {
    /// A struct, whose members wait in the queue, or a map.
    pub(super) fn object(&mut self, place: Place) -> Rules {
        let schema = self.at(place);
        let values = schema
            .get("additionalProperties")
            .filter(|values| !is_true(*values));
        let ours = self.extension(place, &["unknown-fields"]);
        let closed = values.is_some_and(|values| values.as_bool() == Some(false));
        let declared = schema.get("properties").is_some()
            || Some(place) == self.root
            || closed
            || ours.unknown_fields;
        if let Some(values) = values.filter(|_| !closed && declared) {
            let (message, help) = match (schema.get("properties"), ours.unknown_fields) {
                (None, false) => (
                    "not supported yet: a message that is a map",
                    "put the map in a property",
                ),
                (None, true) => (
                    "a map has no unknown fields to keep",
                    "take `unknown-fields` out",
                ),
                _ => (
                    "not supported yet: `properties` and a schema for all others",
                    "put the others in a property of their own, which is a map",
                ),
            };
            self.error(place, values, message, help);
        }
        if ours.unknown_fields && closed {
            let at = schema.get("additionalProperties").unwrap_or(schema);
            self.error(
                place,
                at,
                "a closed object has no unknown fields to keep",
                "take one of the two out",
            );
        }
        if !declared {
            return self.map(place, values);
        }
        let id = self.reserve(place);
        let unknown = match (closed, ours.unknown_fields) {
            (true, _) => Unknown::Reject,
            (false, true) => Unknown::Keep,
            (false, false) => Unknown::Ignore,
        };
        self.catalog.types[id.0].shape = Shape::Struct {
            fields: Vec::new(),
            unknown,
            checks: Vec::new(),
        };
        self.queue.push_back((place, id));
        Rules {
            ty: Ty::Named(id),
            checks: Vec::new(),
        }
    }

    fn map(&mut self, place: Place, values: Option<Json<'_>>) -> Rules {
        // A map declares no member, so it can require none.
        self.required(place, None);
        let item = match values {
            Some(values) => Item::from(self.schema(Place {
                node: values.id(),
                ..place
            })),
            None => Item::from(Use::plain(Ty::Any)),
        };
        let (min, max) = self.counts(place, "minProperties", "maxProperties");
        let mut checks = Vec::new();
        checks.extend(min.map(Check::MinProperties));
        checks.extend(max.map(Check::MaxProperties));
        Rules {
            ty: Ty::Map(Box::new(item)),
            checks,
        }
    }

    /// Fills in a struct.
    pub(super) fn members(&mut self, place: Place, id: TypeId) {
        let schema = self.at(place);
        let properties = schema.get("properties");
        if let Some(other) = properties.filter(|properties| !properties.is_object()) {
            self.error(
                place,
                other,
                format!("`properties` is an object, not {}", other.kind()),
                "write `\"properties\": {\"name\": {\"type\": \"string\"}}`",
            );
        }
        let required = self.required(place, properties);
        let mut members = Vec::new();
        for (name, _, value) in properties.into_iter().flat_map(Json::members) {
            let at = Place {
                node: value.id(),
                ..place
            };
            let (docs, default) = self.around(at);
            if let Some(default) = default {
                self.defaults.push((id, members.len(), default));
            }
            let used = self.schema(at);
            let presence = match (required.contains_key(name), used.nullable) {
                (true, false) => Presence::Required,
                (true, true) => Presence::Nullable,
                (false, false) => Presence::Optional,
                (false, true) => Presence::OptionalNullable,
            };
            members.push(Field {
                wire: name.to_owned(),
                rust: String::new(),
                value: used.rules,
                presence,
                default: None,
                boxed: false,
                docs,
                origin: self.origin(at, value),
            });
        }
        let (min, max) = self.counts(place, "minProperties", "maxProperties");
        let counted = self.counted(place, min, max, required.len(), members.len(), id);
        if let Shape::Struct { fields, checks, .. } = &mut self.catalog.types[id.0].shape {
            (*fields, *checks) = (members, counted);
        }
    }

    /// The rules on the number of members that the declared ones leave something to say.
    fn counted(
        &mut self,
        place: Place,
        min: Option<u64>,
        max: Option<u64>,
        required: usize,
        declared: usize,
        id: TypeId,
    ) -> Vec<Check> {
        let schema = self.at(place);
        let closed = matches!(
            self.catalog.types[id.0].shape,
            Shape::Struct {
                unknown: Unknown::Reject,
                ..
            }
        );
        let (required, declared) = (required as u64, declared as u64);
        if let (Some(at), Some(min)) = (schema.get("minProperties"), min)
            && closed
            && min > declared
        {
            let message =
                format!("this object has {declared} members at most, and `minProperties` is {min}");
            self.error(place, at, message, "correct one of them");
        }
        if let (Some(at), Some(max)) = (schema.get("maxProperties"), max)
            && max < required
        {
            let message = format!("{required} members are required, and `maxProperties` is {max}");
            self.error(place, at, message, "correct one of them");
        }
        let mut checks = Vec::new();
        checks.extend(min.filter(|&min| min > required).map(Check::MinProperties));
        checks.extend(
            max.filter(|&max| !closed || max < declared)
                .map(Check::MaxProperties),
        );
        checks
    }

    /// The names that `required` lists and `properties` declares.
    fn required(
        &mut self,
        place: Place,
        properties: Option<Json<'_>>,
    ) -> BTreeMap<&'a str, Json<'a>> {
        let mut required = BTreeMap::new();
        let Some(list) = self.at(place).get("required") else {
            return required;
        };
        if !list.is_array() {
            let help = "write `\"required\": [\"name\"]` on the object, not on the property";
            self.error(
                place,
                list,
                format!("`required` is a list of names, not {}", list.kind()),
                help,
            );
            return required;
        }
        for at in list.items() {
            let Some(name) = at.as_str() else {
                self.error(
                    place,
                    at,
                    format!("`required` lists names, and this is {}", at.kind()),
                    "write the name of a property, in quotes",
                );
                continue;
            };
            if !self.has_room(place, Severity::Error) {
                break;
            }
            if properties.is_none_or(|properties| properties.get(name).is_none()) {
                let known = nearest(
                    name,
                    properties
                        .into_iter()
                        .flat_map(Json::members)
                        .map(|(key, ..)| key),
                );
                let help = match known {
                    Some(known) => format!("did you mean {}?", quote(known)),
                    None => "declare it in `properties`, `true` for a value of any kind".into(),
                };
                let message = format!(
                    "`required` names {}, which `properties` does not declare",
                    quote(name)
                );
                self.error(place, at, message, help);
            } else if required.insert(name, at).is_some() {
                self.error(
                    place,
                    at,
                    format!("{} stands twice in `required`", quote(name)),
                    "remove one of the two",
                );
            }
        }
        required
    }

    /// A property's docs and default: its own, or, behind a reference, those of what is used.
    fn around(&mut self, at: Place) -> (Docs, Option<Place>) {
        let own = self.docs(at);
        let refers = self.at(at).get("$ref").is_some();
        let reads = !refers || self.documents.dialect(at) != crate::dialect::Dialect::Draft07;
        let default = |this: &Self, place: Place| {
            this.at(place).get("default").map(|default| Place {
                node: default.id(),
                ..place
            })
        };
        let here = default(self, at).filter(|_| reads);
        if !refers {
            return (own, here);
        }
        let Some(target) = self.target(at) else {
            return (own, here);
        };
        // A long text is not said again by each that refers to it.
        let theirs = self.docs_up_to(target, 1024);
        let docs = Docs {
            title: own.title.or(theirs.title),
            description: own.description.or(theirs.description),
            deprecated: own.deprecated || theirs.deprecated,
        };
        (docs, here.or_else(|| default(self, target)))
    }

    /// The root's field that `x-logpipe` names as the key.
    pub(super) fn key(&mut self, file: Place, root: TypeId) -> Option<usize> {
        let at = self.at(file).get("x-logpipe")?.get("key")?;
        let name = at.as_str()?;
        let Shape::Struct { fields, .. } = &self.catalog.types[root.0].shape else {
            return None;
        };
        let Some(index) = fields.iter().position(|field| field.wire == name) else {
            let known = nearest(name, fields.iter().map(|field| field.wire.as_str()));
            let help = match known {
                Some(known) => format!("did you mean {}?", quote(known)),
                None => "name a required property of the message".into(),
            };
            self.error(
                file,
                at,
                format!("the key {} is no property of the message", quote(name)),
                help,
            );
            return None;
        };
        let field = &fields[index];
        let (presence, keys) = (field.presence, self.is_key(&field.value.ty));
        if presence != Presence::Required {
            let message = format!("the key {} may be absent or null", quote(name));
            self.error(
                file,
                at,
                message,
                "name it in `required`, and take `null` out of its type",
            );
        } else if !keys {
            let message = format!("the key {} is neither a string nor an integer", quote(name));
            self.error(
                file,
                at,
                message,
                "a key is text: a string, a format, an integer or a set of strings",
            );
        }
        Some(index)
    }

    fn is_key(&self, ty: &Ty) -> bool {
        match ty {
            Ty::String | Ty::Integer(_) | Ty::Format(_) => true,
            Ty::Named(id) => match &self.catalog.types[id.0].shape {
                Shape::Enum { .. } => true,
                // A newtype of a named type is not made, so this is one step.
                Shape::Newtype(rules) => {
                    matches!(rules.ty, Ty::String | Ty::Integer(_) | Ty::Format(_))
                }
                Shape::Struct { .. } => false,
            },
            Ty::Bool | Ty::Number | Ty::List(_) | Ty::Map(_) | Ty::Any => false,
        }
    }
}

/// A schema that allows everything.
fn is_true(schema: Json<'_>) -> bool {
    match schema.value() {
        Value::Bool(value) => *value,
        Value::Object(_) => schema.members().next().is_none(),
        _ => false,
    }
}
