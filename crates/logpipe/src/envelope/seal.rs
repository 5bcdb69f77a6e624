//! How is an envelope written? In canonical form, behind what the buffer holds already.

#[cfg(feature = "json")]
use super::head::{MESSAGE, TYPE, VERSION};
use crate::codec::Writer as _;
#[cfg(feature = "json")]
use crate::codec::{Json, JsonWriter};
#[cfg(feature = "msgpack")]
use crate::codec::{MsgPack, MsgPackWriter};
use crate::message::{Encode, Encodings, Format, Message};
use crate::rejected::Invalid;
use crate::types::Value;

/// Writes a record's value. An empty producer id is left out.
pub fn seal<M: Message>(
    format: Format,
    message: &M,
    producer_id: &str,
) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::with_capacity(ROOM);
    seal_into(&mut out, format, message, producer_id)?;
    Ok(out)
}

/// As [`seal`], behind what `out` holds already; of a message that is refused, nothing is left in it.
pub(crate) fn seal_into<M: Message>(
    out: &mut Vec<u8>,
    format: Format,
    message: &M,
    producer_id: &str,
) -> Result<(), Invalid> {
    let start = out.len();
    let put = put(out, format, M::TYPE, M::VERSION, message, producer_id);
    put.inspect_err(|_| out.truncate(start))
}

/// Writes a record's value, as [`seal`], for a program without the message's type. It says of the message what it likes:
/// whether that is so is for the caller to know.
pub fn seal_value(
    format: Format,
    message_type: &str,
    version: u32,
    message: &Value,
    producer_id: &str,
) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::with_capacity(ROOM);
    put(
        &mut out,
        format,
        message_type,
        version,
        message,
        producer_id,
    )?;
    Ok(out)
}

/// Room for a small message, so that it grows no more than once or twice.
pub(crate) const ROOM: usize = 256;

#[inline]
fn put<M: Encodings>(
    out: &mut Vec<u8>,
    format: Format,
    message_type: &str,
    version: u32,
    message: &M,
    producer_id: &str,
) -> Result<(), Invalid> {
    out.extend_from_slice(format.code().as_bytes());
    out.push(b':');
    match format {
        #[cfg(feature = "json")]
        Format::Json => {
            out.extend_from_slice(TYPE);
            JsonWriter::new(out).string(message_type)?;
            out.extend_from_slice(VERSION);
            JsonWriter::new(out).integer(version.into())?;
            out.extend_from_slice(MESSAGE);
            Encode::<Json>::encode(message, &mut JsonWriter::within(out, 1))?;
            if !producer_id.is_empty() {
                out.extend_from_slice(b",\"producer\":");
                JsonWriter::new(out).string(producer_id)?;
            }
            out.push(b'}');
        }
        #[cfg(feature = "msgpack")]
        Format::MsgPack => {
            let mut writer = MsgPackWriter::new(out);
            writer.object(3 + usize::from(!producer_id.is_empty()))?;
            writer.string("type")?;
            writer.string(message_type)?;
            writer.string("version")?;
            writer.integer(version.into())?;
            writer.string("message")?;
            Encode::<MsgPack>::encode(message, &mut writer)?;
            if !producer_id.is_empty() {
                writer.string("producer")?;
                writer.string(producer_id)?;
            }
        }
    }
    Ok(())
}
