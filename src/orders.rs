//! What happens to orders: the consumer `orders`.

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::params;
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
        journal::write(cx)?;
        let (id, customer) = (order.id.0, order.customer.to_string());
        let tx = cx.tx();
        tx.execute(
            "insert or replace into orders (id, customer, country, total) values (?, ?, ?, ?)",
            params![id, customer, order.ship_to.country, order.total],
        )?;
        tx.execute("delete from order_lines where id = ?", [&id])?;
        for line in order.lines {
            tx.execute(
                "insert into order_lines (id, sku, quantity, price) values (?, ?, ?, ?)",
                params![id, line.sku, line.quantity, line.price],
            )?;
        }
        Ok(())
    }
}
