//! A loop of your own: decoded messages with receipts, instead of handlers.

use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::consumer::run::{Run, Start, Unbegun};
use crate::consumer::{BUFFER_BYTES, Budget, Consumer};
use crate::handler::{Current, Erased, Route};
use crate::health::Board;
use crate::record::{LaneId, Position};
use crate::service::{Outcome, Stop};
use crate::store::{Broker, Due};
use crate::{AnyOf, Error, Failure, Result, Store};

/// Messages as they come, one of each lane at a time.
///
/// Policies settle what can't be decoded; the loop sees messages. A delivery's receipt settles it; one that is dropped
/// counts as a failed attempt and the record comes again.
///
/// No transaction of the store is open while a delivery is out. To write in one transaction with the position, begin one
/// and settle with the `ack_in` of the store's module.
#[must_use = "nothing is read before `next()`"]
pub struct Deliveries<A, S: Store = Broker> {
    arriving: mpsc::Receiver<Delivery<A, S>>,
    running: Option<JoinHandle<Result<Outcome>>>,
    /// Of a consumer that has ended.
    outcome: Outcome,
    /// Dropping it stops the consumer.
    stop: watch::Sender<bool>,
}

/// A message and the receipt for it.
// Without a `Drop` of its own (the receipt has what it takes), so that `match delivery.message` can move it out.
pub struct Delivery<A, S: Store = Broker> {
    /// The message.
    pub message: A,
    /// Settles it.
    pub receipt: Receipt<S>,
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
pub struct Receipt<S: Store = Broker> {
    answer: oneshot::Sender<Answer>,
    due: Due,
    store: PhantomData<fn() -> S>,
}

/// What the loop says of a record.
pub(crate) enum Answer {
    /// Done with it; to be told when that is durable.
    Ack(oneshot::Sender<()>),
    /// It is settled where the loop commits its own transaction, and not where that is rolled back.
    Committing,
    Park(String),
    Retry,
    /// The receipt was dropped.
    Nothing,
    /// The loop is no more.
    Gone,
}

impl<S: Store> Receipt<S> {
    /// What settling it writes.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code))]
    pub(crate) fn due(&self) -> &Due {
        &self.due
    }

    /// It is settled by a transaction of the user's own, once that is committed.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code))]
    pub(crate) fn committing(self) -> Result {
        let lost = |_| Error::fenced("the lane was lost: roll back, the record comes again");
        self.answer.send(Answer::Committing).map_err(lost)
    }

    /// Done with it; returns once that is durable. An error means that it is not: the lane was lost, or the store did not
    /// answer, and the record comes again, here or elsewhere.
    ///
    /// A log that keeps the position alone ([`Broker`]) has no word for a record that is done while an older one of its
    /// lane waits for another attempt: then this returns when the log has the position before the older one, and after a
    /// crash both come again.
    pub async fn ack(self) -> Result {
        let (confirm, confirmed) = oneshot::channel();
        let lost =
            |_| Error::fenced("the position was not stored, the record will be delivered again");
        // An answer that nobody hears drops the sender, and so is the error of the line below.
        let _ = self.answer.send(Answer::Ack(confirm));
        confirmed.await.map_err(lost)
    }

    /// Parks it, with this reason.
    pub fn park(self, reason: impl Into<String>) {
        let _ = self.answer.send(Answer::Park(reason.into()));
    }

    /// Tries it again, with backoff and up to the bounds of retries; then it is parked.
    pub fn retry(self) {
        let _ = self.answer.send(Answer::Retry);
    }
}

impl<S: Store> Consumer<S> {
    /// Runs the consumer for a loop of your own; `A` is the generated `AnyMessage`.
    pub fn deliveries<A: AnyOf>(self) -> Deliveries<A, S> {
        let (sender, arriving) = mpsc::channel(1);
        let routes: Vec<Route<S>> = A::TYPES
            .iter()
            .map(|&(message_type, known)| {
                let sender = sender.clone();
                let any = PhantomData::<fn() -> A>;
                Route::any(message_type, known, HandOver { sender, any })
            })
            .collect();
        // Whatever it was configured with.
        let consumer = self.resolved().register_all(routes).set(|settings| {
            // A receipt waits for its commit, and the commit must not wait for the next receipt.
            settings.run = 1;
            // The loop takes the time that it takes.
            settings.attempt_deadline_ms = 0;
        });
        let (stop, asked) = watch::channel(false);
        let board = Board::new(consumer.name().unwrap_or_default(), consumer.guarantee());
        let configured = consumer.buffer_bytes;
        let buffer_bytes = configured.map_or(BUFFER_BYTES, |(_, bytes)| bytes);
        let running = consumer.run(Arc::new(board), Budget::new(buffer_bytes), Stop(asked));
        Deliveries {
            arriving,
            running: Some(tokio::spawn(running)),
            outcome: Outcome::default(),
            stop,
        }
    }
}

impl<A, S: Store> Deliveries<A, S> {
    /// The next message; `None` when the consumer has ended by itself: idle, or with its N records.
    pub async fn next(&mut self) -> Result<Option<Delivery<A, S>>> {
        if let Some(delivery) = self.arriving.recv().await {
            return Ok(Some(delivery));
        }
        self.ended().await?;
        Ok(None)
    }

    /// Ends in good order: the lanes are drained, their positions stored, the group is left. Returns what came of the
    /// messages, as a service does. A receipt that is still out is waited for, for as long as draining may take.
    pub async fn close(mut self) -> Result<Outcome> {
        self.stop.send_replace(true);
        self.turn_away();
        self.ended().await?;
        Ok(std::mem::take(&mut self.outcome))
    }

    async fn ended(&mut self) -> Result {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        let ended = running.await;
        self.outcome = ended
            .map_err(|error| Error::permanent(format!("the consumer's task ended: {error}")))??;
        Ok(())
    }
}

impl<A, S: Store> Deliveries<A, S> {
    /// A message that nobody has seen has used no attempt.
    fn turn_away(&mut self) {
        self.arriving.close();
        while let Ok(delivery) = self.arriving.try_recv() {
            let _ = delivery.receipt.answer.send(Answer::Gone);
        }
    }
}

impl<A, S: Store> Drop for Deliveries<A, S> {
    fn drop(&mut self) {
        self.turn_away();
    }
}

/// Hands over and waits for the receipt.
struct HandOver<A, S: Store> {
    sender: mpsc::Sender<Delivery<A, S>>,
    any: PhantomData<fn() -> A>,
}

/// A record on its way into a loop.
pub(crate) struct Offer<'a> {
    pub(crate) current: &'a Current,
    pub(crate) due: Due,
}

impl<S: Store, A: AnyOf> Erased<S> for HandOver<A, S> {
    fn run(&self, start: Start<S>) -> BoxFuture<'_, Result<Run<S>, Unbegun>> {
        // What is to be seen by the loop is offered; this is the rest.
        start.decided().boxed()
    }

    fn is_loop(&self) -> bool {
        true
    }

    fn offer<'a>(&'a self, offer: Offer<'a>) -> Option<BoxFuture<'a, Result<Answer, Failure>>> {
        Some(self.hand_over(offer).boxed())
    }
}

impl<S: Store, A: AnyOf> HandOver<A, S> {
    async fn hand_over(&self, offer: Offer<'_>) -> Result<Answer, Failure> {
        let Offer { current, due } = offer;
        let message = {
            let envelope = current.open()?;
            A::decode(&envelope.message_type, envelope.version, envelope.body)?
        };
        let (answer, answered) = oneshot::channel();
        let delivery = Delivery {
            message,
            receipt: Receipt {
                answer,
                due,
                store: PhantomData,
            },
            lane: current.record.lane.clone(),
            position: current.record.position.clone(),
            timestamp: current.record.timestamp,
            attempt: current.attempt,
        };
        if self.sender.send(delivery).await.is_err() {
            return Ok(Answer::Gone);
        }
        Ok(answered.await.unwrap_or(Answer::Nothing))
    }
}
