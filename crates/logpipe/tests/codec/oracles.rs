//! Random values and broken documents, against serde_json and rmp-serde.

use logpipe::codec::{JsonReader, JsonWriter, MsgPackReader, MsgPackWriter, Reader, Wire};
use logpipe::types::Value;
use serde_json::{Map, Number, Value as Json};

use crate::numbers::Random;

fn any(random: &mut Random, depth: u32) -> Json {
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 => Json::Null,
        1 => Json::Bool(random.below(2) == 0),
        2 => Json::Number((random.next() as i64 >> random.below(64)).into()),
        3 => Number::from_f64(f64::from_bits(random.next())).map_or(Json::Null, Json::Number),
        4 => Json::String(text(random)),
        5 => (0..random.below(5))
            .map(|_| any(random, depth - 1))
            .collect(),
        _ => {
            let members = (0..random.below(5)).map(|_| (text(random), any(random, depth - 1)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}

fn text(random: &mut Random) -> String {
    const CHARS: &[char] = &[
        'a', 'b', '"', '\\', '/', '\n', '\0', '\u{1f}', '\u{7f}', 'é', '\u{2028}', '日', '😀', ' ',
    ];
    (0..random.below(20))
        .map(|_| CHARS[random.below(CHARS.len() as u64) as usize])
        .collect()
}

#[test]
fn random_values_are_read_and_written_as_the_oracles_do() {
    let mut random = Random(11);
    for _ in 0..5_000 {
        let value = any(&mut random, 5);
        for spelled in [
            value.to_string(),
            serde_json::to_string_pretty(&value).expect("JSON"),
        ] {
            let read = Value::read(&mut JsonReader::new(&spelled)).expect(&spelled);
            let mut out = Vec::new();
            read.write(&mut JsonWriter::new(&mut out)).expect("finite");
            assert_eq!(serde_json::from_slice::<Json>(&out).expect("JSON"), value);

            out.clear();
            read.write(&mut MsgPackWriter::new(&mut out))
                .expect("64 bits");
            assert_eq!(rmp_serde::from_slice::<Json>(&out).expect("msgpack"), value);
            assert_eq!(
                Value::read(&mut MsgPackReader::new(&out)).expect("msgpack"),
                read
            );
        }
    }
}

/// Whether a text is JSON, by each of the two.
fn agree(text: &str) {
    let mut reader = JsonReader::new(text);
    let ours = reader.skip().and_then(|()| reader.end());
    let read = Value::read(&mut JsonReader::new(text));
    // An ignored value: no tree, no limit of depth that these texts could reach.
    let oracle = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    // serde_json reads over lone surrogates that it ignores; a string that is built has none.
    let built = serde_json::from_str::<Json>(text).is_ok();
    match ours {
        Ok(()) => {
            assert!(oracle, "only we take {text:?}");
            assert!(read.is_ok() || !built, "{text:?}: {read:?}");
        }
        Err(fault) => {
            let surrogate = fault.reason().contains("surrogate");
            assert!(
                !built && (!oracle || surrogate),
                "only serde_json takes {text:?}: {fault}"
            );
            assert!(fault.offset().is_some_and(|offset| offset <= text.len()));
        }
    }
}

#[test]
fn broken_documents_are_broken_for_both() {
    let mut random = Random(13);
    for _ in 0..3_000 {
        let text = any(&mut random, 4).to_string();
        agree(&text);
        for _ in 0..8 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=random.below(2) {
                const BYTES: &[u8] = b"{}[]\",:\\u0d8e1.-+ \n\x1ftfn";
                let byte = BYTES[random.below(BYTES.len() as u64) as usize];
                let at = random.below(bytes.len() as u64 + 1) as usize;
                match random.below(3) {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => bytes[at] = byte,
                    _ => bytes.truncate(at),
                }
            }
            if let Ok(text) = std::str::from_utf8(&bytes) {
                agree(text);
            }
        }
    }
}

#[test]
fn random_bytes_are_no_danger_as_msgpack() {
    let mut random = Random(17);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.next() as u8).collect();
        let mut reader = MsgPackReader::new(&bytes);
        let skipped = reader.skip();
        // What can be read can be read over, and to the same place.
        let mut typed = MsgPackReader::new(&bytes);
        if Value::read(&mut typed).is_ok() {
            skipped.expect("what was read");
            assert_eq!(typed.offset(), reader.offset());
        }
    }
}
