//! The messages that the tests share, and how they are put into an envelope.

use logpipe::types::{Map, Uuid, Value};
use logpipe::{Body, Failure, Message, Rejected, envelope};

#[derive(Clone, PartialEq)]
pub struct Person {
    pub uuid: Uuid,
    pub first_name: String,
    pub last_name: String,
}

logpipe::wire! {
    struct Person open {
        uuid: "uuid";
        first_name: "first_name", max_chars(200);
        last_name: "last_name", max_chars(200);
    }
}
logpipe::message! { Person = "person" version 1, key uuid; }

/// Every form that a member can have.
#[derive(Clone, PartialEq, Default)]
pub struct Forms {
    pub required: String,
    pub optional: Option<i64>,
    pub nullable: Option<bool>,
    pub both: Option<Option<f64>>,
    pub list: Vec<Option<u8>>,
    pub map: Map<Color>,
    pub inner: Option<Box<Forms>>,
    pub unknown: Map<Value>,
}

logpipe::wire! {
    struct Forms keep(unknown) {
        required: "required";
        optional: "optional" optional;
        nullable: "nullable";
        both: "both" optional_nullable;
        list: "list";
        map: "map";
        inner: "in\"ner/~" optional;
    }
}
logpipe::wire! { boxed Forms; }
logpipe::message! { Forms = "forms" version 3; }

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Color {
    Red,
    DarkBlue,
}

logpipe::wire! {
    enum Color closed {
        Red = "red";
        DarkBlue = "dark blue";
    }
}

/// Opens and decodes; a test's record is never one that has to be dispatched twice.
pub fn decode<M: Message>(value: &[u8]) -> Result<M, Rejected> {
    let envelope = envelope::open(Some(value))?;
    match envelope.body.decode() {
        Ok(message) => Ok(message),
        Err(Failure::Rejected(rejected)) => Err(rejected),
        Err(other) => panic!("{other:?}"),
    }
}

/// A message by its JSON, in the canonical envelope of `M`.
pub fn json<M: Message>(message: &str) -> Vec<u8> {
    let (message_type, version) = (M::TYPE, M::VERSION);
    format!("json:{{\"type\":\"{message_type}\",\"version\":{version},\"message\":{message}}}")
        .into_bytes()
}

/// Decodes a message by its JSON.
pub fn from_json<M: Message>(message: &str) -> Result<M, Rejected> {
    decode(&json::<M>(message))
}

/// Path and reason of an invalid message.
pub fn invalid<M: Message + std::fmt::Debug>(message: &str) -> (String, String) {
    match from_json::<M>(message) {
        Err(Rejected::Invalid { invalid, .. }) => (invalid.path, invalid.reason),
        other => panic!("{message} is not invalid: {other:?}"),
    }
}

/// The body of an opened envelope.
pub fn body(value: &[u8]) -> Body<'_> {
    envelope::open(Some(value)).expect("an envelope").body
}

#[test]
fn a_struct_with_a_table_shows_its_members() {
    let mut forms = Forms {
        optional: Some(7),
        both: Some(None),
        ..Forms::default()
    };
    forms.inner = Some(Box::new(forms.clone()));
    let inner = r#"required: "", optional: Some(7), nullable: None, both: Some(None), list: [], map: Map({})"#;
    let shown = format!("Forms {{ {inner}, in\"ner/~: None, unknown: Map({{}}) }}");
    assert_eq!(
        format!("{forms:?}"),
        format!("Forms {{ {inner}, in\"ner/~: Some({shown}), unknown: Map({{}}) }}")
    );
}
