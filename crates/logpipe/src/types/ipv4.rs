//! `format: ipv4`: four decimal numbers without leading zeros.

use std::borrow::Cow;

use super::{Ipv4Addr, Spelled};

impl Spelled for Ipv4Addr {
    const EXPECTED: &'static str = "must be an IPv4 address, as 192.0.2.1";

    fn parse(text: &str) -> Option<Self> {
        // The standard library's grammar is the strict one: it refuses leading zeros and short forms.
        text.parse().ok()
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(self.to_string()))
    }
}

super::spelled::spelled!(Ipv4Addr);
