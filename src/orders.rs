//! What happens to orders: the consumer `orders`.

use logpipe::store::Sqlite;
use logpipe::store::sqlite::sqlx;
use logpipe::{Consumer, Cx, Log, Result};

use crate::{journal, order};

/// The name under which positions are kept.
pub const GROUP: &str = "orders";

/// The consumer of the topic `orders`.
pub fn consumer(log: &Log, store: Sqlite) -> Consumer<Sqlite> {
    Consumer::with_store(log.source("orders"), store)
        .group(GROUP)
        .register(order::handler(Orders))
}

/// Keeps `orders` and their lines.
struct Orders;

impl order::Handler<Sqlite> for Orders {
    async fn v1(&self, order: order::v1::Order, cx: &mut Cx<Sqlite>) -> Result {
        journal::write(cx).await?;
        let id = order.id.0;
        sqlx::query(
            "insert or replace into orders (id, customer, country, total) values (?, ?, ?, ?)",
        )
        .bind(&id)
        .bind(order.customer.to_string())
        .bind(order.ship_to.country)
        .bind(order.total)
        .execute(cx.tx())
        .await?;
        sqlx::query("delete from order_lines where id = ?")
            .bind(&id)
            .execute(cx.tx())
            .await?;
        for line in order.lines {
            sqlx::query("insert into order_lines (id, sku, quantity, price) values (?, ?, ?, ?)")
                .bind(&id)
                .bind(line.sku)
                .bind(line.quantity)
                .bind(line.price)
                .execute(cx.tx())
                .await?;
        }
        Ok(())
    }
}
