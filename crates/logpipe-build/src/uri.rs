//! Where does a reference lead? RFC 3986, as far as references between schemas need it.

/// What file URIs begin with: the schemas folder is the root, and there is nothing above it.
pub(crate) const FOLDER: &str = "schemas:///";

/// A reference, made absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Absolute, normalised, without a fragment.
    pub(crate) uri: String,
    /// Decoded; empty where there is none.
    pub(crate) fragment: String,
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Above the schemas folder, or to another place of this machine.
    Outside,
    /// A `%` that two hexadecimal digits do not follow, or bytes that are not UTF-8.
    Escape,
}

/// Joins a reference to the absolute URI that it stands under.
pub(crate) fn resolve(base: &str, reference: &str) -> Result<Target, Fault> {
    let (rest, fragment) = reference.split_once('#').unwrap_or((reference, ""));
    let fragment = decode(fragment)?;
    let uri = join(base, rest)?;
    Ok(Target { uri, fragment })
}

fn join(base: &str, reference: &str) -> Result<String, Fault> {
    if reference.is_empty() {
        return Ok(base.to_owned());
    }
    if let Some((scheme, rest)) = scheme(reference) {
        let scheme = scheme.to_ascii_lowercase();
        let Some(rest) = rest.strip_prefix("//") else {
            // `urn:uuid:..`: nothing to normalise. A file without an authority is a file all the same.
            return if scheme == "file" {
                Err(Fault::Outside)
            } else {
                Ok(format!("{scheme}:{rest}"))
            };
        };
        if scheme == "file" || FOLDER.starts_with(&format!("{scheme}:")) && !rest.starts_with('/') {
            return Err(Fault::Outside);
        }
        let (authority, path) = split_path(rest);
        return Ok(format!(
            "{scheme}://{}{}",
            authority.to_ascii_lowercase(),
            straighten(&scheme, path)?
        ));
    }
    // A base without `//` (a urn) has no folders to be relative to.
    let (scheme, rest) = scheme(base).unwrap_or(("", base));
    let Some(rest) = rest.strip_prefix("//") else {
        return Ok(format!("{scheme}:{reference}"));
    };
    if let Some(rest) = reference.strip_prefix("//") {
        return match FOLDER.starts_with(&format!("{scheme}:")) {
            true => Err(Fault::Outside),
            false => join(base, &format!("{scheme}://{rest}")),
        };
    }
    let (authority, path) = split_path(rest);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let joined = match reference.as_bytes()[0] {
        b'/' => reference.to_owned(),
        b'?' => format!("{path}{reference}"),
        _ => format!(
            "{}/{reference}",
            path.rsplit_once('/').map_or("", |(folder, _)| folder)
        ),
    };
    Ok(format!(
        "{scheme}://{authority}{}",
        straighten(scheme, &joined)?
    ))
}

/// `a:rest`, where `a` is a scheme and not the first part of a path.
fn scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let letters = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (letters && scheme.starts_with(|first: char| first.is_ascii_alphabetic()))
        .then_some((scheme, rest))
}

/// The authority, and the rest from its first slash or question mark.
fn split_path(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

/// Takes out `.` and `..`. In the schemas folder a `..` too many is a fault; elsewhere it is dropped, as the RFC says.
fn straighten(scheme: &str, path: &str) -> Result<String, Fault> {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let decoded = decode(path)?;
    let mut parts: Vec<&str> = Vec::new();
    let mut parts_of = decoded.split('/').peekable();
    parts_of.next_if_eq(&"");
    while let Some(part) = parts_of.next() {
        let last = parts_of.peek().is_none();
        match part {
            ".." if parts.pop().is_none() && FOLDER.starts_with(&format!("{scheme}:")) => {
                return Err(Fault::Outside);
            }
            "." | ".." if last => parts.push(""),
            "." | ".." => {}
            _ => parts.push(part),
        }
    }
    Ok(format!("/{}{query}", parts.join("/")))
}

/// Percent-decodes. URIs are only compared here, so it does no harm that `%2F` becomes a slash.
fn decode(text: &str) -> Result<String, Fault> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit().ok_or(Fault::Escape)?, digit().ok_or(Fault::Escape)?);
                (high * 16 + low) as u8
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Fault::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_absolute() {
        let file = "schemas:///types/address.json";
        let web = "https://acme.com/a/b.json?x=1";
        let table = [
            (file, "", "schemas:///types/address.json", ""),
            (
                file,
                "#/$defs/a%7E1b%25",
                "schemas:///types/address.json",
                "/$defs/a~1b%",
            ),
            (
                file,
                "street.json#street",
                "schemas:///types/street.json",
                "street",
            ),
            (file, "./deep/./x.json", "schemas:///types/deep/x.json", ""),
            (file, "../person.v1.json", "schemas:///person.v1.json", ""),
            (file, "/person.v1.json", "schemas:///person.v1.json", ""),
            (
                file,
                "HTTPS://Acme.com/x/../y.json",
                "https://acme.com/y.json",
                "",
            ),
            (file, "urn:uuid:1-2#x", "urn:uuid:1-2", "x"),
            (web, "c.json#", "https://acme.com/a/c.json", ""),
            (web, "../../../c.json", "https://acme.com/c.json", ""),
            (web, "//other.org/c", "https://other.org/c", ""),
            (web, "?y=2", "https://acme.com/a/b.json?y=2", ""),
            ("https://acme.com", "c.json", "https://acme.com/c.json", ""),
            ("urn:a:b", "#x", "urn:a:b", "x"),
        ];
        for (base, reference, uri, fragment) in table {
            let expected = Target {
                uri: uri.into(),
                fragment: fragment.into(),
            };
            assert_eq!(
                resolve(base, reference),
                Ok(expected),
                "{base} + {reference}"
            );
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let base = "schemas:///types/address.json";
        let out = [
            "../../x.json",
            "/../x.json",
            "%2e%2e/%2e%2e/x",
            "file:///etc/passwd",
            "FILE:x",
            "//host/share/x.json",
        ];
        for reference in out
            .into_iter()
            .chain(["schemas://host/x", "a/../../../x.json"])
        {
            assert_eq!(resolve(base, reference), Err(Fault::Outside), "{reference}");
        }
        for reference in ["#%4", "#%zz", "%ff", "#%C3%28"] {
            assert_eq!(resolve(base, reference), Err(Fault::Escape), "{reference}");
        }
    }
}
