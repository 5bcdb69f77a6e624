//! Is what is generated what was agreed? Schemas and their output lie in pairs under `tests/golden`; the pairs are
//! compared here and compiled by the workspace's own tests.
//!
//! After a change on purpose: `LOGPIPE_BLESS=1 cargo test -p logpipe-build --test golden`, then review the difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use logpipe_build::{Options, generate, generate_texts, verify};

/// * shapes: every shape, presence, rule and default of one version
/// * steps: upcasts that are generated, upcasts that need a decision, definitions shared between versions
/// * names: strings that would like to be code
/// * empty: a folder in which nobody has put a schema yet
const CASES: &[&str] = &["shapes", "steps", "names", "empty"];

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(case)
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The schemas of a case in a folder of their own, written in the order given.
fn copy(schemas: &[(&String, &String)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("schemas")).unwrap();
    for (name, text) in schemas {
        fs::write(root.path().join("schemas").join(name), text).unwrap();
    }
    root
}

#[test]
fn output_is_as_agreed() {
    for case in CASES {
        let expected = folder(case).join("generated");
        if std::env::var_os("LOGPIPE_BLESS").is_some() {
            generate(&Options::new(folder(case))).unwrap();
        }
        let schemas = files(&folder(case).join("schemas"));
        let root = copy(&schemas.iter().collect::<Vec<_>>());
        generate(&Options::new(root.path())).unwrap();
        let (expected, actual) = (files(&expected), files(&root.path().join("generated")));
        assert_eq!(
            expected.keys().collect::<Vec<_>>(),
            actual.keys().collect::<Vec<_>>(),
            "{case}"
        );
        for (name, text) in &actual {
            // The digest of the generator moves with its every edit; the text below is what was agreed.
            let body = |text: &str| {
                text.lines()
                    .skip(2)
                    .map(|line| format!("{line}\n"))
                    .collect::<String>()
            };
            assert!(
                body(&expected[name]) == body(text),
                "{case}/generated/{name} is not as agreed; see LOGPIPE_BLESS above"
            );
        }
    }
}

#[test]
fn the_service_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    verify(&Options::new(root)).unwrap();
}

#[test]
fn output_does_not_depend_on_order_or_repetition() {
    for case in CASES {
        let schemas = files(&folder(case).join("schemas"));
        let mut order = schemas.iter().collect::<Vec<_>>();
        let mut first: Option<BTreeMap<String, String>> = None;
        for _ in 0..10 {
            order.rotate_left(1);
            order.reverse();
            let root = copy(&order);
            generate(&Options::new(root.path())).unwrap();
            let output = files(&root.path().join("generated"));
            assert!(
                first.get_or_insert_with(|| output.clone()) == &output,
                "{case}"
            );
        }
    }
}

#[test]
fn nothing_is_written_twice_and_orphans_go() {
    let schemas = files(&folder("steps").join("schemas"));
    let root = copy(&schemas.iter().collect::<Vec<_>>());
    let options = Options::new(root.path());
    let first = generate(&options).unwrap();
    let again = generate(&options).unwrap();
    assert_eq!(
        (
            first.written.len(),
            again.written.len(),
            again.unchanged.len()
        ),
        (first.written.len(), 0, first.written.len())
    );

    // What was edited by hand is written anew, though its inputs are as before.
    let edited = root.path().join("generated/widen/v1.rs");
    let text = fs::read_to_string(&edited).unwrap();
    fs::write(&edited, text.replace("pub id", "pub identity")).unwrap();
    assert!(
        verify(&options)
            .unwrap_err()
            .to_string()
            .starts_with("generated/widen/v1.rs is not up to date")
    );
    assert_eq!(generate(&options).unwrap().written, ["widen/v1.rs"]);
    assert_eq!(fs::read_to_string(&edited).unwrap(), text);

    // A message that is gone takes its files along, but not those of others.
    fs::write(root.path().join("generated/lossy/notes.rs"), "// by hand\n").unwrap();
    for version in [2, 5, 6] {
        fs::remove_file(root.path().join(format!("schemas/lossy.v{version}.json"))).unwrap();
    }
    let report = generate(&options).unwrap();
    assert_eq!(
        report.removed,
        ["lossy/mod.rs", "lossy/v2.rs", "lossy/v5.rs", "lossy/v6.rs"]
    );
    assert_eq!(report.written, ["mod.rs", "dispatch.rs"]);
    assert!(root.path().join("generated/lossy/notes.rs").exists());
    verify(&options).unwrap();
}

#[test]
fn a_fault_leaves_the_last_good_output() {
    let schemas = files(&folder("shapes").join("schemas"));
    let root = copy(&schemas.iter().collect::<Vec<_>>());
    let options = Options::new(root.path());
    generate(&options).unwrap();
    let before = files(&root.path().join("generated"));
    fs::write(root.path().join("schemas/broken.v1.json"), "{\"type\": 5}").unwrap();
    assert!(matches!(
        generate(&options),
        Err(logpipe_build::Error::Schemas(_))
    ));
    assert_eq!(files(&root.path().join("generated")), before);
}

/// Deep enough to end a stack, wide enough to show what is quadratic.
#[test]
fn deep_and_wide_schemas_are_only_long() {
    let depth = 3_000;
    let links = (0..depth).map(|i| {
        let next = (i + 1) % depth;
        format!(
            r##""n{i}": {{ "type": "object", "properties": {{ "next": {{ "$ref": "#/$defs/n{next}" }} }} }}"##
        )
    });
    let links = links.collect::<Vec<_>>().join(",\n");
    let values = (0..1_000).map(|i| format!("\"v{i}\""));
    let values = values.collect::<Vec<_>>().join(", ");
    let text = |length: u32| {
        let fields = (0..3_000)
            .map(|i| format!(r#""f{i}": {{ "type": "string", "maxLength": {length} }},"#));
        format!(
            r##"{{
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {{ {} "first": {{ "$ref": "#/$defs/n0" }}, "set": {{ "enum": [{values}] }} }},
                "$defs": {{ {links} }}
            }}"##,
            fields.collect::<String>()
        )
    };
    let texts = [text(5), text(4), text(9).replace("\"next\"", "\"later\"")];
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("schemas")).unwrap();
    for (version, text) in (1..).zip(&texts) {
        fs::write(
            root.path().join(format!("schemas/big.v{version}.json")),
            text,
        )
        .unwrap();
    }
    let report = generate(&Options::new(root.path())).unwrap();
    assert_eq!(report.written.len(), 2 + 1 + 3);
    let versions = fs::read_to_string(root.path().join("generated/big/mod.rs")).unwrap();
    assert!(versions.contains("and 2990 more, as its documentation says"));
}

/// Two lists that hold themselves may meet out of step: then there is no pair of names to write a function for.
#[test]
fn lists_that_hold_themselves_in_other_ways_need_a_decision() {
    let list = |items: &str| format!(r#"{{ "type": "array", "items": {items} }}"#);
    let itself = r##"{ "$ref": "#/$defs/d" }"##;
    let text = |version: u32, property: &str| {
        let definition = list(&list(itself));
        format!(
            r#"{{
                "type": "object", "properties": {{ "x": {property} }},
                "$defs": {{ "d": {{ "description": "{version}", {} }}
            }}"#,
            &definition[1..]
        )
    };
    for (older, newer, decision) in [
        (itself, &*list(itself), true),
        (&*list(itself), itself, true),
        (itself, &list(&list(itself)), false),
        (&list(itself), &list(itself), false),
    ] {
        let files = [("a.v1.json", text(1, older)), ("a.v2.json", text(2, newer))];
        let texts = generate_texts(files).unwrap();
        let (_, versions) = texts.iter().find(|(path, _)| path == "a/mod.rs").unwrap();
        let why = "`x` (/properties/x) holds itself in another way";
        assert_eq!(versions.contains(why), decision, "{older} {newer}");
        assert_eq!(!versions.contains("fn v1_to_v2_d("), decision, "{versions}");
    }
}

/// A crate may deny what clippy calls pedantic, however many messages it has.
#[test]
fn many_messages_are_no_matter_of_lints() {
    let text = r#"{"type": "object"}"#;
    let files = (0..24).map(|i| (format!("m{i}.v1.json"), text));
    let texts = generate_texts(files).unwrap();
    let text_of = |wanted: &str| &texts.iter().find(|(path, _)| path == wanted).unwrap().1;
    // Functions that grow with the schemas are longer than clippy likes, so the root says that this is no fault.
    let longest = text_of("dispatch.rs")
        .split("\n    fn ")
        .map(|function| function.lines().count());
    assert!(longest.max().unwrap() > 100);
    assert!(text_of("mod.rs").contains("clippy::too_many_lines"));
}

/// Whether we write a function of this name: `handler`, or for one version `v2_batch`.
fn is_ours(function: &str) -> bool {
    let version = function
        .strip_prefix('v')
        .map(|rest| rest.split_once("_batch"));
    let is_batch = version
        .flatten()
        .is_some_and(|(number, rest)| number.parse::<u32>().is_ok() && rest.is_empty());
    is_batch || ["handler", "latest", "every", "find"].contains(&function)
}

#[test]
fn only_items_of_ours_are_generated() {
    for (name, text) in files(&folder("names").join("generated")) {
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Only what a file of ours holds, whatever a description says.
        for item in &file.items {
            let known = matches!(
                item,
                syn::Item::Struct(_)
                    | syn::Item::Enum(_)
                    | syn::Item::Impl(_)
                    | syn::Item::Mod(_)
                    | syn::Item::Type(_)
                    | syn::Item::Trait(_)
                    | syn::Item::Macro(_)
                    | syn::Item::Static(_)
                    | syn::Item::Const(_)
                    | syn::Item::Use(_)
            ) || matches!(item, syn::Item::Fn(item) if is_ours(&item.sig.ident.to_string()));
            assert!(known, "{name}: an item that nobody asked for");
        }
        assert!(
            !text.contains(['\u{202e}', '\u{7}', '\u{2028}']),
            "{name}: a character that hides"
        );
    }
}
