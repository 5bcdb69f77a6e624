//! How is a value read by its schema? As its generated type would read it, into the spelling that it would write.

use std::collections::HashMap;

use logpipe::codec::{Fault, JsonReader, JsonWriter, Late, Reader, Wire};
use logpipe::types::{
    Date, Duration, Email, Ipv4Addr, Ipv6Addr, Map, Number, Time, Timestamp, Uri, Uuid, Value,
};
use logpipe_build::catalog::{Field, Format, Integer, Item, Shape, Ty, TypeId, Unknown, Variant};

use super::{Schemas, is_nullable, is_required};

impl Schemas {
    /// Reads a value of this type.
    fn read<'a, R: Reader<'a>>(
        &'static self,
        reader: &mut R,
        ty: &'static Ty,
    ) -> Result<Value, Fault> {
        match ty {
            Ty::Bool => bool::read(reader).map(Value::Bool),
            Ty::Integer(integer) => read_integer(reader, *integer),
            Ty::Number => f64::read(reader).map(|float| {
                // What is read is finite.
                Number::from_f64(float).map_or(Value::Null, Value::Number)
            }),
            Ty::String => String::read(reader).map(Value::String),
            Ty::Format(format) => read_format(reader, *format),
            Ty::List(item) => self.read_list(reader, item),
            Ty::Map(item) => self.read_map(reader, item),
            Ty::Any => Value::read(reader),
            Ty::Named(id) => self.read_named(reader, *id),
        }
    }

    /// Reads a value of a type of the catalog.
    pub(super) fn read_named<'a, R: Reader<'a>>(
        &'static self,
        reader: &mut R,
        id: TypeId,
    ) -> Result<Value, Fault> {
        match &self.catalog.types[id.0].shape {
            Shape::Newtype(rules) => self.read(reader, &rules.ty),
            Shape::Enum { variants, other } => read_enum(reader, variants, *other),
            Shape::Struct {
                fields, unknown, ..
            } => self.read_struct(reader, fields, *unknown),
        }
    }

    fn read_nullable<'a, R: Reader<'a>>(
        &'static self,
        reader: &mut R,
        ty: &'static Ty,
        nullable: bool,
    ) -> Result<Value, Fault> {
        if nullable && reader.null()? {
            return Ok(Value::Null);
        }
        self.read(reader, ty)
    }

    fn read_list<'a, R: Reader<'a>>(
        &'static self,
        reader: &mut R,
        item: &'static Item,
    ) -> Result<Value, Fault> {
        let mut left = reader.list()?;
        let mut items = Vec::new();
        while reader.item(&mut left)? {
            let read = self.read_nullable(reader, &item.value.ty, item.nullable);
            items.push(read.map_err(|fault| fault.item(items.len()))?);
        }
        Ok(Value::List(items))
    }

    fn read_map<'a, R: Reader<'a>>(
        &'static self,
        reader: &mut R,
        item: &'static Item,
    ) -> Result<Value, Fault> {
        let mut left = reader.object()?;
        let mut map = Map::new();
        // Keys whose last value so far is invalid, with the fault's place among all.
        let mut faults: HashMap<String, (usize, Fault)> = HashMap::new();
        let mut count = 0;
        while let Some(key) = reader.key(&mut left)? {
            let key = key.into_owned();
            let mark = reader.mark();
            match self.read_nullable(reader, &item.value.ty, item.nullable) {
                Ok(value) => {
                    faults.remove(&key);
                    map.insert(key, value);
                }
                Err(fault) if fault.is_malformed() => return Err(fault),
                Err(fault) => {
                    reader.rewind(mark);
                    reader.skip()?;
                    faults.insert(key, (count, fault.entry()));
                    count += 1;
                }
            }
        }
        match faults.into_values().min_by_key(|(place, _)| *place) {
            Some((_, fault)) => Err(fault),
            None => Ok(Value::Object(map)),
        }
    }

    fn read_struct<'a, R: Reader<'a>>(
        &'static self,
        reader: &mut R,
        fields: &'static [Field],
        unknown: Unknown,
    ) -> Result<Value, Fault> {
        let mut found: Vec<Option<Value>> = vec![None; fields.len()];
        let mut kept: Map<Value> = Map::new();
        let mut late = Late::<usize>::new();
        let mut left = reader.object()?;
        while let Some(name) = reader.key(&mut left)? {
            let Some(row) = fields.iter().position(|field| field.wire == name) else {
                match unknown {
                    Unknown::Ignore => reader.skip()?,
                    Unknown::Reject => return Err(Fault::undeclared(&name)),
                    Unknown::Keep => {
                        let value = Value::read(reader).map_err(Fault::entry)?;
                        kept.insert(name.into_owned(), value);
                    }
                }
                continue;
            };
            let field = &fields[row];
            let mark = reader.mark();
            match self.read_nullable(reader, &field.value.ty, is_nullable(field.presence)) {
                Ok(value) => {
                    late.clear(&row);
                    found[row] = Some(value);
                }
                Err(fault) => late.keep(reader, mark, row, fault.member(&field.wire))?,
            }
        }
        late.finish()?;
        let mut members = Map::new();
        for (field, value) in fields.iter().zip(found) {
            match value {
                Some(value) => {
                    members.insert(field.wire.clone(), value);
                }
                None if is_required(field.presence) => return Err(Fault::missing(&field.wire)),
                None => {}
            }
        }
        for (name, value) in kept {
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

fn read_enum<'a, R: Reader<'a>>(
    reader: &mut R,
    variants: &[Variant],
    other: bool,
) -> Result<Value, Fault> {
    let text = reader.string()?;
    if other || variants.iter().any(|variant| variant.wire == text) {
        return Ok(Value::String(text.into_owned()));
    }
    let declared: Vec<_> = variants
        .iter()
        .map(|variant| variant.wire.as_str())
        .collect();
    Err(Fault::not_one_of(&declared))
}

fn read_integer<'a, R: Reader<'a>>(reader: &mut R, integer: Integer) -> Result<Value, Fault> {
    fn of<'a, T: Wire + Into<i128>, R: Reader<'a>>(reader: &mut R) -> Result<Value, Fault> {
        T::read(reader).map(|number| Value::Number(number.into().into()))
    }
    match integer {
        Integer::U8 => of::<u8, R>(reader),
        Integer::U16 => of::<u16, R>(reader),
        Integer::U32 => of::<u32, R>(reader),
        Integer::U64 => of::<u64, R>(reader),
        Integer::I8 => of::<i8, R>(reader),
        Integer::I16 => of::<i16, R>(reader),
        Integer::I32 => of::<i32, R>(reader),
        Integer::I64 => of::<i64, R>(reader),
    }
}

fn read_format<'a, R: Reader<'a>>(reader: &mut R, format: Format) -> Result<Value, Fault> {
    fn of<'a, T: Wire, R: Reader<'a>>(reader: &mut R) -> Result<Value, Fault> {
        let (value, mut json) = (T::read(reader)?, Vec::new());
        // What can be read and not be written: a time of the year 10000.
        value.write(&mut JsonWriter::new(&mut json))?;
        Value::read(&mut JsonReader::new(&String::from_utf8_lossy(&json)))
    }
    match format {
        Format::Uuid => of::<Uuid, R>(reader),
        Format::DateTime => of::<Timestamp, R>(reader),
        Format::Date => of::<Date, R>(reader),
        Format::Time => of::<Time, R>(reader),
        Format::Duration => of::<Duration, R>(reader),
        Format::Email => of::<Email, R>(reader),
        Format::Uri => of::<Uri, R>(reader),
        Format::Ipv4 => of::<Ipv4Addr, R>(reader),
        Format::Ipv6 => of::<Ipv6Addr, R>(reader),
    }
}
