//! How the types of Rust itself are read and written: booleans, numbers, text, lists, null.

use super::{Fault, Reader, Wire, Writer};
use crate::rules::{self, Rule};

impl Wire for bool {
    #[inline]
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        reader.boolean()
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        writer.boolean(*self)
    }

    #[inline]
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        rules::boolean(*self, rule)
    }
}

#[cold]
fn outside(min: i128, max: i128) -> Fault {
    Fault::invalid(format!("must be an integer from {min} to {max}"))
}

macro_rules! integers {
    ($($integer:ident)*) => { $(
        impl Wire for $integer {
            #[inline]
            fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
                let value = reader.integer()?;
                Self::try_from(value).map_err(|_| outside(Self::MIN.into(), Self::MAX.into()))
            }

            fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
                writer.integer((*self).into())
            }

            #[inline]
            fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
                rules::integer((*self).into(), rule)
            }
        }
    )* };
}

integers!(u8 u16 u32 u64 i8 i16 i32 i64);

impl Wire for f64 {
    #[inline]
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        reader.float()
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        writer.float(*self)
    }

    #[inline]
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        rules::float(*self, rule)
    }
}

impl Wire for String {
    #[inline]
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        Ok(reader.string()?.into_owned())
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        writer.string(self)
    }

    #[inline]
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        rules::text(self, rule)
    }
}

/// Null, or a value. Whether a member may be absent is for the object to know.
impl<T: Wire> Wire for Option<T> {
    #[inline]
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        if reader.null()? {
            return Ok(None);
        }
        T::read(reader).map(Some)
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        match self {
            None => writer.null(),
            Some(value) => value.write(writer),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        self.as_ref().map_or(Ok(()), T::check)
    }

    #[inline]
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        self.as_ref().map_or(Ok(()), |value| value.keeps(rule))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        let mut left = reader.list()?;
        // Grows with the bytes that are there, whatever length is claimed.
        let mut items = Self::new();
        while reader.item(&mut left)? {
            let item = T::read(reader).map_err(|fault| fault.item(items.len()))?;
            items.push(item);
        }
        Ok(items)
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        let mut list = writer.list(self.len())?;
        for (index, item) in self.iter().enumerate() {
            writer.item(&mut list)?;
            item.write(writer).map_err(|fault| fault.item(index))?;
        }
        writer.end_list(list)
    }

    fn check(&self) -> Result<(), Fault> {
        for (index, item) in self.iter().enumerate() {
            item.check().map_err(|fault| fault.item(index))?;
        }
        Ok(())
    }

    #[inline]
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        rules::list(self, rule)
    }
}
