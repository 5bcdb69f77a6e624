//! `format: uri`, the URI of RFC 3986: with a scheme, in ASCII.

use std::borrow::Cow;

use super::{Ipv6Addr, Spelled};

/// A URI in the spelling it came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uri(String);

impl Uri {
    /// As it is spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Spelled for Uri {
    const EXPECTED: &'static str = "must be a URI with its scheme, as https://example.com/";

    fn parse(text: &str) -> Option<Self> {
        is_uri(text).then(|| Self(text.to_owned()))
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.0))
    }
}

super::spelled::spelled!(Uri, parsed);

impl AsRef<str> for Uri {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> Self {
        uri.0
    }
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        || !scheme.bytes().all(in_scheme)
    {
        return false;
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (hierarchy, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match hierarchy.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !is_authority(authority) {
                return false;
            }
            path
        }
        None => hierarchy,
    };
    is_spelled(path, b":@/") && is_spelled(query, b":@/?") && is_spelled(fragment, b":@/?")
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let port = if let Some(literal) = host.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else {
            return false;
        };
        if !is_address(address) {
            return false;
        }
        port
    } else {
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        if !is_spelled(name, b"") {
            return false;
        }
        port
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    is_port && is_spelled(user, b":")
}

/// What stands in brackets: an IPv6 address, or one of a version to come: `v1.fe`.
fn is_address(address: &str) -> bool {
    if address.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let Some((version, rest)) = address
        .strip_prefix(['v', 'V'])
        .and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_version && !rest.is_empty() && !rest.contains('%') && is_spelled(rest, b":")
}

/// Unreserved characters, sub-delimiters, percent-encoded bytes, and these.
fn is_spelled(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let allowed = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit())),
            _ => {
                byte.is_ascii_alphanumeric()
                    || b"-._~!$&'()*+,;=".contains(&byte)
                    || also.contains(&byte)
            }
        };
        if !allowed {
            return false;
        }
    }
    true
}
