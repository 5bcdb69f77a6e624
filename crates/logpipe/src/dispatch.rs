//! Which schema is it for a type and version? A perfect hash over data that the generator writes.

/// One schema that this program was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The type, as it stands in the envelope.
    pub message_type: &'static str,
    /// The version.
    pub version: u32,
    /// The file: `schemas/person.v1.json`.
    pub source: &'static str,
    /// SHA-256 of its text, in lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// The seeds that make the hash perfect for a set of schemas: hash and displace.
///
/// A key's hash is FNV-1a (64 bits) over the type's UTF-8 bytes and the version in four bytes, low byte first, then
/// mixed by the finish of splitmix64. `scale(hash, buckets)` is its bucket, `scale(mix(hash ^ seed * 0x9e3779b97f4a7c15),
/// slots)` its slot, where `scale` multiplies by the count and keeps the upper 64 of 128 bits.
#[derive(Debug)]
pub struct Table {
    /// One per bucket.
    pub seeds: &'static [u32],
    /// The index of the schema that falls on each slot.
    pub slots: &'static [usize],
}

impl Table {
    /// The index of a schema in the table that the seeds were found for, in constant time.
    pub fn find(&self, schemas: &[Schema], message_type: &str, version: u32) -> Option<usize> {
        let hash = hash(message_type, version);
        let seed = *self.seeds.get(scale(hash, self.seeds.len()))?;
        let index = *self.slots.get(slot(hash, seed, self.slots.len()))?;
        // Every key falls on some slot, so the slot's own key has the last word.
        schemas
            .get(index)
            .is_some_and(|schema| schema.version == version && schema.message_type == message_type)
            .then_some(index)
    }
}

fn hash(message_type: &str, version: u32) -> u64 {
    let bytes = message_type.bytes().chain(version.to_le_bytes());
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

fn slot(hash: u64, seed: u32, slots: usize) -> usize {
    let displaced = hash ^ u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    scale(mix(displaced), slots)
}

fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn scale(hash: u64, count: usize) -> usize {
    ((u128::from(hash) * count as u128) >> 64) as usize
}

/// The form of generated code that this run time takes.
const INTERFACE: u32 = 1;

/// Generated code calls this in a constant, so that code of another form is refused in a sentence.
#[doc(hidden)]
pub const fn generated_for(interface: u32) {
    assert!(
        interface == INTERFACE,
        "the generated code and the logpipe library do not fit together: use the same version of logpipe, logpipe-build \
         and the logpipe command, and run `logpipe generate`"
    );
}
