//! A loop of your own: decoded messages with receipts, instead of handlers.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::consumer::{BUFFER_BYTES, Budget, Consumer};
use crate::handler::{Cx, Handle, Route};
use crate::health::Board;
use crate::record::{LaneId, Position};
use crate::service::{Outcome, Stop};
use crate::{AnyOf, Error, Failure, Rejected, Result, Store};

/// Messages as they come, one of each lane at a time.
///
/// Policies settle what can't be decoded; the loop sees messages. A delivery's receipt settles it; one that is dropped
/// counts as a failed attempt and the record comes again.
///
/// A store's transaction is open while a delivery is out. With SQLite that locks its file: write elsewhere, or write
/// handlers, which write through that transaction.
#[must_use = "nothing is read before `next()`"]
pub struct Deliveries<A> {
    arriving: mpsc::Receiver<Delivery<A>>,
    running: Option<JoinHandle<Result<Outcome>>>,
    /// Dropping it stops the consumer.
    _stop: watch::Sender<bool>,
}

/// A message and the receipt for it.
// Without a `Drop` of its own (the receipt has what it takes), so that `match delivery.message` can move it out.
pub struct Delivery<A> {
    /// The message.
    pub message: A,
    /// Settles it.
    pub receipt: Receipt,
    /// Where it was read.
    pub lane: LaneId,
    /// Where it stands there.
    pub position: Position,
    /// When it was written, by the log's account.
    pub timestamp: Option<Timestamp>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// Settles a delivery, once: every way to do it consumes it.
#[must_use = "a receipt that is dropped counts as a failed attempt"]
pub struct Receipt(oneshot::Sender<Answer>);

enum Answer {
    Ack(oneshot::Sender<()>),
    Park(String),
    Retry,
}

impl Receipt {
    /// Done with it; returns once that is durable. An error means that it is not: the lane was lost, or the store did not
    /// answer, and the record comes again, here or elsewhere.
    pub async fn ack(self) -> Result {
        let (confirm, confirmed) = oneshot::channel();
        let lost =
            |_| Error::fenced("the position was not stored, the record will be delivered again");
        // An answer that nobody hears drops the sender, and so is the error of the line below.
        let _ = self.0.send(Answer::Ack(confirm));
        confirmed.await.map_err(lost)
    }

    /// Parks it, with this reason.
    pub fn park(self, reason: impl Into<String>) {
        let _ = self.0.send(Answer::Park(reason.into()));
    }

    /// Tries it again, with backoff and up to the bounds of retries; then it is parked.
    pub fn retry(self) {
        let _ = self.0.send(Answer::Retry);
    }
}

impl<S: Store> Consumer<S> {
    /// Runs the consumer for a loop of your own; `A` is the generated `AnyMessage`.
    pub fn deliveries<A: AnyOf>(self) -> Deliveries<A> {
        let (sender, arriving) = mpsc::channel(1);
        let routes: Vec<Route<S>> = A::TYPES
            .iter()
            .map(|&(message_type, known)| {
                let sender = sender.clone();
                Route::any(message_type, known, HandOver { sender })
            })
            .collect();
        let consumer = self.register_all(routes).set(|settings| {
            // A receipt waits for its commit, and the commit must not wait for the next receipt.
            settings.run = 1;
            // The loop takes the time that it takes.
            settings.attempt_deadline_ms = 0;
        });
        let (stop, asked) = watch::channel(false);
        let board = Board::new(consumer.name().unwrap_or_default(), consumer.guarantee());
        let running = consumer.run(Arc::new(board), Budget::new(BUFFER_BYTES), Stop(asked));
        Deliveries {
            arriving,
            running: Some(tokio::spawn(running)),
            _stop: stop,
        }
    }
}

impl<A> Deliveries<A> {
    /// The next message; `None` when the consumer has ended by itself: idle, or with its N records.
    pub async fn next(&mut self) -> Result<Option<Delivery<A>>> {
        if let Some(delivery) = self.arriving.recv().await {
            return Ok(Some(delivery));
        }
        match self.running.take() {
            None => Ok(None),
            Some(running) => match running.await {
                Ok(ended) => ended.map(|_| None),
                Err(error) => Err(Error::permanent(format!(
                    "the consumer's task ended: {error}"
                ))),
            },
        }
    }
}

/// The handler that hands over and waits for the receipt.
struct HandOver<A> {
    sender: mpsc::Sender<Delivery<A>>,
}

impl<S: Store, A: AnyOf> Handle<S> for HandOver<A> {
    async fn handle(&self, cx: &mut Cx<S>) -> Result<(), Failure> {
        let current = &cx.current;
        let Some(value) = current.record.value.clone() else {
            return Err(Rejected::Tombstone.into());
        };
        let message = {
            let envelope = current.open(Some(&value))?;
            A::decode(&envelope.message_type, envelope.version, envelope.body)?
        };
        let (answer, answered) = oneshot::channel();
        let delivery = Delivery {
            message,
            receipt: Receipt(answer),
            lane: current.record.lane.clone(),
            position: current.record.position.clone(),
            timestamp: current.record.timestamp,
            attempt: current.attempt,
        };
        if self.sender.send(delivery).await.is_err() {
            return Err(Error::unavailable("the loop is gone").into());
        }
        match answered.await {
            Ok(Answer::Ack(confirm)) => {
                cx.current.confirm = Some(confirm);
                Ok(())
            }
            Ok(Answer::Park(reason)) => Err(Error::park(reason).into()),
            Ok(Answer::Retry) => Err(Error::msg("the loop wants it again").into()),
            Err(_) => Err(Error::msg("its receipt was dropped").into()),
        }
    }
}
