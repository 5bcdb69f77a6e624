//! `format: email`, the mailbox of RFC 5321.

use std::borrow::Cow;

use super::{Ipv4Addr, Ipv6Addr, Spelled};

/// An email address in the spelling it came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// As it is spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Spelled for Email {
    const EXPECTED: &'static str = "must be an email address, as joe@example.com";

    fn parse(text: &str) -> Option<Self> {
        // A quoted local part may hold an `@`; the domain may not.
        let (local, domain) = text.rsplit_once('@')?;
        let fits = local.len() <= 64 && domain.len() <= 255;
        (fits && is_local(local) && is_domain(domain)).then(|| Self(text.to_owned()))
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.0))
    }
}

super::spelled::spelled!(Email, parsed);

impl AsRef<str> for Email {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

/// Atoms with dots between them, or a quoted string.
fn is_local(local: &str) -> bool {
    if let Some(quoted) = local.strip_prefix('"') {
        let Some(inner) = quoted.strip_suffix('"') else {
            return false;
        };
        let mut bytes = inner.bytes();
        while let Some(byte) = bytes.next() {
            let allowed = match byte {
                b'\\' => bytes.next().is_some_and(|byte| matches!(byte, b' '..=b'~')),
                b'"' => false,
                other => matches!(other, b' '..=b'~'),
            };
            if !allowed {
                return false;
            }
        }
        return true;
    }
    local.split('.').all(|atom| {
        let is_atom =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
        !atom.is_empty() && atom.bytes().all(is_atom)
    })
}

/// A host name, or an address in brackets.
fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[') {
        let Some(address) = literal.strip_suffix(']') else {
            return false;
        };
        return match address.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => address.parse::<Ipv4Addr>().is_ok(),
        };
    }
    domain.split('.').all(|label| {
        let bytes = label.as_bytes();
        let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        matches!(bytes.len(), 1..=63)
            && bytes.iter().all(is_inner)
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    })
}
