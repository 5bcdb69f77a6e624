//! Any bytes as schema files: a message, or diagnostics that each fit on a line and point into the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logpipe_build::diagnostic::Severity;
use logpipe_build::read::read_texts;

fuzz_target!(|data: &[u8]| {
    // A zero byte, which no schema holds, parts the files.
    let mut parts = data.split(|&byte| byte == 0);
    let names = ["a.v1.json", "types/b.json", "a.v2.json"];
    let files = names.into_iter().zip(&mut parts).collect::<Vec<_>>();
    let (catalog, sources, diagnostics) = read_texts(files.iter().copied());
    for one in &diagnostics {
        let source = sources.get(&one.source).expect("a diagnostic is about one of the files");
        let (start, end) = (one.span.start as usize, one.span.end as usize);
        assert!(source.text.get(start..end).is_some(), "the place is not in the text: {one}");
        assert!(one.line > 0 && one.column > 0);
        let line = one.to_string();
        assert!(!line.contains(['\n', '\r']) && line.len() < 2000, "not a line: {line}");
    }
    let sound = !diagnostics.iter().any(|one| one.severity == Severity::Error);
    let messages = files.iter().filter(|(name, _)| name.starts_with("a.")).count();
    assert!(!sound || catalog.messages.len() == messages, "neither a message nor a word about it");
});
