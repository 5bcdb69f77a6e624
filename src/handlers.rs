//! What happens to people, places and things: the consumer `nouns`.

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::params;
use logpipe::{Consumer, Cx, Log, Result};

use crate::upcasts::Decisions;
use crate::{journal, person, place, thing};
use person::Upcasts as _;

/// The name under which positions are kept.
pub const GROUP: &str = "nouns";

/// The consumer of the topic `nouns`.
pub fn consumer(log: &Log, store: Sqlite) -> Consumer<Sqlite> {
    Consumer::with_store(log.source("nouns"), store)
        .group(GROUP)
        .register(person::handler(People))
        .register(place::handler(Places))
        .register(thing::handler(Things))
}

/// Keeps `people` as the newest message about each has it.
struct People;

impl person::Handler<Sqlite> for People {
    async fn v1(&self, person: person::v1::Person, cx: &mut Cx<Sqlite>) -> Result {
        self.v2(Decisions.v1_to_v2(person), cx).await
    }

    async fn v2(&self, person: person::v2::Person, cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx)?;
        let (uuid, email) = (person.uuid.to_string(), person.email.to_string());
        cx.tx().execute(
            "insert into people (uuid, first_name, last_name, email) values (?, ?, ?, ?)
             on conflict (uuid) do update
             set first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email",
            params![uuid, person.first_name, person.last_name, email],
        )?;
        Ok(())
    }

    async fn deleted(&self, key: &[u8], cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx)?;
        let uuid = String::from_utf8_lossy(key);
        cx.tx()
            .execute("delete from people where uuid = ?", [uuid])?;
        Ok(())
    }
}

/// Keeps `places`.
struct Places;

impl place::Handler<Sqlite> for Places {
    async fn v1(&self, place: place::v1::Place, cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx)?;
        let uuid = place.uuid.to_string();
        cx.tx().execute(
            "insert or replace into places (uuid, name, latitude, longitude) values (?, ?, ?, ?)",
            params![uuid, place.name, place.latitude, place.longitude],
        )?;
        Ok(())
    }
}

/// Keeps `things`.
struct Things;

impl thing::Handler<Sqlite> for Things {
    async fn v1(&self, thing: thing::v1::Thing, cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx)?;
        let owner = thing.owner.map(|owner| owner.to_string());
        let tags = thing.tags.unwrap_or_default().join(" ");
        cx.tx().execute(
            "insert or replace into things (uuid, name, owner, tags) values (?, ?, ?, ?)",
            params![thing.uuid.to_string(), thing.name, owner, tags],
        )?;
        Ok(())
    }
}
