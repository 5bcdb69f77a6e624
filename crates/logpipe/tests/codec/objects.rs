//! What a table of members promises: presence, duplicates, closed and open objects, enums.

use logpipe::types::{Map, Value};
use logpipe::{Format, envelope};

use crate::messages::{Color, Forms, Person, decode, from_json, invalid};

#[test]
fn every_form_of_a_member_survives_both_encodings() {
    let forms = Forms {
        required: "é\u{2028}\"".into(),
        optional: Some(-5),
        nullable: None,
        both: Some(None),
        list: vec![Some(1), None],
        map: Map::from([("b", Color::DarkBlue), ("a", Color::Red)]),
        inner: Some(Box::new(Forms {
            both: Some(Some(0.1)),
            nullable: Some(true),
            ..Forms::default()
        })),
        unknown: Map::from([("more", Value::Null)]),
    };
    for format in Format::ALL {
        let sealed = envelope::seal(*format, &forms, "me").expect("valid");
        assert_eq!(decode::<Forms>(&sealed).expect("valid"), forms, "{format}");
    }
}
