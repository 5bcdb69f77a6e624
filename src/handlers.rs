//! What happens to people, places and things: the consumer `nouns`.

use logpipe::store::Sqlite;
use logpipe::store::sqlite::sqlx;
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
        journal::write(cx).await?;
        sqlx::query(
            "insert into people (uuid, first_name, last_name, email) values (?, ?, ?, ?)
             on conflict (uuid) do update
             set first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email",
        )
        .bind(person.uuid.to_string())
        .bind(person.first_name)
        .bind(person.last_name)
        .bind(person.email.to_string())
        .execute(cx.tx())
        .await?;
        Ok(())
    }

    async fn deleted(&self, key: &[u8], cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx).await?;
        let uuid = String::from_utf8_lossy(key).into_owned();
        sqlx::query("delete from people where uuid = ?")
            .bind(uuid)
            .execute(cx.tx())
            .await?;
        Ok(())
    }
}

/// Keeps `places`.
struct Places;

impl place::Handler<Sqlite> for Places {
    async fn v1(&self, place: place::v1::Place, cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx).await?;
        sqlx::query(
            "insert or replace into places (uuid, name, latitude, longitude) values (?, ?, ?, ?)",
        )
        .bind(place.uuid.to_string())
        .bind(place.name)
        .bind(place.latitude)
        .bind(place.longitude)
        .execute(cx.tx())
        .await?;
        Ok(())
    }
}

/// Keeps `things`.
struct Things;

impl thing::Handler<Sqlite> for Things {
    async fn v1(&self, thing: thing::v1::Thing, cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx).await?;
        sqlx::query("insert or replace into things (uuid, name, owner, tags) values (?, ?, ?, ?)")
            .bind(thing.uuid.to_string())
            .bind(thing.name)
            .bind(thing.owner.map(|owner| owner.to_string()))
            .bind(thing.tags.unwrap_or_default().join(" "))
            .execute(cx.tx())
            .await?;
        Ok(())
    }
}
