//! What do the schemas of the messages mean? JSON Schema in, the catalog out.
//!
//! Each message is lowered by itself, with all that its references reach. Places are the memory: whatever leads to a
//! schema, it becomes one type, named after where it stands. Objects wait in a queue, so types may nest and recur as
//! they like; only lists and maps recurse, and [`DEPTH`] bounds them.

mod default;
mod extension;
mod number;
mod object;
mod pattern;
mod rest;
mod string;
mod value;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sha2::{Digest, Sha256};

use crate::catalog::{
    Catalog, Hashes, Hint, Home, Item, Message, Origin, Rules, Shape, Ty, Type, TypeId,
};
use crate::diagnostic::{Report, Severity, quote};
use crate::dialect::{self, Dialect, Role};
use crate::discover::Kind;
use crate::json::{DEPTH, Json};
use crate::name;
use crate::refs::{Documents, Place, Unresolved};
use crate::source::Source;

/// Lowers every message. What no message reaches becomes nothing, but is looked at all the same.
pub(crate) fn lower<'s>(
    documents: &Documents<'_>,
    files: impl Iterator<Item = (&'s Kind, &'s Source)>,
    report: &mut Report,
) -> Catalog {
    let mut messages = files
        .filter_map(|(kind, source)| match kind {
            Kind::Message { stem, version } => Some((name::module(stem), *version, stem, source)),
            Kind::Library => None,
        })
        .collect::<Vec<_>>();
    messages.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));

    let mut catalog = Catalog::default();
    let roots = messages
        .iter()
        .filter_map(|(.., source)| documents.root(&source.name))
        .collect::<BTreeSet<_>>();
    let (mut reached, mut lowered) = (BTreeSet::new(), BTreeSet::new());
    let mut wires = Wires::default();
    for (module, version, stem, source) in messages {
        let Some(root) = documents.root(&source.name) else {
            continue;
        };
        let home = Home {
            module: module.clone(),
            version,
        };
        let mut lowering = Lowering::new(documents, &roots, report, &mut catalog, home);
        let message = lowering.message(root);
        lowered.extend(lowering.looked_at());
        let Some((root_type, key)) = message else {
            reached.append(&mut lowering.reached);
            continue;
        };
        let wire = lowering.wire(root).unwrap_or_else(|| stem.clone());
        let mut seen = std::mem::take(&mut lowering.reached);
        let hashes = hashes(documents, source, &seen);
        reached.append(&mut seen);
        wires.check(&wire, &module, source, documents.at(root), report);
        catalog.messages.push(Message {
            wire,
            rust: module,
            version,
            root: root_type,
            key,
            source: source.name.clone(),
            hashes,
        });
    }
    rest::unused(documents, &roots, &reached, report);
    rest::unreached(documents, &roots, &lowered, report);
    catalog
}

/// One message being lowered.
struct Lowering<'a, 'd> {
    documents: &'a Documents<'d>,
    /// The roots of all files that are messages.
    messages: &'a BTreeSet<Place>,
    report: &'a mut Report,
    catalog: &'a mut Catalog,
    home: Home,
    /// The schema that is the message: the file's root, or what that refers to. None where no message is lowered.
    root: Option<Place>,
    /// What was lowered.
    known: BTreeMap<Place, Use>,
    /// What is being lowered; a list or map that meets itself gets a type on the way.
    open: BTreeMap<Place, Option<TypeId>>,
    /// Structs whose members wait.
    queue: VecDeque<(Place, TypeId)>,
    /// Defaults to check when all types are there: the field's type and index, and the default's place.
    defaults: Vec<(TypeId, usize, Place)>,
    /// Schemas with a default, wherever they stand.
    with_default: Vec<Place>,
    /// Where the references that were followed end.
    targets: BTreeMap<Place, Option<Place>>,
    /// What references led to.
    reached: BTreeSet<Place>,
}

/// What a schema is for the one that uses it.
#[derive(Debug, Clone)]
struct Use {
    rules: Rules,
    nullable: bool,
}

impl Use {
    fn plain(ty: Ty) -> Self {
        Self {
            rules: Rules {
                ty,
                checks: Vec::new(),
            },
            nullable: false,
        }
    }
}

impl From<Use> for Item {
    fn from(used: Use) -> Self {
        Self {
            value: used.rules,
            nullable: used.nullable,
        }
    }
}

impl<'a, 'd> Lowering<'a, 'd> {
    fn new(
        documents: &'a Documents<'d>,
        messages: &'a BTreeSet<Place>,
        report: &'a mut Report,
        catalog: &'a mut Catalog,
        home: Home,
    ) -> Self {
        Self {
            documents,
            messages,
            report,
            catalog,
            home,
            root: None,
            known: BTreeMap::new(),
            open: BTreeMap::new(),
            queue: VecDeque::new(),
            defaults: Vec::new(),
            with_default: Vec::new(),
            targets: BTreeMap::new(),
            reached: BTreeSet::new(),
        }
    }

    /// The struct that is the message, and which of its fields is the key.
    fn message(&mut self, file: Place) -> Option<(TypeId, Option<usize>)> {
        // The root can be a reference itself, as tools write it that keep every type in `definitions`.
        self.root = Some(file);
        let at = self.target(file)?;
        self.root = Some(at);
        if at != file {
            self.extension(file, &[]);
        }
        let used = self.schema(at);
        self.finish();
        let schema = self.at(at);
        let root = match used.rules.ty {
            Ty::Named(id) if matches!(self.catalog.types[id.0].shape, Shape::Struct { .. }) => id,
            _ => {
                let help = "begin with `\"type\": \"object\"` and `\"properties\"`";
                // What is no schema at all, or says more than we read, was told.
                if !matches!(used.rules.ty, Ty::Any) || dialect::is_bare(schema) {
                    self.error(at, schema, "a message is an object, and this is none", help);
                }
                return None;
            }
        };
        if used.nullable {
            self.error(
                at,
                schema,
                "a message can't be null",
                "take `null` out of its type",
            );
        }
        Some((root, self.key(file, root)))
    }

    /// Lowers the members of all structs, then looks at the defaults.
    fn finish(&mut self) {
        while let Some((place, id)) = self.queue.pop_front() {
            self.members(place, id);
        }
        self.settle_defaults();
    }

    /// The schemas that were lowered, references included.
    fn looked_at(&self) -> impl Iterator<Item = Place> {
        self.known.keys().chain(self.targets.keys()).copied()
    }

    /// Whether a place is the root of a file that is a message.
    fn is_message(&self, place: Place) -> bool {
        self.messages.contains(&place)
    }

    /// What a schema is, wherever it is used.
    fn schema(&mut self, place: Place) -> Use {
        let Some(place) = self.target(place) else {
            return Use::plain(Ty::Any);
        };
        if let Some(known) = self.known.get(&place) {
            return known.clone();
        }
        if let Some(&open) = self.open.get(&place) {
            let id = open.unwrap_or_else(|| self.reserve(place));
            self.open.insert(place, Some(id));
            let nullable = value::admits_null(self.at(place));
            return Use {
                nullable,
                ..Use::plain(Ty::Named(id))
            };
        }
        if self.open.len() == DEPTH {
            let message =
                format!("lists and maps hold each other through more than {DEPTH} references");
            self.error(place, self.at(place), message, "put an object between them");
            return Use::plain(Ty::Any);
        }
        self.open.insert(place, None);
        if self.at(place).get("default").is_some() {
            self.with_default.push(place);
        }
        let mut used = self.value(place);
        let met_itself = self.open.remove(&place).flatten();
        let ruled = !used.rules.checks.is_empty() && self.is_definition(place);
        if met_itself.is_some() || ruled {
            let id = met_itself.unwrap_or_else(|| self.reserve(place));
            let rules = std::mem::replace(
                &mut used.rules,
                Rules {
                    ty: Ty::Named(id),
                    checks: Vec::new(),
                },
            );
            self.catalog.types[id.0].shape = Shape::Newtype(rules);
        }
        self.known.insert(place, used.clone());
        used
    }

    /// Follows references until there is a schema that is none.
    fn target(&mut self, from: Place) -> Option<Place> {
        // A file with so many faults that no more are told is not read further.
        if !self.has_room(from, Severity::Error) {
            return None;
        }
        let mut way = BTreeSet::new();
        let mut here = from;
        let target = loop {
            if let Some(&known) = self.targets.get(&here) {
                break known;
            }
            let Some(reference) = self.at(here).get("$ref") else {
                break Some(here);
            };
            if !way.insert(here) {
                let message = "this reference leads back to itself, and never to a schema";
                let help = "let one of the references on the way be a schema";
                self.error(here, reference, message, help);
                break None;
            }
            match self.refer(here, reference) {
                Some(next) => here = next,
                None => break None,
            }
        };
        // Who comes to any of them later need not go the rest of the way again.
        self.targets
            .extend(way.into_iter().map(|place| (place, target)));
        target
    }

    /// Follows one reference.
    fn refer(&mut self, from: Place, reference: Json<'_>) -> Option<Place> {
        self.beside_reference(from, self.at(from));
        let Some(text) = reference.as_str() else {
            let message = format!("`$ref` is a string, not {}", reference.kind());
            self.error(
                from,
                reference,
                message,
                "write `\"$ref\": \"#/$defs/name\"`, or the path of a file",
            );
            return None;
        };
        match self.documents.resolve(from, text) {
            Ok(found) => {
                self.reached.insert(found);
                let reads = self.documents.dialect(from) != Dialect::Draft07;
                if reads && self.at(from).get("default").is_some() {
                    self.with_default.push(from);
                }
                Some(found)
            }
            Err(Unresolved::Broken) => None,
            Err(Unresolved::Fault(message, help)) => {
                self.error(from, reference, message, help);
                None
            }
        }
    }

    /// A type to be filled in.
    fn reserve(&mut self, place: Place) -> TypeId {
        let hint = self.hint(place);
        let schema = self.at(place);
        let docs = self.docs(place);
        let id = TypeId(self.catalog.types.len());
        self.catalog.types.push(Type {
            name: String::new(),
            hint,
            home: self.home.clone(),
            origin: self.origin(place, schema),
            docs,
            shape: Shape::Newtype(Rules {
                ty: Ty::Any,
                checks: Vec::new(),
            }),
        });
        id
    }

    /// What a type is named after: where it stands, never who met it first.
    fn hint(&mut self, place: Place) -> Hint {
        if Some(place) == self.root {
            return Hint::Message;
        }
        let document = place.document;
        let within = |part: Json<'_>| Place {
            document,
            node: part.id(),
        };
        let role = self.role(place);
        match role {
            Role::Root => {
                let path = &self.documents.source(place).name;
                Hint::Definition(name::stem(path).to_owned())
            }
            Role::Definition(name) | Role::Other(name) => Hint::Definition(name.to_owned()),
            // Only what is sure to be a struct is lowered for its name's sake: nothing comes back here from there.
            Role::Property(object, name) if value::is_struct(object) => {
                match self.schema(within(object)).rules.ty {
                    Ty::Named(id) => Hint::Within(id, name.to_owned()),
                    _ => Hint::Definition(name.to_owned()),
                }
            }
            Role::Property(_, name) => Hint::Definition(name.to_owned()),
            Role::Item(list) => Self::part(self.hint(within(list)), "item"),
            Role::Value(map) => Self::part(self.hint(within(map)), "value"),
        }
    }

    /// A list's item in a field has the field's name to itself; under a definition the list may have it.
    fn part(hint: Hint, part: &str) -> Hint {
        match hint {
            Hint::Definition(name) => Hint::Definition(format!("{name} {part}")),
            Hint::Within(..) | Hint::Message => hint,
        }
    }

    /// How the place is held. Who is being lowered is known to be a schema; else the way from the root tells.
    fn role(&self, place: Place) -> Role<'a> {
        let schema = self.at(place);
        let document = place.document;
        let is_schema = |part: Json<'_>| {
            let place = Place {
                document,
                node: part.id(),
            };
            self.known.contains_key(&place) || self.open.contains_key(&place)
        };
        dialect::role_among(schema, is_schema).unwrap_or_else(|| dialect::role(schema))
    }

    fn is_definition(&self, place: Place) -> bool {
        matches!(self.role(place), Role::Root | Role::Definition(_))
    }

    fn at(&self, place: Place) -> Json<'a> {
        self.documents.at(place)
    }

    fn origin(&self, place: Place, part: Json<'_>) -> Origin {
        let source = self.documents.source(place).name.clone();
        Origin {
            source,
            pointer: part.pointer(),
            span: part.span(),
        }
    }

    fn has_room(&self, place: Place, severity: Severity) -> bool {
        self.report.has_room(self.documents.source(place), severity)
    }

    /// Tells of a fault at a part of the place's document.
    fn error(
        &mut self,
        place: Place,
        part: Json<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report
            .error(self.documents.source(place), part.span(), message, help);
    }

    fn warn(
        &mut self,
        place: Place,
        part: Json<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report
            .warn(self.documents.source(place), part.span(), message, help);
    }
}

/// Wire names, each of one module.
#[derive(Default)]
struct Wires {
    by_wire: BTreeMap<String, String>,
    by_module: BTreeMap<String, String>,
}

impl Wires {
    fn check(
        &mut self,
        wire: &str,
        module: &str,
        source: &Source,
        root: Json<'_>,
        report: &mut Report,
    ) {
        let declared = root
            .get("x-logpipe")
            .and_then(|ours| ours.get("type"))
            .unwrap_or(root);
        let first = self
            .by_wire
            .entry(wire.to_owned())
            .or_insert_with(|| module.to_owned());
        if first != module {
            let message = format!(
                "the module {} has the type {} already",
                quote(first),
                quote(wire)
            );
            report.error(
                source,
                declared.span(),
                message,
                "let each message have its own `type`",
            );
        }
        let first = self
            .by_module
            .entry(module.to_owned())
            .or_insert_with(|| wire.to_owned());
        if first != wire {
            let message = format!(
                "other versions of this message have the type {}, not {}",
                quote(first),
                quote(wire)
            );
            report.error(
                source,
                declared.span(),
                message,
                "let every version have the same `x-logpipe` `type`",
            );
        }
    }
}

/// Digests of a message's file and of all others that its references led to.
fn hashes(documents: &Documents<'_>, own: &Source, reached: &BTreeSet<Place>) -> Hashes {
    let others = reached
        .iter()
        .map(|&place| documents.source(place))
        .filter(|source| source.name != own.name);
    let references = others
        .map(|source| (source.name.as_str(), source))
        .collect::<BTreeMap<_, _>>();
    let references = references
        .into_values()
        .map(|source| (source.name.clone(), digest(&source.text)));
    Hashes {
        content: digest(&own.text),
        references: references.collect(),
    }
}

/// SHA-256 of a text as it would be with line feeds alone, in hex.
fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.replace("\r\n", "\n"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
