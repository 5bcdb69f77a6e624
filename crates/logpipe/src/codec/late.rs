//! Which faults of an object's members still stand when the object ends: a duplicate overrules what came before it.

use super::{Fault, Reader};

/// The members of one object whose last spelling so far is invalid.
///
/// The last of duplicate members wins, also over an earlier one that is no value of the declared type. So an invalid
/// member is read over and its fault kept until the object ends.
#[derive(Debug, Default)]
pub struct Late<K>(Vec<(K, Fault)>);

impl<K: PartialEq> Late<K> {
    /// Nothing is wrong yet; allocates nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A member was read well: what an earlier one of that name did is forgotten.
    #[inline]
    pub fn clear(&mut self, key: &K) {
        if !self.0.is_empty() {
            self.0.retain(|(name, _)| name != key);
        }
    }

    /// A member, whose value begins at `mark`, is invalid: the reader goes on behind it. Broken syntax can't wait.
    #[cold]
    pub fn keep<'a, R: Reader<'a>>(
        &mut self,
        reader: &mut R,
        mark: R::Mark,
        key: K,
        fault: Fault,
    ) -> Result<(), Fault> {
        if fault.is_malformed() {
            return Err(fault);
        }
        reader.rewind(mark);
        reader.skip()?;
        self.clear(&key);
        self.0.push((key, fault));
        Ok(())
    }

    /// The object ended: the first fault that was not overruled.
    #[inline]
    pub fn finish(self) -> Result<(), Fault> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((_, fault)) => Err(fault),
        }
    }
}
