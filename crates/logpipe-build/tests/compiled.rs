//! Does what is generated compile, in the strictest of crates, and do what its tables say?

#![deny(warnings, missing_docs, unsafe_code, clippy::pedantic)]

#[path = "golden/empty/generated/mod.rs"]
#[rustfmt::skip]
pub mod empty;
#[path = "golden/names/generated/mod.rs"]
#[rustfmt::skip]
pub mod names;
#[path = "golden/shapes/generated/mod.rs"]
#[rustfmt::skip]
pub mod shapes;
#[path = "golden/steps/generated/mod.rs"]
#[rustfmt::skip]
pub mod steps;

use logpipe::Lossless;
use logpipe::types::Map;
use steps::widen::{self, Upcasts as _};

#[test]
fn a_lossless_step_keeps_everything() {
    assert_eq!(Lossless.v1_to_v2(older()), newer());
}

fn older() -> widen::v1::Widen {
    let money = |amount| widen::v1::Money { amount };
    let note = |text: &str| widen::v1::Note {
        text: Some(text.to_owned()),
    };
    widen::v1::Widen {
        id: "1".to_owned(),
        address: Some(widen::v1::Address {
            street: "Main".to_owned(),
            zip: None,
        }),
        chain: Some(widen::v1::Node {
            value: money(1),
            next: Some(Box::new(widen::v1::Node {
                value: money(2),
                next: None,
            })),
        }),
        prices: Some(vec![money(3)]),
        by_name: Some([("four".to_owned(), money(4))].into_iter().collect()),
        kind: widen::v1::WidenKind::B,
        free: widen::v1::WidenFree::Y,
        label: "label".to_owned(),
        code: widen::v1::Code("code".to_owned()),
        count: 5,
        small: 6,
        maybe: None,
        option: None,
        plain: "plain".to_owned(),
        maybe_small: Some(7),
        fallback: None,
        spots: Some(vec![Some(8), None]),
        notes: Some(vec![Some(note("nine")), None]),
        notes_by_name: Some(
            [("ten".to_owned(), Some(note("ten")))]
                .into_iter()
                .collect(),
        ),
        gaps: Some([("eleven".to_owned(), 11)].into_iter().collect()),
        codes: Some(vec!["code".to_owned()]),
        tree: Some(widen::v1::Tree(vec![widen::v1::Tree(Vec::new())])),
        words: Some(Some(widen::v1::Words(
            [
                ("none".to_owned(), None),
                ("some".to_owned(), Some(widen::v1::Words(Map::default()))),
            ]
            .into_iter()
            .collect(),
        ))),
    }
}

fn newer() -> widen::v2::Widen {
    let money = |amount| widen::v2::Money {
        amount,
        currency: widen::v2::MoneyCurrency::Eur,
    };
    let note = |text: &str| widen::v2::Note {
        text: Some(text.to_owned()),
        by: None,
    };
    widen::v2::Widen {
        id: "1".to_owned(),
        address: Some(widen::v2::Address {
            street: "Main".to_owned(),
            zip: None,
        }),
        chain: Some(widen::v2::Node {
            value: money(1),
            next: Some(Box::new(widen::v2::Node {
                value: money(2),
                next: None,
            })),
        }),
        prices: Some(vec![money(3)]),
        by_name: Some([("four".to_owned(), money(4))].into_iter().collect()),
        kind: widen::v2::WidenKind::B,
        free: "y".to_owned(),
        label: Some("label".to_owned()),
        code: "code".to_owned(),
        count: 5,
        small: 6.0,
        maybe: Some(None),
        option: "none".to_owned(),
        plain: widen::v2::Code("plain".to_owned()),
        maybe_small: Some(7),
        fallback: 7,
        spots: Some(vec![Some(8), None]),
        notes: Some(vec![Some(note("nine")), None]),
        notes_by_name: Some(
            [("ten".to_owned(), Some(note("ten")))]
                .into_iter()
                .collect(),
        ),
        gaps: Some([("eleven".to_owned(), Some(11))].into_iter().collect()),
        codes: Some(vec![widen::v2::Code("code".to_owned())]),
        tree: Some(widen::v2::Tree(vec![widen::v2::Tree(Vec::new())])),
        words: Some(Some(widen::v2::Words(
            [
                ("none".to_owned(), None),
                ("some".to_owned(), Some(widen::v2::Words(Map::default()))),
            ]
            .into_iter()
            .collect(),
        ))),
        added: None,
        added_default: 5,
    }
}

#[test]
fn every_pair_is_found_and_no_other() {
    for (schemas, find) in [
        (
            empty::dispatch::SCHEMAS,
            empty::dispatch::find as fn(&str, u32) -> Option<usize>,
        ),
        (names::dispatch::SCHEMAS, names::dispatch::find),
        (shapes::dispatch::SCHEMAS, shapes::dispatch::find),
        (steps::dispatch::SCHEMAS, steps::dispatch::find),
    ] {
        assert_eq!(find("nobody", 1), None);
        for (index, schema) in schemas.iter().enumerate() {
            assert_eq!(find(schema.message_type, schema.version), Some(index));
            assert_eq!(find(schema.message_type, schema.version + 100), None);
            assert_eq!(find("nobody", schema.version), None);
        }
    }
}
