//! `format: ipv6`: RFC 4291 without a zone, printed as RFC 5952 says.

use std::borrow::Cow;

use super::{Ipv6Addr, Spelled};

impl Spelled for Ipv6Addr {
    const EXPECTED: &'static str = "must be an IPv6 address, as 2001:db8::1";

    fn parse(text: &str) -> Option<Self> {
        // The standard library's grammar is the strict one, and has no zones for an address alone.
        text.parse().ok()
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(self.to_string()))
    }
}

super::spelled::spelled!(Ipv6Addr);
