//! Any sound schema: Rust that parses, whatever its names and texts are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logpipe_build::read::read_texts;

/// Names and texts that would do harm as anything but data.
const NAMES: [&str; 16] = [
    "id", "type", "x y", "\\u00e9", "items", "properties", "", "1", "self", "Box", "*/", "\\\"; }", "r#x", "\\u202e", "{}", "a_b",
];
/// Without their closing brace.
const SCALARS: [&str; 13] = [
    r#"{"type": "string""#,
    r#"{"type": ["string", "null"], "maxLength": 5"#,
    r##"{"type": "string", "pattern": "^[\"#]+\\d$""##,
    r#"{"type": "string", "format": "date-time""#,
    r#"{"type": "string", "format": "email", "minLength": 3"#,
    r#"{"type": "integer", "minimum": 0, "maximum": 255"#,
    r#"{"type": "integer", "multipleOf": 3, "default": 9"#,
    r#"{"type": ["number", "null"], "exclusiveMinimum": -0.5, "multipleOf": 0.01"#,
    r#"{"type": "boolean", "default": true"#,
    r#"{"const": 5"#,
    r##"{"$ref": "#/$defs/d""##,
    r#"{"type": ["integer", "null"], "minimum": 0, "maximum": 255"#,
    r##"{"title": "*/ }", "description": "``` \n# x \u2028""##,
];

/// Pieces of schemas, and what a later version may say instead; both ways.
const EDITS: [(&str, &str); 12] = [
    (r#""maximum": 255"#, r#""maximum": 65535"#),
    (r#""maxLength": 5"#, r#""maxLength": 9"#),
    (r#"{"type": "string""#, r#"{"description": "newer", "type": "string""#),
    (r#"{"type": "array""#, r#"{"description": "newer", "type": "array""#),
    (r#"{"type": "object""#, r#"{"description": "newer", "type": "object""#),
    (r#"{"type": "array""#, r#"{"type": ["array", "null"]"#),
    (r#"{"type": "object""#, r#"{"type": ["object", "null"]"#),
    (r#""uniqueItems": true"#, r#""uniqueItems": false"#),
    (r#""maxProperties": 3"#, r#""maxProperties": 4"#),
    (r#"{"enum": ["#, r#"{"enum": ["added", "#),
    (r#""properties": {"#, r#""properties": {"added": {"type": "integer", "default": 5}, "#),
    (r##"{"$ref": "#/$defs/d""##, r#"{"type": "string""#),
];

/// Reads decisions from bytes; when they end, all are 0.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % count
    }

    fn schema(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 2 } else { 6 }) {
            0 => {
                let scalar = SCALARS[self.below(SCALARS.len())];
                format!("{scalar}}}")
            }
            1 => {
                let keep = ["", r#", "x-logpipe": {"unknown-values": "keep"}"#][self.below(2)];
                let count = 1 + self.below(4);
                let first = self.below(NAMES.len());
                let values = (0..count).map(|index| format!("\"{}\"", NAMES[(first + index) % NAMES.len()]));
                format!(r#"{{"enum": [{}]{keep}}}"#, values.collect::<Vec<_>>().join(", "))
            }
            2 => format!(r#"{{"type": "array", "items": {}, "uniqueItems": true}}"#, self.schema(depth - 1)),
            3 => format!(r#"{{"type": "object", "additionalProperties": {}, "maxProperties": 3}}"#, self.schema(depth - 1)),
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: usize) -> String {
        let (count, first) = (self.below(5), self.below(NAMES.len()));
        let names = (0..count).map(|index| NAMES[(first + index) % NAMES.len()]).collect::<Vec<_>>();
        let properties = names.iter().map(|name| format!(r#""{name}": {}"#, self.schema(depth)));
        let properties = properties.collect::<Vec<_>>().join(", ");
        let required = names.iter().filter(|_| self.below(2) == 1).map(|name| format!("\"{name}\""));
        let required = required.collect::<Vec<_>>().join(", ");
        let rest = [
            "",
            r#", "additionalProperties": false"#,
            r#", "x-logpipe": {"unknown-fields": "keep"}"#,
            r#", "minProperties": 0, "deprecated": true"#,
        ][self.below(4)];
        format!(r#"{{"type": "object", "properties": {{{properties}}}, "required": [{required}]{rest}}}"#)
    }

    /// A later version: the same text, edited in some of the places where it can be, so that its types meet those of
    /// the version before.
    fn later(&mut self, message: &str) -> String {
        let mut message = message.to_owned();
        for _ in 0..self.below(6) {
            let (one, other) = EDITS[self.below(EDITS.len())];
            let (from, to) = if self.below(2) == 0 { (one, other) } else { (other, one) };
            // The message itself stays an object, so what begins it is no place.
            let places = message.match_indices(from).map(|(at, _)| at).filter(|&at| at > 0);
            let places = places.collect::<Vec<_>>();
            if !places.is_empty() {
                let at = places[self.below(places.len())];
                message.replace_range(at..at + from.len(), to);
            }
        }
        message
    }

    fn message(&mut self) -> String {
        let mut message = self.object(4);
        let definition = self.schema(3);
        message.truncate(message.len() - 1);
        format!(r#"{message}, "$defs": {{"d": {definition}}}}}"#)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let first = choices.message();
    let (second, other) = (choices.later(&first), choices.message());
    let files = [("a.v1.json", first), ("a.v2.json", second), ("b.v7.json", other)];
    // Faults there may be: two names that are one in Rust, a definition that is only itself.
    let Ok(texts) = logpipe_build::generate_texts(files.clone()) else { return };
    for (path, text) in &texts {
        if let Err(error) = syn::parse_file(text) {
            panic!("{path} is no Rust: {error}\n{files:#?}");
        }
    }
    // What is generated follows from the catalog, which costs a fraction of the text to make again.
    let [(catalog, ..), (again, ..)] = [read_texts(files.clone()), read_texts(files.into_iter().rev())];
    assert_eq!(catalog, again, "the order of the files shows");
});
