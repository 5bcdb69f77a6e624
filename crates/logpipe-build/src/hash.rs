//! Which numbers make the hash over (type, version) perfect? Found here, at build time; the run time only looks up.
//!
//! Hash and displace: a key's bucket has a seed, chosen so that all keys of the bucket fall on free slots. There are as
//! many slots as keys. The run time has the same three functions, and a test over real tables holds them together.

use std::cmp::Reverse;

/// What the run time needs to find a key.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// One per bucket.
    pub seeds: Vec<u32>,
    /// The index of the key that falls on each slot.
    pub slots: Vec<usize>,
}

/// Keys per bucket, on average: fewer make a larger table, more a longer search.
const BUCKET: usize = 3;

impl Table {
    /// For keys that are all different.
    pub fn of(keys: &[(&str, u32)]) -> Self {
        let hashes = keys
            .iter()
            .map(|&(message_type, version)| hash(message_type, version))
            .collect::<Vec<_>>();
        let mut buckets = vec![Vec::new(); keys.len().div_ceil(BUCKET)];
        for (index, &hash) in hashes.iter().enumerate() {
            buckets[bucket(hash, keys.len().div_ceil(BUCKET))].push(index);
        }
        let mut order = (0..buckets.len()).collect::<Vec<_>>();
        order.sort_by_key(|&bucket| (Reverse(buckets[bucket].len()), bucket));

        let mut seeds = vec![0; buckets.len()];
        let mut taken = vec![None; keys.len()];
        for bucket in order {
            // One key always fits some seed; two of equal 64-bit hashes never would, and no catalog has them.
            for seed in 0..u32::MAX {
                let mut slots = buckets[bucket]
                    .iter()
                    .map(|&index| slot(hashes[index], seed, keys.len()))
                    .collect::<Vec<_>>();
                let free = slots.iter().all(|&slot| taken[slot].is_none());
                slots.sort_unstable();
                if free && slots.windows(2).all(|pair| pair[0] != pair[1]) {
                    seeds[bucket] = seed;
                    for &index in &buckets[bucket] {
                        taken[slot(hashes[index], seed, keys.len())] = Some(index);
                    }
                    break;
                }
            }
        }
        Self {
            seeds,
            slots: taken.into_iter().map(Option::unwrap_or_default).collect(),
        }
    }
}

/// FNV-1a over the type, then the version, mixed.
fn hash(message_type: &str, version: u32) -> u64 {
    let bytes = message_type.bytes().chain(version.to_le_bytes());
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

fn bucket(hash: u64, buckets: usize) -> usize {
    scale(hash, buckets)
}

fn slot(hash: u64, seed: u32, slots: usize) -> usize {
    scale(
        mix(hash ^ u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        slots,
    )
}

/// The finish of splitmix64: every bit of the input reaches the high bits that `scale` reads.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Spreads a hash over `0..count` without a division.
fn scale(hash: u64, count: usize) -> usize {
    ((u128::from(hash) * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_slot_of_its_own() {
        for count in [0, 1, 2, 3, 10, 100, 1_000, 3_000] {
            let names = (0..count)
                .map(|i| (format!("com.acme.type-{}", i / 3), i % 3 + 1))
                .collect::<Vec<_>>();
            let keys = names
                .iter()
                .map(|(name, version)| (name.as_str(), *version))
                .collect::<Vec<_>>();
            let table = Table::of(&keys);
            for (index, &(name, version)) in keys.iter().enumerate() {
                let hash = hash(name, version);
                let seed = table.seeds[bucket(hash, table.seeds.len())];
                assert_eq!(table.slots[slot(hash, seed, table.slots.len())], index);
            }
        }
    }
}
