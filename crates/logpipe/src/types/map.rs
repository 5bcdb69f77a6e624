//! An object whose members are data: string keys, in the order of the message.

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::{Deref, DerefMut};

use indexmap::IndexMap;

use crate::codec::{Fault, Reader, Wire, Writer};
use crate::rules::{self, Rule};

/// A map from text to `T` that keeps its order; two are equal when they hold the same entries in any order.
///
/// It is an [`IndexMap`] in all but name. Of duplicate keys in a message the last wins, at the place of the first.
#[derive(Debug, Clone)]
pub struct Map<T>(IndexMap<String, T>);

impl<T> Map<T> {
    /// Empty.
    pub fn new() -> Self {
        Self(IndexMap::new())
    }
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Map<T> {
    type Target = IndexMap<String, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for Map<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T: PartialEq> PartialEq for Map<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Eq> Eq for Map<T> {}

/// Order does not count, as it does not for equality.
impl<T: Hash> Hash for Map<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        self.len().hash(state);
        self.iter()
            .fold(0_u64, |sum, entry| sum.wrapping_add(hasher.hash_one(entry)))
            .hash(state);
    }
}

impl<K: Into<String>, T> FromIterator<(K, T)> for Map<T> {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }
}

impl<K: Into<String>, T, const N: usize> From<[(K, T); N]> for Map<T> {
    fn from(entries: [(K, T); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<T> IntoIterator for Map<T> {
    type Item = (String, T);
    type IntoIter = indexmap::map::IntoIter<String, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Map<T> {
    type Item = (&'a String, &'a T);
    type IntoIter = indexmap::map::Iter<'a, String, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Wire> Wire for Map<T> {
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        let mut object = reader.object()?;
        let mut map = Self::new();
        let mut overruled = Overruled::default();
        while let Some(key) = reader.key(&mut object)? {
            let key = key.into_owned();
            let mark = reader.mark();
            match T::read(reader) {
                Ok(value) => {
                    overruled.clear(&key);
                    map.insert(key, value);
                }
                Err(fault) if fault.is_malformed() => return Err(fault),
                Err(fault) => {
                    reader.rewind(mark);
                    reader.skip()?;
                    overruled.keep(key, fault.entry());
                }
            }
        }
        overruled.finish()?;
        Ok(map)
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        let mut object = writer.object(self.len())?;
        for (key, value) in self {
            writer.member(&mut object, key)?;
            value.write(writer).map_err(Fault::entry)?;
        }
        writer.end_object(object)
    }

    fn check(&self) -> Result<(), Fault> {
        self.values()
            .try_for_each(|value| value.check().map_err(Fault::entry))
    }

    #[inline]
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        rules::map(self, rule)
    }
}

/// The keys whose last value so far is invalid: as [`Late`](crate::codec::Late), for keys that the sender chooses. Any
/// number of them costs linear time, and no more memory than as many valid ones.
#[derive(Default)]
struct Overruled(Option<IndexMap<String, Option<Fault>>>);

impl Overruled {
    fn clear(&mut self, key: &String) {
        if let Some(faults) = &mut self.0 {
            faults.swap_remove(key);
        }
    }

    #[cold]
    fn keep(&mut self, key: String, fault: Fault) {
        /// One is told in the end; more than one is kept for when the first is overruled.
        const KEPT: usize = 8;
        let faults = self.0.get_or_insert_with(IndexMap::new);
        let fault = (faults.len() < KEPT).then_some(fault);
        faults.insert(key, fault);
    }

    fn finish(self) -> Result<(), Fault> {
        let Some(faults) = self.0.filter(|faults| !faults.is_empty()) else {
            return Ok(());
        };
        let told = faults.into_values().flatten().next();
        Err(told.unwrap_or_else(|| Fault::invalid("no value of the map's type").entry()))
    }
}
