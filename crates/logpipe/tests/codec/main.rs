//! Does every message read and write as the wire has it? The index of the codec's tests:
//!
//! * `vectors`: the bytes of the real django-logpipe, both ways
//! * `objects`: what a table of members promises: presence, duplicates, closed and open objects, enums, newtypes
//! * `numbers`: integers and floats, however they are spelled
//! * `text`: strings, escapes, the grammar of JSON and of msgpack, depth
//! * `formats`: dates, addresses and the like, in hostile spellings
//! * `rules`: bounds, lengths, patterns, counts
//! * `envelopes`: heads, tails, versions, rejections
//! * `oracles`: random values and documents against serde_json and rmp-serde

mod envelopes;
mod formats;
mod messages;
mod numbers;
mod objects;
mod oracles;
mod rules;
mod text;
mod vectors;
