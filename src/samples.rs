//! Messages to send: new ones at each call.

use logpipe::types::{Map, Timestamp, Uuid};

use crate::{order, person, place, thing};

/// What one run sends.
pub struct Samples {
    /// As a producer sends them that has not heard of version 2.
    pub old_people: Vec<person::v1::Person>,
    /// As a producer sends them that has.
    pub people: Vec<person::v2::Person>,
    /// Some places.
    pub places: Vec<place::v1::Place>,
    /// Some things.
    pub things: Vec<thing::v1::Thing>,
    /// Some orders.
    pub orders: Vec<order::v1::Order>,
}

impl Samples {
    /// `count` of each.
    pub fn new(count: usize) -> Self {
        let people: Vec<_> = (0..count).map(person).collect();
        Self {
            old_people: (0..count).map(old_person).collect(),
            places: (0..count).map(place).collect(),
            things: people
                .iter()
                .enumerate()
                .map(|(index, owner)| thing(index, owner.uuid))
                .collect(),
            orders: people
                .iter()
                .enumerate()
                .map(|(index, customer)| order(index, customer.uuid))
                .collect(),
            people,
        }
    }
}

const NAMES: [(&str, &str); 4] = [
    ("Joe", "Schmoe"),
    ("Ada", "Lovelace"),
    ("Grace", "Hopper"),
    ("Edsger", "Dijkstra"),
];
const PLACES: [(&str, f64, f64); 3] = [
    ("Greenwich", 51.4779, -0.0015),
    ("Quito", -0.1807, -78.4678),
    ("Wellington", -41.2865, 174.7762),
];

fn old_person(index: usize) -> person::v1::Person {
    let (first, last) = NAMES[index % NAMES.len()];
    person::v1::Person {
        uuid: Uuid::new_v4(),
        first_name: first.into(),
        last_name: last.into(),
    }
}

fn person(index: usize) -> person::v2::Person {
    let (first, last) = NAMES[index % NAMES.len()];
    let email = format!(
        "{}.{}@example.com",
        first.to_lowercase(),
        last.to_lowercase()
    );
    person::v2::Person {
        uuid: Uuid::new_v4(),
        first_name: first.into(),
        last_name: last.into(),
        email: email.parse().expect("the names are plain letters"),
    }
}

fn place(index: usize) -> place::v1::Place {
    let (name, latitude, longitude) = PLACES[index % PLACES.len()];
    place::v1::Place {
        uuid: Uuid::new_v4(),
        name: name.into(),
        latitude,
        longitude,
    }
}

fn thing(index: usize, owner: Uuid) -> thing::v1::Thing {
    thing::v1::Thing {
        uuid: Uuid::new_v4(),
        name: "umbrella".into(),
        owner: index.is_multiple_of(2).then_some(owner),
        tags: Some(vec!["black".into(), "large".into()]),
    }
}

fn order(index: usize, customer: Uuid) -> order::v1::Order {
    let uuid = Uuid::new_v4().as_u128();
    order::v1::Order {
        id: order::v1::OrderId(format!("NO-{:012}", uuid % 1_000_000_000_000)),
        placed_at: Timestamp::now(),
        customer,
        contact: None,
        channel: order::v1::OrderChannel::Web,
        status: None,
        ship_to: order::v1::Address {
            lines: vec!["1 Example Street".into(), "Exampleton".into()],
            postal_code: Some("EX1 1AA".into()),
            country: "GB".into(),
        },
        bill_to: None,
        deliver_on: None,
        deliver_from: None,
        hold_for: None,
        lines: vec![order::v1::Line {
            sku: "umbrella-black".into(),
            quantity: 1 + index as i64 % 3,
            weight_g: Some(450),
            price: 19.99,
            parts: None,
            engraving: None,
        }],
        total: 19.99,
        currency: order::v1::OrderCurrency::Eur,
        gift: Some(index.is_multiple_of(5)),
        coupon: None,
        labels: Some(Map::from_iter([(
            "campaign".to_owned(),
            "autumn".to_owned(),
        )])),
        source_ip: None,
        source_ipv6: None,
        tracking: None,
        referrer: None,
        unknown: Map::default(),
    }
}
