//! How does a loop of the user's own settle a record inside a transaction of its own?

use rusqlite::Connection;

use super::connection::{Theirs, Within, fault};
use super::{Sqlite, statements, write_position};
use crate::fault::{Mistake, planted};
use crate::store::Due;
use crate::{Error, Receipt, Result};

/// Settles deliveries inside transactions of your own.
pub trait AckIn {
    /// Settles the delivery inside a transaction of your own, on a connection to the store's file: what you write in it
    /// and the position are committed together, or not at all. Begin it so that it can write (`BEGIN IMMEDIATE`), commit it
    /// afterwards, and only then ask for the next delivery: the consumer waits for your transaction. Where you roll it
    /// back the record comes again. The call blocks its thread, as every statement of yours does: on a run time of one thread
    /// do both in `spawn_blocking`, or `BEGIN IMMEDIATE` keeps the consumer from ending the transaction that it waits for.
    ///
    /// An error means that nothing was settled: roll back. One that [`is_fenced`](Error::is_fenced) says that the lane was
    /// lost, or that another transaction has settled the record; one that is permanent, that the connection is in no
    /// transaction, perhaps because a statement ended it (`INSERT OR ROLLBACK`, a full disk).
    ///
    /// ```no_run
    /// use logpipe::store::sqlite::{AckIn, rusqlite};
    /// use logpipe::{Delivery, Result, store::Sqlite};
    /// # struct AnyMessage;
    ///
    /// fn settle(delivery: Delivery<AnyMessage, Sqlite>, db: &mut rusqlite::Connection) -> Result {
    ///     let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    ///     tx.execute("insert into seen values (?1)", ["it"])?;
    ///     delivery.receipt.ack_in(&tx)?;
    ///     tx.commit()?;
    ///     Ok(())
    /// }
    /// ```
    fn ack_in(self, transaction: &Connection) -> Result;
}

impl AckIn for Receipt<Sqlite> {
    fn ack_in(self, transaction: &Connection) -> Result {
        settle(transaction, self.due())?;
        self.committing()
    }
}

pub(super) fn settle(connection: &Connection, due: &Due) -> Result {
    // SQLite itself knows: a statement may have ended the transaction, and a savepoint would begin one of its own.
    if connection.is_autocommit() && !planted(Mistake::AckOutside) {
        return Err(Error::permanent(
            "the connection is in no transaction, or a statement has ended it: begin one, write, `ack_in`, then commit it",
        ));
    }
    // Whole or not at all, also where the user goes on after an error.
    let step = |statement| connection.execute_batch(statement).map_err(fault);
    step("SAVEPOINT logpipe_ack")?;
    let written = write(&Theirs(connection), due);
    if written.is_err() {
        step("ROLLBACK TO logpipe_ack")?;
    }
    step("RELEASE logpipe_ack")?;
    written
}

/// What [`Store::begin`](crate::Store::begin) checks and [`Store::settle`](crate::Store::settle) writes, for a record that
/// is handled elsewhere.
fn write(within: &impl Within, due: &Due) -> Result {
    match due {
        Due::Record {
            held,
            cursor,
            above,
        } => {
            let Some(fence) = statements::fence(within, held)? else {
                return Err(statements::fenced(&held.key));
            };
            write_position(within, held, &fence, cursor.as_ref(), above, false)
        }
        Due::Parked(id) => statements::delete_parked(within, *id),
    }
}
