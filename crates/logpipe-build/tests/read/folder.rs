//! Which files are read, on a disk and by their names.

use std::fs;

use logpipe_build::read::{read, read_texts};

use crate::{assert_told, lines};

const EMPTY: &str = r#"{"type": "object"}"#;

#[test]
fn a_name_says_type_and_version_or_why_not() {
    let table: &[(&str, &[&str])] = &[
        ("person.v1.json", &[]),
        ("com.acme-x.Person_2.v4294967295.json", &[]),
        ("types/address.json", &[]),
        ("types/deep/er/a.v1.json", &[]),
        (
            "person.json",
            &["schemas/person.json:1:1: the name says no version"],
        ),
        (
            "person.v0.json",
            &["schemas/person.v0.json:1:1: versions begin at 1"],
        ),
        (
            "person.v01.json",
            &["schemas/person.v01.json:1:1: the version `v01` begins with a zero"],
        ),
        (
            "person.v.json",
            &["schemas/person.v.json:1:1: `v` is no version"],
        ),
        (
            "person.V1.json",
            &["schemas/person.V1.json:1:1: `V1` is no version"],
        ),
        (
            "person.v+1.json",
            &["schemas/person.v+1.json:1:1: a name is made of"],
        ),
        (
            "person.v4294967296.json",
            &["schemas/person.v4294967296.json:1:1: the version `v4294967296` is above 4294967295"],
        ),
        (
            "thing.v1.avsc",
            &["schemas/thing.v1.avsc:1:1: Avro: not yet"],
        ),
        (
            "person.v1.yaml",
            &["schemas/person.v1.yaml:1:1: this is no schema"],
        ),
        (
            "-person.v1.json",
            &["schemas/-person.v1.json:1:1: a name is made of"],
        ),
        (
            "a b.v1.json",
            &["schemas/a b.v1.json:1:1: a name is made of"],
        ),
        (
            "types/../a.json",
            &["schemas/types/../a.json:1:1: a name is made of"],
        ),
        (
            "mod.v1.json",
            &["schemas/mod.v1.json:1:1: `mod_` is a name that is taken"],
        ),
        (
            "Dispatch.v1.json",
            &["schemas/Dispatch.v1.json:1:1: `dispatch` is a name that is taken"],
        ),
        (
            "std.v1.json",
            &["schemas/std.v1.json:1:1: `std` is a name that is taken; choose another"],
        ),
        (
            "core.v1.json",
            &["schemas/core.v1.json:1:1: `core` is a name that is taken"],
        ),
        (
            "Alloc.v1.json",
            &["schemas/Alloc.v1.json:1:1: `alloc` is a name that is taken"],
        ),
        (
            "proc-macro.v1.json",
            &["schemas/proc-macro.v1.json:1:1: `proc_macro` is a name that is taken"],
        ),
        (
            "logpipe.v1.json",
            &["schemas/logpipe.v1.json:1:1: `logpipe` is a name that is taken"],
        ),
        (
            "com1.v1.json",
            &["schemas/com1.v1.json:1:1: `com1` is a name that is taken"],
        ),
        (
            "other/a.v1.json",
            &["schemas/other/a.v1.json:1:1: a folder is not expected here"],
        ),
    ];
    for (name, expected) in table {
        let (catalog, _, diagnostics) = read_texts([(*name, EMPTY)]);
        assert_told(name, &diagnostics, expected);
        assert_eq!(
            catalog.messages.len(),
            usize::from(expected.is_empty() && !name.starts_with("types/")),
            "{name}"
        );
    }
}

#[test]
fn types_do_not_meet_in_one_module_or_differ_in_case_only() {
    let table: &[(&[&str], &[&str])] = &[
        (
            &["a.b.v1.json", "a-b.v1.json"],
            &["schemas/a.b.v1.json:1:1: `a-b` and `a.b` would both be the module `a_b`"],
        ),
        (
            &["OrderLine.v1.json", "orderline.v2.json"],
            &["schemas/orderline.v2.json:1:1: `OrderLine` and `orderline` differ in case only"],
        ),
        (
            &["types/A.json", "types/a.json"],
            &["schemas/types/a.json:1:1: `types/A.json` and `types/a.json` differ in case only"],
        ),
        (&["a.v1.json", "a.v7.json"], &[]),
    ];
    for (names, expected) in table {
        assert_told(
            &format!("{names:?}"),
            &read_texts(names.iter().map(|name| (*name, EMPTY))).2,
            expected,
        );
    }
    let typed = |name: &str| format!(r#"{{"type": "object", "x-logpipe": {{"type": "{name}"}}}}"#);
    let files = [
        ("a.v1.json", typed("x")),
        ("a.v2.json", typed("y")),
        ("b.v1.json", typed("x")),
    ];
    let expected = [
        "schemas/a.v2.json:1:42: other versions of this message have the type `x`, not `y`",
        "schemas/b.v1.json:1:42: the module `a` has the type `x` already",
    ];
    assert_told("wire types", &read_texts(files).2, &expected);
}

#[test]
fn the_order_of_files_changes_nothing() {
    let files = [
        ("b.v1.json", EMPTY),
        ("a.v10.json", EMPTY),
        ("a.v9.json", EMPTY),
        ("types/x.json", "{"),
        ("c.v1.json", "["),
    ];
    let (catalog, _, diagnostics) = read_texts(files);
    for turn in 0..files.len() {
        let mut turned = files;
        turned.rotate_left(turn);
        turned.swap(0, 1);
        let again = read_texts(turned);
        assert_eq!((again.0, again.2), (catalog.clone(), diagnostics.clone()));
    }
    let versions = catalog
        .messages
        .iter()
        .map(|message| message.version)
        .collect::<Vec<_>>();
    assert_eq!(versions, [9, 10, 1]);
}

#[test]
fn a_folder_is_read_and_nothing_else() {
    let top = tempfile::tempdir().expect("a folder");
    let schemas = top.path().join("schemas");
    fs::create_dir_all(schemas.join("types/geo")).expect("folders");
    fs::create_dir_all(schemas.join("drafts")).expect("folders");
    let write = |path: &str, text: &str| fs::write(top.path().join(path), text).expect("a file");
    write(
        "schemas/a.v1.json",
        r#"{"type": "object", "properties": {"at": {"$ref": "types/geo/point.json"}}}"#,
    );
    write("schemas/types/geo/point.json", EMPTY);
    write("schemas/.hidden.json", "not JSON");
    write("schemas/README.md", "not JSON");
    write("schemas/logpipe.lock", "not JSON");
    write("schemas/types/README.md", "not JSON");
    write("schemas/notes.txt", "");
    write("outside.json", EMPTY);
    let mut expected = vec![
        "schemas/drafts:1:1: a folder is not expected here; messages lie in `schemas/` itself",
        "schemas/notes.txt:1:1: this is no schema",
    ];
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../outside.json", schemas.join("out.v1.json")).expect("a link");
        symlink("a.v1.json", schemas.join("b.v1.json")).expect("a link");
        symlink("nowhere", schemas.join("gone.v1.json")).expect("a link");
        symlink("..", schemas.join("types/loop")).expect("a link");
        expected.insert(1, "schemas/gone.v1.json:1:1: this can't be read");
        expected.push("schemas/out.v1.json:1:1: this link leads outside the folder of schemas");
        expected.push("schemas/types/loop:1:1: this link leads outside the folder of schemas");
    }
    let (catalog, sources, diagnostics) = read(&schemas);
    assert_told("the folder", &diagnostics, &expected);
    let names = sources
        .iter()
        .map(|source| source.name.as_str())
        .collect::<Vec<_>>();
    assert_eq!(
        names,
        [
            "schemas/a.v1.json",
            "schemas/b.v1.json",
            "schemas/types/geo/point.json"
        ]
    );
    assert_eq!(catalog.messages.len(), 2);
}

#[test]
fn a_missing_folder_is_told() {
    let top = tempfile::tempdir().expect("a folder");
    let (_, _, diagnostics) = read(&top.path().join("schemas"));
    assert!(
        lines(&diagnostics)[0].starts_with("schemas:1:1: the folder of schemas can't be opened")
    );
}

#[test]
fn texts_that_are_no_text_are_told() {
    let table: &[(&[u8], &[&str])] = &[
        (
            b"{\"type\":\n \"obj\xff\"}",
            &["2:6: the file is not UTF-8 from here on"],
        ),
        (
            b"\xef\xbb\xbf{}",
            &["1:1: the file begins with a byte order mark"],
        ),
        (
            b"\xfe\xff\0{\0}",
            &["1:1: the file is not UTF-8 from here on"],
        ),
        (
            b"{\"\0\": 1}",
            &["1:3: a control character stands in a string"],
        ),
    ];
    for (bytes, expected) in table {
        assert_told(
            &format!("{bytes:?}"),
            &read_texts([("a.v1.json", *bytes)]).2,
            expected,
        );
    }
}
