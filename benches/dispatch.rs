//! Does finding a message's type stay cheap as a service grows? The perfect hash of generated code, from 1 to 1,000 pairs of
//! type and version, beside the two tables that one would write by hand.

mod support;

use std::collections::HashMap;
use std::hint::black_box;

use logpipe::Schema;
use logpipe::dispatch::Table;
use support::{Contest, is_test};

const ROUNDS: usize = 40;
const LOOKUPS: usize = 20_000;
const PAIRS: [usize; 4] = [1, 10, 100, 1_000];

fn main() {
    let services: Vec<Service> = PAIRS.into_iter().map(Service::of).collect();
    let rounds = if is_test() { 1 } else { ROUNDS };
    let mut flat = Contest::new();
    for service in &services {
        let name = format!("perfect hash, {} pairs", service.schemas.len());
        let find = |name: &str, version| service.table.find(service.schemas, name, version);
        flat = flat.timed(name, LOOKUPS, service.each(find));
    }
    let [figures] = flat.run(rounds);
    figures.print("dispatch", "Finding a type and version", "ns", 0);

    let most = services.last().expect("there are some");
    let by_name: HashMap<(&str, u32), usize> = most
        .schemas
        .iter()
        .enumerate()
        .map(|(index, schema)| ((schema.message_type, schema.version), index))
        .collect();
    let contest = Contest::new()
        .timed(
            "HashMap",
            LOOKUPS,
            most.each(|name, version| by_name.get(&(name, version)).copied()),
        )
        .timed(
            "binary search",
            LOOKUPS,
            most.each(|name, version| {
                let wanted = (name, version);
                most.schemas
                    .binary_search_by(|schema| (schema.message_type, schema.version).cmp(&wanted))
                    .ok()
            }),
        )
        .timed(
            "perfect hash",
            LOOKUPS,
            most.each(|name, version| most.table.find(most.schemas, name, version)),
        );
    let title = format!("Finding one of {} pairs", most.schemas.len());
    let [figures] = contest.run(rounds);
    figures.print("dispatch", &title, "ns", 0);
}

/// What generated code has as constants.
struct Service {
    schemas: &'static [Schema],
    table: Table,
    /// What comes in: every pair, in an order that no branch predictor knows.
    asked: Vec<(String, u32)>,
}

impl Service {
    fn of(pairs: usize) -> Self {
        let mut keys: Vec<(&'static str, u32)> = (0..pairs)
            .map(|index| {
                let name = format!("com.acme.billing.Type{:03}", index / 2);
                (&*name.leak(), (index % 2 + 1) as u32)
            })
            .collect();
        keys.sort_unstable();
        let schemas: Vec<Schema> = keys
            .iter()
            .map(|&(message_type, version)| Schema {
                message_type,
                version,
                source: "",
                sha256: "",
            })
            .collect();
        // The search that the generator makes for them.
        let found = logpipe_build::hash::Table::of(&keys);
        // Prime to every count of pairs, so that each comes once in a turn.
        let stride = 617;
        let asked = (0..pairs)
            .map(|index| keys[index * stride % pairs])
            .map(|(name, version)| (name.to_owned(), version))
            .collect();
        Self {
            schemas: schemas.leak(),
            table: Table {
                seeds: found.seeds.leak(),
                slots: found.slots.leak(),
            },
            asked,
        }
    }

    /// Asks for one after the other.
    fn each<'a>(&'a self, find: impl Fn(&str, u32) -> Option<usize> + 'a) -> impl FnMut() + 'a {
        let mut asked = self.asked.iter().cycle();
        move || {
            let (name, version) = asked.next().expect("endless");
            assert!(black_box(find(black_box(name), *version)).is_some());
        }
    }
}
