//! How does a schema's text become documentation? As prose and nothing else: no link, markup, code or control character.

use proc_macro2::TokenStream;
use quote::quote;

use crate::catalog::Docs;

/// Doc attributes from title and description, or from the fallback where a schema says nothing. A title that only says
/// the name again is left out.
pub(super) fn attributes(docs: &Docs, name: &str, fallback: &str) -> TokenStream {
    lines(&text(docs, name, fallback))
}

/// Doc attributes for text of our own, one per line.
pub(super) fn lines<T: AsRef<str>>(lines: &[T]) -> TokenStream {
    let lines = lines.iter().map(|line| match line.as_ref() {
        "" => String::new(),
        line => format!(" {line}"),
    });
    quote!(#(#[doc = #lines])*)
}

/// Title and description as paragraphs; the fallback is our own markdown.
fn text(docs: &Docs, name: &str, fallback: &str) -> Vec<String> {
    let mut out = Vec::new();
    let title = docs
        .title
        .as_ref()
        .filter(|title| !title.trim().eq_ignore_ascii_case(name) || docs.description.is_none());
    for paragraph in [title, docs.description.as_ref()].into_iter().flatten() {
        let paragraph = prose(paragraph);
        if !paragraph.is_empty() && !out.is_empty() {
            out.push(String::new());
        }
        out.extend(paragraph);
    }
    if out.is_empty() {
        out.push(fallback.to_owned());
    }
    if docs.deprecated {
        out.extend([String::new(), "**Deprecated.**".to_owned()]);
    }
    out
}

/// Lines that read as the text did and mean nothing to markdown. Indentation goes, for four spaces would be a doc test.
pub(super) fn prose(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in text.split(['\n', '\r']) {
        let words = line.split_whitespace().map(word).collect::<Vec<_>>();
        let line = not_a_block(words.join(" "));
        if !line.is_empty() || out.last().is_some_and(|last| !last.is_empty()) {
            out.push(line);
        }
    }
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out
}

/// Schema text within a line of ours: a code span.
pub(super) fn code(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text
        .chars()
        .map(|c| if c == '`' { "'".to_owned() } else { visible(c) })
        .collect::<String>();
    if text.is_empty() {
        "` `".to_owned()
    } else {
        format!("`{text}`")
    }
}

fn word(word: &str) -> String {
    if let Some(address) = address(word) {
        return address;
    }
    let chars = word.chars().collect::<Vec<_>>();
    let is_word = |index: Option<usize>| {
        index
            .and_then(|i| chars.get(i))
            .is_some_and(|c| c.is_alphanumeric())
    };
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let escape = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '&' | '~' | '|' => true,
            // Within a word it is no emphasis, and `first_name` reads better than `first\_name`.
            '_' => !(is_word(i.checked_sub(1)) && is_word(Some(i + 1))),
            // An address that is not plain enough to be marked as one.
            ':' => chars[i..].starts_with(&[':', '/', '/']),
            _ => false,
        };
        if escape {
            out.push('\\');
        }
        out.push_str(&visible(c).replace("\\u", "\\\\u"));
    }
    out
}

/// A plain web address, marked as one, with the punctuation that ends the sentence left outside.
fn address(word: &str) -> Option<String> {
    if !word.starts_with("https://") && !word.starts_with("http://") {
        return None;
    }
    let address = word.trim_end_matches(['.', ',', ';', ':', '!', '?']);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'*+,;=%".contains(c);
    let has_host = address
        .split("//")
        .nth(1)
        .is_some_and(|rest| !rest.is_empty());
    (has_host && address.chars().all(plain))
        .then(|| format!("<{address}>{}", &word[address.len()..]))
}

/// Headings, lists, rules and the like begin a line; a sentence that happens to begin like one is still a sentence.
fn not_a_block(line: String) -> String {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let marker = match line.as_bytes().get(digits) {
        Some(b'.' | b')') if digits > 0 => digits,
        Some(b'-' | b'+' | b'#' | b'=' | b':' | b'/') if digits == 0 => 0,
        _ => return line,
    };
    format!("{}\\{}", &line[..marker], &line[marker..])
}

/// Control characters, direction marks and their like become visible: `\u{202e}`.
fn visible(c: char) -> String {
    let hidden = c.is_control() || format!("{c:?}").starts_with("'\\u");
    if hidden {
        c.escape_unicode().to_string()
    } else {
        c.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_text_is_prose_whatever_it_looks_like() {
        for (text, expected) in [
            ("The first_name of a person.", "The first_name of a person."),
            (
                "  four spaces are no doc test",
                "four spaces are no doc test",
            ),
            (
                "```rust\npanic!()\n```",
                "\\`\\`\\`rust\npanic!()\n\\`\\`\\`",
            ),
            (
                "See [Other] or <b>this</b> & that",
                "See \\[Other\\] or \\<b\\>this\\</b\\> \\& that",
            ),
            (
                "# Heading\n- item\n1. first",
                "\\# Heading\n\\- item\n1\\. first",
            ),
            (
                "at https://example.com/a?b=c.",
                "at <https://example.com/a?b=c>.",
            ),
            ("at https://[::1]/", "at https\\://\\[::1\\]/"),
            ("*/ \"; } #![allow(x)]", "\\*/ \"; } #!\\[allow(x)\\]"),
            ("_a_ b_c", "\\_a\\_ b_c"),
            ("left\u{202e}right\u{7}", "left\\\\u{202e}right\\\\u{7}"),
            ("\n\n one\r\n\r\n\r\ntwo \n\n", "one\n\ntwo"),
            ("/ slashes", "\\/ slashes"),
            ("   ", ""),
        ] {
            assert_eq!(prose(text).join("\n"), expected, "{text:?}");
        }
    }
}
