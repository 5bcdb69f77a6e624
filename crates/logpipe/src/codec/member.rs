//! What `wire!` does for each member of an object: functions, so that its expansion stays a call a member and is quick
//! to compile.

use super::{Fault, Late, Reader, Wire, Writer};

/// Reads a member into its place; an invalid one is kept until the object ends.
#[inline]
pub fn read_member<'a, R: Reader<'a>, T: Wire>(
    reader: &mut R,
    late: &mut Late<usize>,
    row: usize,
    name: &'static str,
    place: &mut Option<T>,
) -> Result<(), Fault> {
    let mark = reader.mark();
    match T::read(reader) {
        Ok(value) => {
            late.clear(&row);
            *place = Some(value);
            Ok(())
        }
        Err(fault) => late.keep(reader, mark, row, fault.member(name)),
    }
}

/// Writes a member that is there.
#[inline]
pub fn write_member<W: Writer, T: Wire>(
    writer: &mut W,
    object: &mut W::Object,
    name: &'static str,
    value: Option<&T>,
) -> Result<(), Fault> {
    let Some(value) = value else { return Ok(()) };
    writer.member(object, name)?;
    at_member(name, value.write(writer))
}

/// Says of which member a fault is.
#[inline]
pub fn at_member(name: &'static str, result: Result<(), Fault>) -> Result<(), Fault> {
    match result {
        Ok(()) => Ok(()),
        Err(fault) => Err(fault.member(name)),
    }
}
