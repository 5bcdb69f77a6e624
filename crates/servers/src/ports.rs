//! Which ports of 127.0.0.1 are free for a server that will be stopped and started again on them.

use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// Below the range from which the kernel draws ports for outgoing connections: a client can't take the port of a server
/// that is down for a moment.
const RANGE: std::ops::Range<u16> = 18_000..32_000;

/// So many free ports, all different.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let span = u32::from(RANGE.end - RANGE.start);
    // Two processes that ask at the same moment begin at different places.
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    let first = nanos.wrapping_add(std::process::id().wrapping_mul(7919)) % span;
    // All are held until all are found, or the second search would find the first one's port.
    let mut held = Vec::with_capacity(N);
    for step in 0..span {
        let port = RANGE.start + ((first + step) % span) as u16;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push((port, listener));
        }
        if held.len() == N {
            return Ok(std::array::from_fn(|index| held[index].0));
        }
    }
    Err(Error::new(format!(
        "fewer than {N} ports of 127.0.0.1 between {} and {} are free",
        RANGE.start, RANGE.end
    )))
}
