//! What does a JSON text say, and where does it say it?
//!
//! The tree is an arena, so that a place is a small number, its pointer is found by climbing, and nothing recurses
//! when it is dropped. Objects keep their order. Reading is in [`read`].

mod read;

use crate::source::Span;

pub(crate) use read::read;

/// Nothing nests deeper: neither a schema nor, as the run time holds it, a message.
pub(crate) const DEPTH: usize = 128;

/// Bytes of a pointer.
const POINTER: usize = 1024;

/// A whole text.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The root is the first.
    nodes: Vec<Node>,
}

/// Index of a value in its tree; the root is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

#[derive(Debug)]
struct Node {
    span: Span,
    /// The container and the place in it; the root has none.
    parent: Option<(NodeId, u32)>,
    value: Value,
}

/// A value; containers hold the places of their parts.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As spelled, in JSON's grammar, of any size.
    Number(String),
    String(String),
    Array(Vec<NodeId>),
    Object(Object),
}

/// Members in the order of the text; of two with one name (which was told of) the last counts.
#[derive(Debug, Default)]
pub(crate) struct Object {
    members: Vec<Member>,
    /// Indices of `members` in the order of the names, for look-up.
    sorted: Vec<u32>,
}

#[derive(Debug)]
struct Member {
    key: String,
    key_span: Span,
    value: NodeId,
}

/// A value in its tree: what the stages pass around.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<'a> {
    tree: &'a Tree,
    id: NodeId,
}

/// The way from a container to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Tree {
    /// The value at a place of this tree.
    pub(crate) fn at(&self, id: NodeId) -> Json<'_> {
        Json { tree: self, id }
    }
}

impl<'a> Json<'a> {
    pub(crate) fn id(self) -> NodeId {
        self.id
    }

    pub(crate) fn value(self) -> &'a Value {
        &self.node().value
    }

    pub(crate) fn span(self) -> Span {
        self.node().span
    }

    /// The container and the way from it to here.
    pub(crate) fn parent(self) -> Option<(Self, Step<'a>)> {
        let (id, place) = self.node().parent?;
        let parent = self.tree.at(id);
        let step = match parent.value() {
            Value::Object(object) => Step::Key(&object.members[place as usize].key),
            _ => Step::Index(place as usize),
        };
        Some((parent, step))
    }

    /// The JSON pointer of this place: `/$defs/a~1b`. Of one that nobody would read, the end behind an ellipsis: with
    /// long names, the pointers of all places would be far longer than the text.
    pub(crate) fn pointer(self) -> String {
        let (mut steps, mut length) = (Vec::new(), 0);
        let mut here = self;
        while let Some((parent, step)) = here.parent() {
            let step = match step {
                Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => format!("/{index}"),
            };
            length += step.len();
            if length > POINTER {
                steps.push("\u{2026}".to_owned());
                break;
            }
            steps.push(step);
            here = parent;
        }
        steps.reverse();
        steps.concat()
    }

    /// What a keyword of this object is set to.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        let Value::Object(object) = self.value() else {
            return None;
        };
        object.find(key).map(|member| self.tree.at(member.value))
    }

    /// Where the member's name stands, if there is one.
    pub(crate) fn key_span(self, key: &str) -> Option<Span> {
        let Value::Object(object) = self.value() else {
            return None;
        };
        object.find(key).map(|member| member.key_span)
    }

    /// The members in order: name, its place, value. Empty where this is no object.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'a str, Span, Self)> {
        let members = match self.value() {
            Value::Object(object) => &object.members[..],
            _ => &[],
        };
        members.iter().map(move |member| {
            (
                member.key.as_str(),
                member.key_span,
                self.tree.at(member.value),
            )
        })
    }

    /// The items in order. Empty where this is no array.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> {
        let items = match self.value() {
            Value::Array(items) => &items[..],
            _ => &[],
        };
        items.iter().map(move |&id| self.tree.at(id))
    }

    pub(crate) fn as_str(self) -> Option<&'a str> {
        match self.value() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.value() {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn is_object(self) -> bool {
        matches!(self.value(), Value::Object(_))
    }

    pub(crate) fn is_array(self) -> bool {
        matches!(self.value(), Value::Array(_))
    }

    /// With its article, for messages.
    pub(crate) fn kind(self) -> &'static str {
        match self.value() {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }

    fn node(self) -> &'a Node {
        &self.tree.nodes[self.id.0 as usize]
    }
}

impl Object {
    fn find(&self, key: &str) -> Option<&Member> {
        let found = self
            .sorted
            .binary_search_by(|&index| self.members[index as usize].key.as_str().cmp(key));
        found.ok().map(|at| &self.members[self.sorted[at] as usize])
    }
}
