//! The words of a [`wire!`](crate::wire) table, and how an object is read, written and checked that is described by
//! them.
//!
//! A table expands to two tuples: one that takes an object apart into its fields and one that borrows them, each field
//! in the word for its presence. All the work is done here, generically and once, so that a user's crate with hundreds
//! of tables is quick to check; monomorphization and inlining make of it what a hand-written match would be.

use super::{Fault, Late, Name, Reader, Row, Wire, Writer};
use crate::types::{Map, Value};

/// A member that is always there.
#[allow(non_camel_case_types)] // a word of the table
pub struct required<T>(pub T);

/// A member that may be absent: an `Option`.
#[allow(non_camel_case_types)] // a word of the table
pub struct optional<T>(pub T);

pub use optional as optional_nullable;
/// Null is a value of its own, which the field's `Option` reads.
pub use required as nullable;

/// Members that are not declared are read over.
#[derive(Default)]
#[allow(non_camel_case_types)] // a word of the table
pub struct open;

/// Members that are not declared are refused.
#[derive(Default)]
#[allow(non_camel_case_types)] // a word of the table
pub struct closed;

/// Members that are not declared are carried along.
#[derive(Default)]
#[allow(non_camel_case_types)] // a word of the table
pub struct keep<M>(pub M);

/// Keeps the fault of the first rule that is broken, with the member's name.
///
/// All rules of a value are asked, one statement each: to return early, or to join them by `&&`, would give the compiler
/// a branch for each to look through.
#[inline]
pub fn keeps(broken: &mut Option<Fault>, name: &'static str, result: Result<(), Fault>) {
    if let Err(fault) = result
        && broken.is_none()
    {
        *broken = Some(fault.member(name));
    }
}

/// Declared members on their way in: one, or a tuple of them, in declared order.
///
/// `first` is the index of the first of them among the names of the object.
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
    fn take(places: Self::Places, names: &'static [Name], first: usize) -> Result<Self, Fault>;
}

/// An object that is being read.
pub struct Object<'r, 'a, R: Reader<'a>> {
    reader: &'r mut R,
    left: R::Left,
    names: &'static [Name],
    late: Late<usize>,
}

impl<'a, R: Reader<'a>> Object<'_, 'a, R> {
    /// Whether the next member is this one, in the usual spelling; its value is next then.
    #[inline]
    fn expect(&mut self, index: usize) -> bool {
        self.reader.expect(&mut self.left, &self.names[index])
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
                let fault = fault.member(self.names[index].as_str());
                self.late.keep(self.reader, mark, index, fault)
            }
        }
    }
}

/// Both words differ in what an empty place means.
macro_rules! incoming {
    ($word:ident, $field:ty, $place:ident $index:ident $names:ident => $take:expr) => {
        impl<T: Wire> Incoming for $word<$field> {
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
                $names: &'static [Name],
                $index: usize,
            ) -> Result<Self, Fault> {
                $take
            }
        }
    };
}

incoming!(required, T, place index names => match place {
    Some(value) => Ok(Self(value)),
    None => Err(Fault::missing(names[index].as_str())),
});
incoming!(optional, Option<T>, place _index _names => Ok(Self(place)));

/// Declared members on their way out: one, or a tuple of them, in declared order.
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
        names: &'static [Name],
        first: usize,
    ) -> Result<(), Fault>;

    /// The rules within each of them.
    fn check(&self, names: &'static [Name], first: usize) -> Result<(), Fault>;
}

/// Says of which member a fault is.
#[inline]
fn at(name: &Name, result: Result<(), Fault>) -> Result<(), Fault> {
    match result {
        Ok(()) => Ok(()),
        Err(fault) => Err(fault.member(name.as_str())),
    }
}

impl<T: Wire> Outgoing for required<&T> {
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
        names: &'static [Name],
        first: usize,
    ) -> Result<(), Fault> {
        writer.declared(object, &names[first])?;
        at(&names[first], self.0.write(writer))
    }

    #[inline]
    fn check(&self, names: &'static [Name], first: usize) -> Result<(), Fault> {
        at(&names[first], self.0.check())
    }
}

impl<T: Wire> Outgoing for optional<&Option<T>> {
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
        names: &'static [Name],
        first: usize,
    ) -> Result<(), Fault> {
        match self.0 {
            Some(value) => required(value).write(writer, object, names, first),
            None => Ok(()),
        }
    }

    #[inline]
    fn check(&self, names: &'static [Name], first: usize) -> Result<(), Fault> {
        match self.0 {
            Some(value) => required(value).check(names, first),
            None => Ok(()),
        }
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
                names: &'static [Name],
                mut first: usize,
            ) -> Result<Self, Fault> {
                Ok(($({
                    let member = $member::take(places.$at, names, first)?;
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
                names: &'static [Name],
                mut first: usize,
            ) -> Result<(), Fault> {
                $(
                    self.$at.write(writer, object, names, first)?;
                    first += $member::COUNT;
                )*
                Ok(())
            }

            #[inline]
            #[allow(unused)] // in the tuple without members
            fn check(&self, names: &'static [Name], mut first: usize) -> Result<(), Fault> {
                $(
                    self.$at.check(names, first)?;
                    first += $member::COUNT;
                )*
                Ok(())
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

/// Members that are not declared, on their way in.
pub trait Others: Default {
    /// Reads the value of one.
    fn meet<'a, R: Reader<'a>>(&mut self, name: &str, reader: &mut R) -> Result<(), Fault>;
}

impl Others for open {
    #[inline]
    fn meet<'a, R: Reader<'a>>(&mut self, _: &str, reader: &mut R) -> Result<(), Fault> {
        reader.skip()
    }
}

impl Others for closed {
    fn meet<'a, R: Reader<'a>>(&mut self, name: &str, _: &mut R) -> Result<(), Fault> {
        Err(Fault::undeclared(name))
    }
}

impl Others for keep<Map<Value>> {
    fn meet<'a, R: Reader<'a>>(&mut self, name: &str, reader: &mut R) -> Result<(), Fault> {
        let value = Value::read(reader).map_err(Fault::entry)?;
        self.0.insert(name.to_owned(), value);
        Ok(())
    }
}

/// Members that are not declared, on their way out.
pub trait Kept {
    /// Those that are carried along, if any can be.
    fn kept(&self) -> Option<&Map<Value>> {
        None
    }
}

impl Kept for open {}

impl Kept for closed {}

impl Kept for keep<&Map<Value>> {
    fn kept(&self) -> Option<&Map<Value>> {
        Some(self.0)
    }
}

/// Reads an object.
#[inline]
pub fn read<'a, R: Reader<'a>, I: Incoming, O: Others>(
    reader: &mut R,
    names: &'static [Name],
) -> Result<(I, O), Fault> {
    let left = reader.object()?;
    let mut others = O::default();
    let mut places = I::Places::default();
    let mut object = Object {
        reader,
        left,
        names,
        late: Late::new(),
    };
    // As nearly every sender writes them; the loop below takes what is left, whatever it is.
    let mut next = I::in_order(&mut object, &mut places, 0, 0)?;
    loop {
        match object.reader.row(&mut object.left, names, next)? {
            Row::Known(index) => {
                next = index + 1;
                I::one(&mut object, &mut places, 0, index)?;
            }
            Row::Unknown(name) => others.meet(&name, object.reader)?,
            Row::End => break,
        }
    }
    object.late.finish()?;
    Ok((I::take(places, names, 0)?, others))
}

/// What a table expands to for the way out: its members, once for all that goes over them, for each tuple more is one
/// more that the compiler has to make sense of.
pub trait Table: Wire {
    /// Shows the members.
    fn show<V: Visit>(&self, visit: V) -> Result<(), Fault>;
}

/// What goes over the members of an object.
pub trait Visit {
    /// Is shown them.
    fn visit(self, members: &impl Outgoing, others: &impl Kept) -> Result<(), Fault>;
}

/// Writes an object.
#[inline]
pub fn write<T: Table, W: Writer>(object: &T, writer: &mut W) -> Result<(), Fault> {
    struct Writing<'w, W> {
        writer: &'w mut W,
        names: &'static [Name],
    }

    impl<W: Writer> Visit for Writing<'_, W> {
        #[inline]
        fn visit(self, members: &impl Outgoing, others: &impl Kept) -> Result<(), Fault> {
            let Self { writer, names } = self;
            let count = members.present() + others.kept().map_or(0, |kept| kept.len());
            let mut object = writer.object(count)?;
            members.write(writer, &mut object, names, 0)?;
            for (name, value) in others.kept().into_iter().flatten() {
                writer.member(&mut object, name)?;
                value.write(writer).map_err(Fault::entry)?;
            }
            writer.end_object(object)
        }
    }

    let names = T::NAMES;
    object.show(Writing { writer, names })
}

/// The rules within an object's members.
#[inline]
pub fn check<T: Table>(object: &T) -> Result<(), Fault> {
    struct Checking(&'static [Name]);

    impl Visit for Checking {
        #[inline]
        fn visit(self, members: &impl Outgoing, others: &impl Kept) -> Result<(), Fault> {
            let Self(names) = self;
            members.check(names, 0)?;
            let declared = |name: &String| names.iter().any(|declared| declared.as_str() == name);
            if others.kept().is_some_and(|kept| kept.keys().any(declared)) {
                return Err(Fault::invalid("a declared member among those that are not"));
            }
            Ok(())
        }
    }

    object.show(Checking(T::NAMES))
}
