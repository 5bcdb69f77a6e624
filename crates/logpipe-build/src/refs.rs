//! Which schema does a `$ref` mean?
//!
//! Every file of the folder is a document; a place is a document and a node in it. Resources (`$id`) and anchors are
//! found once, by walking what keywords hold schemas, so that an `$id` inside an `enum` or a `default` is just data.
//! A reference is joined to the base that it stands under and looked up in what was found: there is no way from here
//! to a file system or a network.

use std::collections::BTreeMap;

use crate::diagnostic::{Report, nearest, quote};
use crate::dialect::{self, Dialect};
use crate::json::{Json, NodeId, Tree, Value};
use crate::source::{Source, Span};
use crate::uri::{self, Fault};

/// A value in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index of the document.
    pub(crate) document: usize,
    pub(crate) node: NodeId,
}

/// Every schema file, and what in it can be referred to.
pub(crate) struct Documents<'a> {
    documents: Vec<Document<'a>>,
    /// By absolute URI without a fragment.
    resources: BTreeMap<String, Found>,
    /// By the URI of the resource, then the anchor.
    anchors: BTreeMap<(String, String), Place>,
    /// What references under a place are joined to: its own for each resource.
    bases: BTreeMap<Place, String>,
}

struct Document<'a> {
    source: &'a Source,
    tree: Tree,
    dialect: Dialect,
}

#[derive(Debug, Clone, Copy)]
enum Found {
    Here(Place),
    /// A file that is no JSON; that was told.
    Broken,
}

/// Why a reference can't be followed.
pub(crate) enum Unresolved {
    /// It leads into a file that is no JSON, which was told already.
    Broken,
    /// In words: what is wrong, what to do.
    Fault(String, String),
}

impl<'a> Documents<'a> {
    /// Takes the files that were read, in order: (source, path within the folder, tree unless it is broken).
    pub(crate) fn new(
        files: impl IntoIterator<Item = (&'a Source, String, Option<Tree>)>,
        report: &mut Report,
    ) -> Self {
        let (documents, resources) = (Vec::new(), BTreeMap::new());
        let mut this = Self {
            documents,
            resources,
            anchors: BTreeMap::new(),
            bases: BTreeMap::new(),
        };
        for (source, path, tree) in files {
            let uri = format!("{}{path}", uri::FOLDER);
            let document = this.documents.len();
            let found = tree.map_or(Found::Broken, |tree| {
                let dialect = dialect::of(source, tree.at(NodeId::default()), report);
                this.documents.push(Document {
                    source,
                    tree,
                    dialect,
                });
                Found::Here(Place {
                    document,
                    node: NodeId::default(),
                })
            });
            this.resources.insert(uri.clone(), found);
            if let Found::Here(root) = found {
                this.bases.insert(root, uri);
            }
        }
        for document in 0..this.documents.len() {
            this.index(document, report);
        }
        this
    }

    /// The root of a file by its name, unless it is no JSON.
    pub(crate) fn root(&self, source: &str) -> Option<Place> {
        let document = self
            .documents
            .iter()
            .position(|document| document.source.name == source)?;
        Some(Place {
            document,
            node: NodeId::default(),
        })
    }

    /// How many files there are; a place's document is below it.
    pub(crate) fn count(&self) -> usize {
        self.documents.len()
    }

    pub(crate) fn at(&self, place: Place) -> Json<'_> {
        self.documents[place.document].tree.at(place.node)
    }

    pub(crate) fn source(&self, place: Place) -> &'a Source {
        self.documents[place.document].source
    }

    pub(crate) fn dialect(&self, place: Place) -> Dialect {
        self.documents[place.document].dialect
    }

    /// The schema that a reference at this place means.
    pub(crate) fn resolve(&self, from: Place, reference: &str) -> Result<Place, Unresolved> {
        let target = uri::resolve(self.base(from), reference).map_err(|fault| match fault {
            Fault::Outside => Unresolved::Fault(
                format!(
                    "the reference {} leads outside the folder of schemas",
                    quote(reference)
                ),
                "copy the schema into `types/`; nothing is read elsewhere".into(),
            ),
            Fault::Escape => Unresolved::Fault(
                format!(
                    "the reference {} is no URI: a `%` is followed by two hexadecimal digits",
                    quote(reference)
                ),
                "a percent sign itself is `%25`".into(),
            ),
        })?;
        let root = match self.resources.get(&target.uri) {
            Some(Found::Here(root)) => *root,
            Some(Found::Broken) => return Err(Unresolved::Broken),
            None => return Err(self.missing(&target.uri, reference)),
        };
        if target.fragment.is_empty() || target.fragment.starts_with('/') {
            return self.follow(root, &target.fragment, reference);
        }
        // A file has two names if its root has an `$id`; anchors are under the second.
        let resource = self.base(root);
        let found = self
            .anchors
            .get(&(resource.to_owned(), target.fragment.clone()));
        found.copied().ok_or_else(|| {
            let here = self
                .anchors
                .keys()
                .filter(|(uri, _)| uri == resource)
                .map(|(_, anchor)| anchor.as_str());
            let help = match nearest(&target.fragment, here) {
                Some(known) => format!("did you mean {}?", quote(&format!("#{known}"))),
                None => format!(
                    "a path begins with a slash: {}",
                    quote(&format!("#/$defs/{}", target.fragment))
                ),
            };
            Unresolved::Fault(
                format!("no schema there has the anchor {}", quote(&target.fragment)),
                help,
            )
        })
    }

    /// Follows a JSON pointer.
    fn follow(&self, root: Place, pointer: &str, reference: &str) -> Result<Place, Unresolved> {
        let mut here = self.at(root);
        for token in pointer.split('/').skip(1) {
            if token
                .split('~')
                .skip(1)
                .any(|rest| !rest.starts_with(['0', '1']))
            {
                let message = format!(
                    "the reference {} is no JSON pointer: a `~` is followed by 0 or 1",
                    quote(reference)
                );
                return Err(Unresolved::Fault(message, "a tilde itself is `~0`".into()));
            }
            let token = token.replace("~1", "/").replace("~0", "~");
            let next = match here.value() {
                Value::Array(_) => index(&token).and_then(|index| here.items().nth(index)),
                _ => here.get(&token),
            };
            here = next.ok_or_else(|| {
                let known = nearest(&token, here.members().map(|(key, ..)| key));
                let help = match known {
                    Some(known) => format!("did you mean {}?", quote(known)),
                    None => "define it there, or correct the reference".into(),
                };
                let message = format!(
                    "the reference {} leads nowhere: there is no {}",
                    quote(reference),
                    quote(&token)
                );
                Unresolved::Fault(message, help)
            })?;
        }
        Ok(Place {
            document: root.document,
            node: here.id(),
        })
    }

    fn missing(&self, uri: &str, reference: &str) -> Unresolved {
        let message = match uri.strip_prefix(uri::FOLDER) {
            Some(path) => format!("there is no file {} in the folder of schemas", quote(path)),
            None => format!(
                "the reference {} means {}, which no schema here has as its `$id`",
                quote(reference),
                quote(uri)
            ),
        };
        let known = nearest(uri, self.resources.keys().map(String::as_str));
        let help = match (known, uri.strip_prefix(uri::FOLDER)) {
            (Some(known), _) => format!("did you mean {}?", quote(shown(known))),
            (None, Some(_)) => {
                "paths are relative to the file they stand in; library schemas lie below `types/`"
                    .into()
            }
            (None, None) => {
                "nothing is fetched: put that schema, with its `$id`, below `types/`".into()
            }
        };
        Unresolved::Fault(message, help)
    }

    /// What references at this place are joined to.
    fn base(&self, place: Place) -> &str {
        let mut here = self.at(place);
        loop {
            if let Some(base) = self.bases.get(&Place {
                document: place.document,
                node: here.id(),
            }) {
                return base;
            }
            match here.parent() {
                Some((parent, _)) => here = parent,
                None => return uri::FOLDER,
            }
        }
    }

    /// Finds the resources and anchors of a document.
    fn index(&mut self, document: usize, report: &mut Report) {
        // A list of what is still to do, for a schema nests as deep as its author likes.
        let mut todo = vec![NodeId::default()];
        while let Some(node) = todo.pop() {
            let place = Place { document, node };
            todo.extend(
                dialect::schemas_in(self.at(place))
                    .into_iter()
                    .rev()
                    .map(Json::id),
            );
            self.name(place, report);
        }
    }

    /// Takes the names that a schema gives itself.
    fn name(&mut self, place: Place, report: &mut Report) {
        let (schema, source, dialect) = (self.at(place), self.source(place), self.dialect(place));
        let text = |key: &str| {
            schema
                .get(key)
                .and_then(|value| Some((value.as_str()?.to_owned(), value.span())))
        };
        let (id, anchor, dynamic) = (text("$id"), text("$anchor"), text("$dynamicAnchor"));
        let mut anchors = match dialect {
            Dialect::Draft202012 => vec![anchor, dynamic],
            Dialect::Draft07 => Vec::new(),
        };
        // Beside a `$ref`, draft 7 reads nothing else; the root keeps its name all the same, for others refer to it.
        if dialect == Dialect::Draft07 && schema.get("$ref").is_some() && schema.parent().is_some()
        {
            return;
        }
        if let Some((id, span)) = id {
            match id.strip_prefix('#') {
                Some(anchor) if dialect == Dialect::Draft07 => {
                    anchors.push(Some((anchor.to_owned(), span)))
                }
                _ => self.resource(place, source, &id, span, report),
            }
        }
        for (anchor, span) in anchors.into_iter().flatten() {
            if !is_anchor(&anchor, dialect) {
                report.error(
                    source,
                    span,
                    format!("{} is no anchor", quote(&anchor)),
                    "begin it with a letter; letters, digits, `-`, `_` and `.` may follow",
                );
                continue;
            }
            let uri = self.base(place).to_owned();
            if self.anchors.insert((uri, anchor.clone()), place).is_some() {
                report.error(
                    source,
                    span,
                    format!("the anchor {} stands twice", quote(&anchor)),
                    "rename one",
                );
            }
        }
    }

    fn resource(
        &mut self,
        place: Place,
        source: &Source,
        id: &str,
        span: Span,
        report: &mut Report,
    ) {
        match uri::resolve(self.base(place), id) {
            Ok(target) if target.fragment.is_empty() => {
                let taken = match self.resources.get(&target.uri) {
                    Some(Found::Here(other)) => *other != place,
                    Some(Found::Broken) => true,
                    None => false,
                };
                if taken {
                    let help =
                        "give each schema its own, or leave it out: files are found by their paths";
                    report.error(
                        source,
                        span,
                        format!(
                            "another schema has the `$id` {} too",
                            quote(shown(&target.uri))
                        ),
                        help,
                    );
                    return;
                }
                self.resources
                    .insert(target.uri.clone(), Found::Here(place));
                self.bases.insert(place, target.uri);
            }
            Ok(_) => {
                let help = "name a place with `$anchor`";
                report.error(
                    source,
                    span,
                    format!("the `$id` {} has a fragment", quote(id)),
                    help,
                );
            }
            Err(_) => {
                let message = format!(
                    "the `$id` {} is no URI in or outside this folder",
                    quote(id)
                );
                report.error(
                    source,
                    span,
                    message,
                    "write an absolute URI, or leave it out",
                );
            }
        }
    }
}

/// The place in an array that a part of a pointer names: by RFC 6901 digits alone, and no zero in front.
fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = token == "0" || !token.starts_with('0');
    (digits && canonical).then(|| token.parse().ok()).flatten()
}

/// What JSON Schema takes as an anchor: 2020-12 begins it with a letter or `_`, draft 7 with a letter and knows `:`.
fn is_anchor(anchor: &str, dialect: Dialect) -> bool {
    let older = dialect == Dialect::Draft07;
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' && !older;
    let rest =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) || byte == b':' && older;
    anchor.bytes().next().is_some_and(first) && anchor.bytes().all(rest)
}

/// A URI as its author would write it.
fn shown(uri: &str) -> &str {
    uri.strip_prefix(uri::FOLDER).unwrap_or(uri)
}
