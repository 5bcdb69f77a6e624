//! The rules of a schema that a Rust type does not express by itself, as functions that generated tables name.
//!
//! Each takes the value and the constants of the rule. Reasons are made of those constants, never of the value.

mod count;
mod number;
mod pattern;
mod text;
mod unique;

pub use count::{
    List, each, max_items, max_properties, min_items, min_properties, present, values,
};
pub use number::{Bound, Equal, Scalar, above, below, equals, max, min, multiple_of};
pub use pattern::pattern;
pub use text::{Text, max_chars, min_chars};
pub use unique::unique_items;

use std::borrow::Cow;

/// A definition with a name, around one value: the rules see through to the value.
pub trait Newtype {
    /// What it is around.
    type Inner;

    /// The value.
    fn inner(&self) -> &Self::Inner;
}

/// The rules see through to a boxed value, too.
impl<T> Newtype for Box<T> {
    type Inner = T;

    fn inner(&self) -> &T {
        self
    }
}

impl<N: Newtype> Text for N
where
    N::Inner: Text,
{
    fn text(&self) -> Cow<'_, str> {
        self.inner().text()
    }
}

impl<N: Newtype> Scalar for N
where
    N::Inner: Scalar,
{
    type Bare = <N::Inner as Scalar>::Bare;

    fn bare(&self) -> Self::Bare {
        self.inner().bare()
    }
}

impl<N: Newtype> List for N
where
    N::Inner: List,
{
    type Item = <N::Inner as List>::Item;

    fn items(&self) -> &[Self::Item] {
        self.inner().items()
    }
}
