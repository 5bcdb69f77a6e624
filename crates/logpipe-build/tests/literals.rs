//! Does text of a schema reach generated code inside literals alone? A mark is planted in each string of a schema in
//! turn, behind what would end a literal or a comment, and looked for in the tokens of what comes out.

use logpipe_build::generate_texts;
use logpipe_build::name;
use proc_macro2::{TokenStream, TokenTree};

/// Behind these the second mark would be code. Documentation is an attribute for who reads tokens, so its text is a
/// literal too.
const PAYLOADS: &[&str] = &[
    "zqa\";fn(zqb){}//",
    "zqa*/ fn zqb() {} /*",
    "zqa\nfn zqb() {}\n```\n",
    "zqa\"# fn zqb() {} r#\"{",
    "zqa\\\" fn zqb() {} //{zqb}",
];

/// How far a string of the schema gets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reach {
    /// It is refused.
    Refused,
    /// It is for others.
    Nowhere,
    Literals,
    /// Literals, and the name that is made of it: one identifier, whatever stands in it.
    Names,
}

use Reach::{Literals, Names, Nowhere, Refused};

/// Every string of the schemas below.
const STRINGS: &[(&str, Reach)] = &[
    ("id", Nowhere),
    ("comment", Nowhere),
    ("example", Nowhere),
    ("mine", Nowhere),
    ("unknown", Nowhere),
    ("format", Nowhere),
    ("anchor", Refused),
    ("library comment", Nowhere),
    ("title", Literals),
    ("description", Literals),
    ("property title", Literals),
    ("property description", Literals),
    ("definition title", Literals),
    ("library title", Literals),
    ("type", Literals),
    ("pattern", Literals),
    ("default", Literals),
    ("default item", Literals),
    ("default key", Literals),
    ("default member", Literals),
    ("added default", Literals),
    ("key", Names),
    ("property", Names),
    ("inner", Names),
    ("gone", Names),
    ("needed", Names),
    ("added", Names),
    ("value", Names),
    ("new value", Names),
    ("const", Names),
    ("definition", Names),
    ("library definition", Names),
];

/// What every version says.
const MESSAGE: &str = r##"{
    "title": "<title>", "description": "<description>", "$comment": "<comment>", <only here>
    "examples": ["<example>"], "x-mine": "<mine>", "<unknown>": 1,
    "x-logpipe": { "key": "<key>", "type": "<type>" },
    "type": "object",
    "properties": {
        "<key>": { "type": "string" },
        "<property>": { "type": "string", "title": "<property title>", "description": "<property description>" },
        "matched": { "type": "string", "pattern": "<pattern>" },
        "spelled": { "type": "string", "format": "<format>" },
        "text": { "type": "string", "default": "<default>" },
        "list": { "type": "array", "items": { "type": "string" }, "default": ["<default item>"] },
        "map": { "type": "object", "additionalProperties": { "type": "string" }, "default": { "<default key>": "" } },
        "object": {
            "type": "object",
            "properties": { "<inner>": { "type": "string" } },
            "required": ["<inner>"],
            "default": { "<inner>": "<default member>" }
        },
        "set": { "enum": ["<value>" <more values>], "default": "<value>", "x-logpipe": { "unknown-values": "keep" } },
        "one": { "const": "<const>" },
        "defined": { "$ref": "#/$defs/<definition>" },
        "anchored": { "$ref": "#fixed" },
        "titled": { "$ref": "#/$defs/titled" },
        "beyond": { "$ref": "types/library.json#/$defs/titled" },
        "elsewhere": { "$ref": "types/library.json#/$defs/<library definition>" }
        <more properties>
    },
    "required": ["<key>", "one" <more required>],
    "$defs": {
        "<definition>": { "type": "object", "properties": { "<inner>": true } },
        "titled": { "title": "<definition title>", "type": "object", "properties": {} },
        "anchored": { "$anchor": "fixed", "type": "string" },
        "spare": { "$anchor": "<anchor>", "type": "string" }
    }
}"##;

const LIBRARY: &str = r#"{
    "$comment": "<library comment>",
    "$defs": { "<library definition>": { "type": "string", "minLength": 1 },
        "titled": { "title": "<library title>", "type": "string" } }
}"#;

/// A decision, then a step that loses nothing: what the first version has and the second needs, what the third adds.
const VERSIONS: &[[(&str, &str); 4]] = &[
    [
        ("<only here>", r#""$id": "<id>","#),
        ("<more values>", ""),
        ("<more properties>", r#", "<gone>": { "type": "string" }"#),
        ("<more required>", ""),
    ],
    [
        ("<only here>", ""),
        ("<more values>", ""),
        ("<more properties>", r#", "<needed>": { "type": "string" }"#),
        ("<more required>", r#", "<needed>""#),
    ],
    [
        ("<only here>", ""),
        ("<more values>", r#", "<new value>""#),
        (
            "<more properties>",
            r#", "<needed>": { "type": "string" }, "<added>": { "type": "string", "default": "<added default>" }"#,
        ),
        ("<more required>", r#", "<needed>", "<added>""#),
    ],
];

/// A text between the quotes of JSON.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// A text as a part of a pointer in a URI.
fn referred(text: &str) -> String {
    let pointer = text.replace('~', "~0").replace('/', "~1");
    pointer.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Puts harmless words into a schema, and into one place what is not.
fn fill(schema: &str, planted: &str, payload: &str) -> String {
    let mut schema = schema.to_owned();
    for (string, _) in STRINGS {
        let harmless = string.replace(' ', "_");
        let text = if *string == planted {
            payload
        } else {
            &harmless
        };
        let place = format!("<{string}>");
        schema = schema
            .replace(
                &format!("$defs/{place}"),
                &format!("$defs/{}", referred(text)),
            )
            .replace(&place, &escaped(text));
    }
    schema
}

fn files(planted: &str, payload: &str) -> Vec<(String, String)> {
    let versions = (1..).zip(VERSIONS).map(|(version, parts)| {
        let whole = parts
            .iter()
            .fold(MESSAGE.to_owned(), |text, (place, part)| {
                text.replace(place, part)
            });
        (format!("m.v{version}.json"), fill(&whole, planted, payload))
    });
    let library = (
        "types/library.json".to_owned(),
        fill(LIBRARY, planted, payload),
    );
    versions.chain([library]).collect()
}

/// Identifiers and literals that bear a mark, those within macros included.
#[derive(Default)]
struct Marked {
    identifiers: Vec<String>,
    literals: usize,
}

impl Marked {
    fn look(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.look(group.stream()),
                TokenTree::Ident(ident) => {
                    let ident = ident.to_string().to_lowercase();
                    if ident.contains("zq") {
                        self.identifiers.push(ident);
                    }
                }
                TokenTree::Literal(literal) => {
                    self.literals += usize::from(literal.to_string().contains("zqa"));
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

#[test]
fn schema_text_stays_within_literals() {
    for &(string, reach) in STRINGS {
        let mut accepted = 0;
        for payload in PAYLOADS {
            let Ok(texts) = generate_texts(files(string, payload)) else {
                continue;
            };
            accepted += 1;
            let mut marked = Marked::default();
            for (path, text) in &texts {
                let tokens = text.parse::<TokenStream>();
                marked.look(tokens.unwrap_or_else(|error| panic!("{path}: {error}\n{text}")));
                if let Err(error) = syn::parse_file(text) {
                    panic!("{string}: {path} is no Rust: {error}\n{text}");
                }
            }
            let found = format!("{string}, {payload:?}: {:?}", marked.identifiers);
            assert_eq!(
                marked.literals > 0,
                matches!(reach, Literals | Names),
                "{found}"
            );
            assert_eq!(!marked.identifiers.is_empty(), reach == Names, "{found}");
            // Of a name, all of it or nothing: what stands behind the quote did not get out of it.
            let (snake, camel) = (name::snake(payload), name::variant(payload).to_lowercase());
            for ident in &marked.identifiers {
                assert!(ident.contains(&snake) || ident.contains(&camel), "{found}");
            }
        }
        assert_eq!(accepted > 0, reach != Refused, "{string}");
    }
}

/// Without what is planted there is nothing to find, and no string is forgotten above.
#[test]
fn the_schemas_are_sound_and_every_string_is_a_place() {
    for (string, reach) in STRINGS {
        let harmless = generate_texts(files("", "")).map_err(|checked| checked.diagnostics);
        assert!(harmless.is_ok(), "{harmless:#?}");
        let told = files(string, "zqa");
        assert!(
            told.iter()
                .any(|(_, text)| text.contains("zqa") || text.contains("%7a%71%61")),
            "{string} {reach:?} stands nowhere"
        );
        assert!(
            told.iter().all(|(_, text)| !text.contains('<')),
            "{told:#?}"
        );
    }
}
