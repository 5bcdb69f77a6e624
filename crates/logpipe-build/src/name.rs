//! What are things called in Rust? Names made from schema names, always the same way, whoever stands beside them.
//!
//! A name depends on the schema's own spelling alone, never on its siblings: adding a field renames nothing. Where two
//! spellings meet in one Rust name that is a diagnostic (see `check`), not a counter.
//!
//! Identifiers are ASCII. Latin letters lose their accents (`größe` is `grosse`); any other letter is spelled by its
//! code point (`日` is `u65e5`). `_ - . / :` and spaces part words; other punctuation is a word (`$ref` is
//! `dollar_ref`). A name that begins with a digit gets an `n`, an empty one is `empty`, a keyword gets a trailing `_`.

use crate::catalog::{Catalog, Hint, Shape, TypeId};

/// Fills the names that `lower` left empty: types, fields and variants.
pub fn assign(catalog: &mut Catalog) {
    let stems = catalog
        .messages
        .iter()
        .map(|message| (message.root, stem(&message.source).to_owned()))
        .collect::<Vec<_>>();
    for id in 0..catalog.types.len() {
        name_type(catalog, &stems, TypeId(id));
    }
    for ty in &mut catalog.types {
        match &mut ty.shape {
            Shape::Struct { fields, .. } => fields
                .iter_mut()
                .for_each(|field| field.rust = snake(&field.wire)),
            Shape::Enum { variants, .. } => variants
                .iter_mut()
                .for_each(|variant| variant.rust = self::variant(&variant.wire)),
            Shape::Newtype(_) => {}
        }
    }
}

/// Names a type, its unnamed parents first. A loop, for a schema may nest deeper than the stack.
fn name_type(catalog: &mut Catalog, stems: &[(TypeId, String)], id: TypeId) {
    let mut chain = vec![id];
    while let Hint::Within(parent, _) = &catalog.types[chain[chain.len() - 1].0].hint
        && catalog.types[parent.0].name.is_empty()
        && chain.len() <= catalog.types.len()
    {
        chain.push(*parent);
    }
    for TypeId(id) in chain.into_iter().rev() {
        let name = match &catalog.types[id].hint {
            Hint::Message => {
                let stem = stems
                    .iter()
                    .find(|(root, _)| root.0 == id)
                    .map_or("", |(_, stem)| stem);
                camel(
                    stem.rsplit('.')
                        .find(|part| !part.is_empty())
                        .unwrap_or(stem),
                )
            }
            Hint::Definition(key) => camel(key),
            Hint::Within(parent, place) => within(&catalog.types[parent.0].name, place),
        };
        catalog.types[id].name = name;
    }
}

/// `schemas/com.acme.Person.v1.json` is `com.acme.Person`.
pub(crate) fn stem(source: &str) -> &str {
    let file = source.rsplit('/').next().unwrap_or(source);
    let file = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    match file.rsplit_once('.') {
        Some((stem, version)) if version.starts_with('v') => stem,
        _ => file,
    }
}

/// The module of a message: `com.acme.Person` is `com_acme_person`.
pub fn module(stem: &str) -> String {
    snake(stem)
}

/// A field's name, or a module's.
pub fn snake(name: &str) -> String {
    let mut out = String::new();
    for word in words(name) {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(&word);
    }
    let out = shorten(out, '_');
    match out.as_bytes().first() {
        Some(first) if first.is_ascii_digit() => format!("n{out}"),
        _ if KEYWORDS.contains(&out.as_str()) => format!("{out}_"),
        _ => out,
    }
}

/// A type's name, which must not hide what generated code names bare.
pub fn camel(name: &str) -> String {
    let name = variant(name);
    match SHADOWING.contains(&name.as_str()) {
        true => format!("{name}_"),
        false => name,
    }
}

/// A variant's name, which hides nothing: `None` is a fine one.
pub fn variant(name: &str) -> String {
    let mut out = String::new();
    for word in words(name) {
        push_camel(&mut out, &word);
    }
    let out = shorten(out, 'X');
    match out.as_bytes().first() {
        Some(first) if first.is_ascii_digit() => format!("N{out}"),
        _ if out == "Self" => "Self_".to_owned(),
        _ => out,
    }
}

/// An anonymous type's name: its parent's, then the place it stands in.
fn within(parent: &str, place: &str) -> String {
    let mut out = parent.trim_end_matches('_').to_owned();
    for word in words(place) {
        push_camel(&mut out, &word);
    }
    shorten(out, 'X')
}

/// Appends a word; two digits that would meet are kept apart (`1.5` is not `15`).
fn push_camel(out: &mut String, word: &str) {
    let digit_meets_digit = out.ends_with(|c: char| c.is_ascii_digit())
        && word.starts_with(|c: char| c.is_ascii_digit());
    if digit_meets_digit {
        out.push('_');
    }
    let mut chars = word.chars();
    if let Some(first) = chars.next() {
        out.push(first.to_ascii_uppercase());
        out.push_str(chars.as_str());
    }
}

/// Nobody reads a name of a thousand letters, and nested ones would grow with the square of their depth.
const LONGEST: usize = 96;

fn shorten(name: String, before_digest: char) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let digest = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!(
        "{}{before_digest}{digest:016x}",
        name[..LONGEST - 17].trim_end_matches('_')
    )
}

/// The lower-case ASCII words of a name; at least one.
fn words(name: &str) -> Vec<String> {
    let spelled = spell(name);
    let chars = spelled.chars().collect::<Vec<_>>();
    let mut words = vec![String::new()];
    for (i, &c) in chars.iter().enumerate() {
        if c == '_' {
            words.push(String::new());
            continue;
        }
        let after_lower =
            i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
        let ends_acronym = i > 0
            && chars[i - 1].is_ascii_uppercase()
            && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (after_lower || ends_acronym) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    if words.is_empty() {
        words.push("empty".to_owned());
    }
    words
}

/// A name in `[A-Za-z0-9_]`, where `_` parts words.
fn spell(name: &str) -> String {
    let only_separators = name.chars().all(is_separator);
    let mut out = String::with_capacity(name.len());
    let chars = name.chars().collect::<Vec<_>>();
    for (i, &c) in chars.iter().enumerate() {
        let first = i == 0;
        let last = i + 1 == chars.len();
        let before_digit = chars.get(i + 1).is_some_and(char::is_ascii_digit);
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' => out.push(c),
            // A sign: `-1` beside `1`, `A-` beside `A`.
            '-' if !only_separators && (first && before_digit || last) => {
                push_word(&mut out, "minus")
            }
            _ if is_separator(c) && !only_separators => out.push('_'),
            _ => match (latin(c), punctuation(c)) {
                (Some(letters), _) => out.push_str(letters),
                (None, Some(word)) => push_word(&mut out, word),
                (None, None) => push_word(&mut out, &format!("u{:04x}", u32::from(c))),
            },
        }
    }
    out
}

fn push_word(out: &mut String, word: &str) {
    out.push('_');
    out.push_str(word);
    out.push('_');
}

fn is_separator(c: char) -> bool {
    matches!(c, '_' | '-' | '.' | '/' | ':' | ' ')
}

fn punctuation(c: char) -> Option<&'static str> {
    Some(match c {
        '!' => "bang",
        '"' => "quote",
        '#' => "hash",
        '$' => "dollar",
        '%' => "percent",
        '&' => "and",
        '\'' => "apostrophe",
        '(' => "open",
        ')' => "close",
        '*' => "star",
        '+' => "plus",
        ',' => "comma",
        '-' => "minus",
        '.' => "dot",
        '/' => "slash",
        ':' => "colon",
        ';' => "semicolon",
        '<' => "less",
        '=' => "equal",
        '>' => "greater",
        '?' => "question",
        '@' => "at",
        '[' => "bracket",
        '\\' => "backslash",
        ']' => "unbracket",
        '^' => "caret",
        '_' => "underscore",
        '`' => "backtick",
        '{' => "brace",
        '|' => "or",
        '}' => "unbrace",
        '~' => "tilde",
        ' ' => "space",
        _ => return None,
    })
}

/// Letters of Latin-1 and Latin Extended-A without their accents, as a reader without that keyboard would type them.
fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'Æ' => "Ae",
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'Ð' | 'Ď' | 'Đ' => "D",
        'È'..='Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' => "E",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'Ĥ' | 'Ħ' => "H",
        'Ì'..='Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' => "I",
        'Ĵ' => "J",
        'Ķ' => "K",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ŀ' | 'Ł' => "L",
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' => "N",
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' => "O",
        'Œ' => "Oe",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'Ś' | 'Ŝ' | 'Ş' | 'Š' => "S",
        'Ţ' | 'Ť' | 'Ŧ' => "T",
        'Þ' => "Th",
        'Ù'..='Ü' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' => "U",
        'Ŵ' => "W",
        'Ý' | 'Ŷ' | 'Ÿ' => "Y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ð' | 'ď' | 'đ' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' | 'ĸ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ſ' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

/// Strict and reserved words of every edition up to 2024.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Names that generated code uses bare, the parameters of the wire tables' functions among them.
const SHADOWING: &[&str] = &[
    "Box", "Err", "None", "Ok", "Option", "R", "Result", "Some", "String", "Vec", "W",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_depend_on_nothing_else() {
        for (schema, field, ty) in [
            ("first_name", "first_name", "FirstName"),
            ("firstName", "first_name", "FirstName"),
            ("HTTPServerID", "http_server_id", "HttpServerId"),
            ("com.acme.Person", "com_acme_person", "ComAcmePerson"),
            ("order-item", "order_item", "OrderItem"),
            ("IN_TRANSIT", "in_transit", "InTransit"),
            ("address2", "address2", "Address2"),
            ("v2Name", "v2_name", "V2Name"),
            ("type", "type_", "Type"),
            ("self", "self_", "Self_"),
            ("gen", "gen_", "Gen"),
            ("string", "string", "String_"),
            ("größe", "grosse", "Grosse"),
            ("日本", "u65e5_u672c", "U65e5U672c"),
            ("", "empty", "Empty"),
            ("2nd", "n2nd", "N2nd"),
            ("1.5", "n1_5", "N1_5"),
            ("-1", "minus_1", "Minus1"),
            ("A+", "a_plus", "APlus"),
            ("A-", "a_minus", "AMinus"),
            ("C#", "c_hash", "CHash"),
            ("$ref", "dollar_ref", "DollarRef"),
            ("@type", "at_type", "AtType"),
            (">=", "greater_equal", "GreaterEqual"),
            ("-", "minus", "Minus"),
            ("r", "r", "R_"),
            ("_", "underscore", "Underscore"),
            ("\"; }", "quote_semicolon_unbrace", "QuoteSemicolonUnbrace"),
            ("a\n\u{202e}b", "a_u000a_u202e_b", "AU000aU202eB"),
        ] {
            assert_eq!(
                (snake(schema).as_str(), camel(schema).as_str()),
                (field, ty),
                "{schema:?}"
            );
        }
    }

    #[test]
    fn variants_hide_nothing() {
        for (schema, name) in [
            ("none", "None"),
            ("OK", "Ok"),
            ("self", "Self_"),
            ("box", "Box"),
        ] {
            assert_eq!(variant(schema), name);
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (one, other) = ("a".repeat(10_000), "a".repeat(10_001));
        assert_eq!(snake(&one).len(), LONGEST);
        assert_ne!(snake(&one), snake(&other));
        assert_ne!(camel(&one), camel(&other));
    }

    #[test]
    fn every_name_is_an_identifier() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            for name in [c.to_string(), format!("a{c}"), format!("{c}1")] {
                for ident in [snake(&name), camel(&name)] {
                    assert!(
                        syn::parse_str::<syn::Ident>(&ident).is_ok(),
                        "{name:?} became {ident:?}"
                    );
                }
            }
        }
    }
}
