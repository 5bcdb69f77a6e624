//! The words of a [`wire!`](crate::wire) table, and how an object is read, written and checked that is described by
//! them.
//!
//! A table expands to the data of its members and to two tuples: one that takes an object apart into its fields and one
//! that borrows them, each field as it is or, where it may be absent, in the word that says so. All the work is done here,
//! generically and once, so that a user's crate with hundreds of tables is quick to check; monomorphization and inlining
//! make of it what a hand-written match would be.

mod tuple;

use std::fmt::{DebugStruct, Formatter};

pub use tuple::{Incoming, Object, Outgoing};

use super::{Fault, Late, Members, Reader, Row, Wire, Writer};
use crate::rules::{self, Rule};
use crate::types::{Map, Value};

/// A member that may be absent: an `Option`.
#[allow(non_camel_case_types)] // a word of the table
pub struct optional<T>(pub T);

pub use optional as optional_nullable;

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

/// What a table expands to: the data of its members, and the members themselves, on their way in and on their way out.
/// The latter once for all that goes over them: each tuple more is one more that the compiler has to make sense of.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't stand in a message",
    label = "no `wire!` table says how it is read and written",
    note = "a struct or an enum needs a table of its own, a type that contains itself also `wire! {{ boxed NAME; }}`"
)]
pub trait Table: Sized {
    /// The members, in declared order: [`Rule::of`] each of them, and its rules behind it.
    const ROWS: &'static [Rule];

    /// The rules of the object as a whole.
    const RULES: &'static [Rule] = &[];

    /// As codecs see them.
    const MEMBERS: &'static Members = &Members::new(Self::ROWS);

    /// Reads the members.
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault>;

    /// Shows the members.
    fn show<V: Visit>(&self, visit: V) -> V::Seen;
}

impl<T: Table> Wire for T {
    #[inline]
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        Table::read(reader)
    }

    #[inline]
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        self.show(Writing {
            writer,
            members: T::MEMBERS,
        })
    }

    #[inline]
    fn check(&self) -> Result<(), Fault> {
        self.show(Checking {
            members: T::MEMBERS,
            rules: T::RULES,
        })
    }

    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        rules::object(self.show(Counting), rule)
    }
}

/// The rules of a value that a definition is around, and those within it.
#[inline]
pub fn check<T: Wire>(value: &T, rules: &[Rule]) -> Result<(), Fault> {
    rules.iter().try_for_each(|rule| value.keeps(rule))?;
    value.check()
}

/// What goes over the members of an object.
pub trait Visit {
    /// What comes of it.
    type Seen;

    /// Is shown them.
    fn visit(self, members: &impl Outgoing, others: &impl Kept) -> Self::Seen;
}

/// Reads an object, as its members and those that it does not declare.
#[inline]
pub fn read<'a, R: Reader<'a>, I: Incoming, O: Others>(
    reader: &mut R,
    members: &'static Members,
) -> Result<(I, O), Fault> {
    let left = reader.object()?;
    let mut others = O::default();
    let mut places = I::Places::default();
    let mut object = Object {
        reader,
        left,
        members,
        late: Late::new(),
    };
    // As nearly every sender writes them; the loop below takes what is left, whatever it is.
    let mut next = I::in_order(&mut object, &mut places, 0, 0)?;
    loop {
        match object.reader.row(&mut object.left, members, next)? {
            Row::Known(index) => {
                next = index + 1;
                I::one(&mut object, &mut places, 0, index)?;
            }
            Row::Unknown(name) => others.meet(&name, object.reader)?,
            Row::End => break,
        }
    }
    object.late.finish()?;
    Ok((I::take(places, members, 0)?, others))
}

struct Writing<'w, W> {
    writer: &'w mut W,
    members: &'static Members,
}

impl<W: Writer> Visit for Writing<'_, W> {
    type Seen = Result<(), Fault>;

    #[inline]
    fn visit(self, declared: &impl Outgoing, others: &impl Kept) -> Result<(), Fault> {
        let Self { writer, members } = self;
        let mut object = writer.object(count(declared, others))?;
        declared.write(writer, &mut object, members, 0)?;
        for (name, value) in others.kept().into_iter().flatten() {
            writer.member(&mut object, name)?;
            value.write(writer).map_err(Fault::entry)?;
        }
        writer.end_object(object)
    }
}

struct Checking {
    members: &'static Members,
    rules: &'static [Rule],
}

impl Visit for Checking {
    type Seen = Result<(), Fault>;

    #[inline]
    fn visit(self, declared: &impl Outgoing, others: &impl Kept) -> Result<(), Fault> {
        declared.check(self.members, 0)?;
        for rule in self.rules {
            rules::object(count(declared, others), rule)?;
        }
        let is_declared = |name: &String| self.members.find(name, 0).is_some();
        if others
            .kept()
            .is_some_and(|kept| kept.keys().any(is_declared))
        {
            return Err(Fault::invalid("a declared member among those that are not"));
        }
        Ok(())
    }
}

struct Counting;

impl Visit for Counting {
    type Seen = usize;

    fn visit(self, declared: &impl Outgoing, others: &impl Kept) -> usize {
        count(declared, others)
    }
}

/// With how many members the object is written.
#[inline]
fn count(declared: &impl Outgoing, others: &impl Kept) -> usize {
    declared.present() + others.kept().map_or(0, |kept| kept.len())
}

/// Shows an object as a derived `Debug` would, its members by their names in the schema.
pub fn debug<T: Table>(object: &T, out: &mut Formatter<'_>) -> std::fmt::Result {
    struct Showing<'s, 'o, 'f> {
        out: &'s mut DebugStruct<'o, 'f>,
        members: &'static Members,
    }

    impl Visit for Showing<'_, '_, '_> {
        type Seen = ();

        fn visit(self, declared: &impl Outgoing, others: &impl Kept) {
            declared.debug(self.out, self.members, 0);
            if let Some(kept) = others.kept() {
                self.out.field("unknown", kept);
            }
        }
    }

    let path = std::any::type_name::<T>();
    let name = path.rsplit("::").next().unwrap_or(path);
    let mut out = out.debug_struct(name);
    object.show(Showing {
        out: &mut out,
        members: T::MEMBERS,
    });
    out.finish()
}
