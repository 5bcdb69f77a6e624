//! Which lane a key belongs to: the partitioner that Kafka's Java clients, and so django-logpipe, use.

/// The hash of Kafka's default partitioner (murmur2, 32 bits, seed `0x9747b28c`) without its sign bit.
pub(crate) fn hash(key: &[u8]) -> u32 {
    murmur2(key) & 0x7fff_ffff
}

fn murmur2(key: &[u8]) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    // Java's array length is an i32; a longer key can't reach us, and wrapping is what Java's arithmetic would do.
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MIX);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX);
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// From django-logpipe over kafka-python: key, hash, partition of 4, partition of 12.
    #[test]
    fn partitions_are_those_of_kafka() {
        for (key, expected, of_4, of_12) in [
            ("", 275646681, 1, 9),
            ("12345678-1234-4678-9234-567812345678", 323903568, 0, 0),
            ("NY", 649138875, 3, 3),
            ("é", 186971271, 3, 3),
            ("a", 584102524, 0, 4),
            ("ab", 316155434, 2, 2),
            ("abc", 479470107, 3, 3),
            ("abcd", 823834100, 0, 8),
            ("1", 154038159, 3, 3),
            ("None", 477476995, 3, 7),
            ("2024-01-02 03:04:05+00:00", 1702991658, 2, 6),
        ] {
            let hash = hash(key.as_bytes());
            assert_eq!(
                (hash, hash % 4, hash % 12),
                (expected, of_4, of_12),
                "{key:?}"
            );
        }
    }
}
