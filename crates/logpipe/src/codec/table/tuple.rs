//! How do the declared members of an object go in and out, as a tuple of them?

use std::fmt::{Debug, DebugStruct};

use super::super::{Fault, Late, Members, Reader, Wire, Writer};
use super::{check, optional};

/// Declared members on their way in: one, or a tuple of them, in declared order.
///
/// `first` is the index of the first of them among the members of the object.
pub trait Incoming: Sized {
    /// How many members.
    const COUNT: usize;
    /// Where they wait until the object ends.
    type Places: Default;

    /// Reads those that come next, in declared order and in the usual spelling; returns the index behind the last one,
    /// `next` if there is none.
    fn in_order<'a, R: Reader<'a>>(
        object: &mut Object<'_, 'a, R>,
        places: &mut Self::Places,
        first: usize,
        next: usize,
    ) -> Result<usize, Fault>;

    /// Reads the value of the one with that index.
    fn one<'a, R: Reader<'a>>(
        object: &mut Object<'_, 'a, R>,
        places: &mut Self::Places,
        first: usize,
        index: usize,
    ) -> Result<(), Fault>;

    /// The object ended: are all of them there?
    fn take(places: Self::Places, members: &'static Members, first: usize) -> Result<Self, Fault>;
}

/// An object that is being read.
pub struct Object<'r, 'a, R: Reader<'a>> {
    pub(super) reader: &'r mut R,
    pub(super) left: R::Left,
    pub(super) members: &'static Members,
    pub(super) late: Late<usize>,
}

impl<'a, R: Reader<'a>> Object<'_, 'a, R> {
    /// Whether the next member is this one, in the usual spelling; its value is next then.
    #[inline]
    fn expect(&mut self, index: usize) -> bool {
        self.reader.expect(&mut self.left, self.members.name(index))
    }

    /// Reads a member into its place; an invalid one is kept until the object ends.
    #[inline]
    fn value<T: Wire>(&mut self, index: usize, place: &mut Option<T>) -> Result<(), Fault> {
        let mark = self.reader.mark();
        match T::read(self.reader) {
            Ok(value) => {
                self.late.clear(&index);
                *place = Some(value);
                Ok(())
            }
            Err(fault) => {
                let fault = fault.member(self.members.name(index).as_str());
                self.late.keep(self.reader, mark, index, fault)
            }
        }
    }
}

/// One that is always there and one that may be absent differ in what an empty place means.
macro_rules! incoming {
    ($field:ty: $place:ident $index:ident $members:ident => $take:expr) => {
        impl<T: Wire> Incoming for $field {
            const COUNT: usize = 1;
            type Places = Option<T>;

            #[inline]
            fn in_order<'a, R: Reader<'a>>(
                object: &mut Object<'_, 'a, R>,
                place: &mut Option<T>,
                first: usize,
                next: usize,
            ) -> Result<usize, Fault> {
                if !object.expect(first) {
                    return Ok(next);
                }
                object.value(first, place)?;
                Ok(first + 1)
            }

            #[inline]
            fn one<'a, R: Reader<'a>>(
                object: &mut Object<'_, 'a, R>,
                place: &mut Option<T>,
                first: usize,
                _: usize,
            ) -> Result<(), Fault> {
                object.value(first, place)
            }

            #[inline]
            fn take(
                $place: Option<T>,
                $members: &'static Members,
                $index: usize,
            ) -> Result<Self, Fault> {
                $take
            }
        }
    };
}

incoming!(T: place index members => match place {
    Some(value) => Ok(value),
    None => Err(Fault::missing(members.name(index).as_str())),
});
incoming!(optional<Option<T>>: place _index _members => Ok(Self(place)));

/// Declared members on their way out: one, or a tuple of them, in declared order.
///
/// `first` is the index of the first of them among the members of the object.
pub trait Outgoing {
    /// How many members.
    const COUNT: usize;

    /// How many of them are there.
    fn present(&self) -> usize;

    /// Writes those that are there.
    fn write<W: Writer>(
        &self,
        writer: &mut W,
        object: &mut W::Object,
        members: &'static Members,
        first: usize,
    ) -> Result<(), Fault>;

    /// Their rules, and those within each of them.
    fn check(&self, members: &'static Members, first: usize) -> Result<(), Fault>;

    /// Shows them to a person.
    fn debug(&self, out: &mut DebugStruct<'_, '_>, members: &'static Members, first: usize);
}

impl<T: Wire + Debug> Outgoing for &T {
    const COUNT: usize = 1;

    #[inline]
    fn present(&self) -> usize {
        1
    }

    #[inline]
    fn write<W: Writer>(
        &self,
        writer: &mut W,
        object: &mut W::Object,
        members: &'static Members,
        first: usize,
    ) -> Result<(), Fault> {
        let name = members.name(first);
        writer.declared(object, name)?;
        T::write(self, writer).map_err(|fault| fault.member(name.as_str()))
    }

    #[inline]
    fn check(&self, members: &'static Members, first: usize) -> Result<(), Fault> {
        check(*self, members.rules(first))
            .map_err(|fault| fault.member(members.name(first).as_str()))
    }

    fn debug(&self, out: &mut DebugStruct<'_, '_>, members: &'static Members, first: usize) {
        out.field(members.name(first).as_str(), self);
    }
}

impl<T: Wire + Debug> Outgoing for optional<&Option<T>> {
    const COUNT: usize = 1;

    #[inline]
    fn present(&self) -> usize {
        self.0.is_some().into()
    }

    #[inline]
    fn write<W: Writer>(
        &self,
        writer: &mut W,
        object: &mut W::Object,
        members: &'static Members,
        first: usize,
    ) -> Result<(), Fault> {
        match self.0 {
            Some(value) => Outgoing::write(&value, writer, object, members, first),
            None => Ok(()),
        }
    }

    #[inline]
    fn check(&self, members: &'static Members, first: usize) -> Result<(), Fault> {
        match self.0 {
            Some(value) => Outgoing::check(&value, members, first),
            None => Ok(()),
        }
    }

    fn debug(&self, out: &mut DebugStruct<'_, '_>, members: &'static Members, first: usize) {
        out.field(members.name(first).as_str(), self.0);
    }
}

/// More members than the longest tuple are a tuple of tuples: [`members!`](crate::members).
macro_rules! tuples {
    ($($member:ident $at:tt),*) => {
        impl<$($member: Incoming),*> Incoming for ($($member,)*) {
            const COUNT: usize = 0 $(+ $member::COUNT)*;
            type Places = ($($member::Places,)*);

            #[inline]
            #[allow(unused)] // in the tuple without members
            fn in_order<'a, R: Reader<'a>>(
                object: &mut Object<'_, 'a, R>,
                places: &mut Self::Places,
                mut first: usize,
                mut next: usize,
            ) -> Result<usize, Fault> {
                $(
                    next = $member::in_order(object, &mut places.$at, first, next)?;
                    first += $member::COUNT;
                )*
                Ok(next)
            }

            #[inline]
            #[allow(unused)] // in the tuple without members
            fn one<'a, R: Reader<'a>>(
                object: &mut Object<'_, 'a, R>,
                places: &mut Self::Places,
                mut first: usize,
                index: usize,
            ) -> Result<(), Fault> {
                $(
                    if index < first + $member::COUNT {
                        return $member::one(object, &mut places.$at, first, index);
                    }
                    first += $member::COUNT;
                )*
                object.reader.skip()
            }

            #[inline]
            #[allow(unused)] // in the tuple without members
            fn take(
                places: Self::Places,
                members: &'static Members,
                mut first: usize,
            ) -> Result<Self, Fault> {
                Ok(($({
                    let member = $member::take(places.$at, members, first)?;
                    first += $member::COUNT;
                    member
                },)*))
            }
        }

        impl<$($member: Outgoing),*> Outgoing for ($($member,)*) {
            const COUNT: usize = 0 $(+ $member::COUNT)*;

            #[inline]
            fn present(&self) -> usize {
                0 $(+ self.$at.present())*
            }

            #[inline]
            #[allow(unused)] // in the tuple without members
            fn write<W: Writer>(
                &self,
                writer: &mut W,
                object: &mut W::Object,
                members: &'static Members,
                mut first: usize,
            ) -> Result<(), Fault> {
                $(
                    self.$at.write(writer, object, members, first)?;
                    first += $member::COUNT;
                )*
                Ok(())
            }

            #[inline]
            #[allow(unused)] // in the tuple without members
            fn check(&self, members: &'static Members, mut first: usize) -> Result<(), Fault> {
                $(
                    self.$at.check(members, first)?;
                    first += $member::COUNT;
                )*
                Ok(())
            }

            #[allow(unused)] // in the tuple without members
            fn debug(&self, out: &mut DebugStruct<'_, '_>, members: &'static Members, mut first: usize) {
                $(
                    self.$at.debug(out, members, first);
                    first += $member::COUNT;
                )*
            }
        }
    };
}

tuples!();
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
