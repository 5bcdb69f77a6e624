//! How do records come into the lane's window? As there is room, each with the route that takes it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Break, Content, Step, Tenure, Worker};
use crate::Store;
use crate::consumer::router::Classified;
use crate::error::Context;
use crate::handler::Current;
use crate::lane::Arrival;
use crate::record::Record;
use crate::source::{Budget, Fetched};

impl<S: Store> Worker<S> {
    /// Whether anything came.
    pub(super) async fn fetch(&mut self, tenure: &mut Tenure) -> Step<bool> {
        let room = tenure.lane.room();
        // Half a window at a time: fetching costs a round trip whatever it returns.
        if !tenure.more || room < self.shared.settings.window.div_ceil(2) {
            return Ok(false);
        }
        let budget = Budget {
            records: room,
            bytes: self.share.reserve(),
        };
        if budget.bytes == 0 {
            return Ok(false);
        }
        let fetched = self.pulse.guard(tenure.reader.fetch(budget)).await?;
        self.share.hold(tenure.lane.size());
        match fetched.context("reading the lane") {
            Ok(Fetched::Records(fetch)) => {
                let came = !fetch.records.is_empty();
                // Where nothing came and more is to come, the reader knows when.
                tenure.more = came && !fetch.at_end;
                tenure.at_end = fetch.at_end;
                self.follow_clock(tenure);
                let now = Instant::now();
                for record in fetch.records {
                    tenure.lane.push(self.arrival(record, now));
                }
                if let Some(through) = fetch.through {
                    tenure.lane.through(through);
                }
                self.show(tenure);
                Ok(came)
            }
            Ok(Fetched::Ended) => {
                tenure.more = false;
                tenure.at_end = true;
                tenure.ended = true;
                tenure.lane.end();
                Ok(false)
            }
            Ok(Fetched::OutOfRange(gap)) => Err(Break::outside(gap)),
            Err(error) => {
                self.trouble(error).await?;
                Ok(false)
            }
        }
    }

    /// What waits for its minimum lag is due by the consumer's clock. That is tokio's time, unless somebody moves it by
    /// hand: then it is followed, look by look.
    pub(super) fn follow_clock(&mut self, tenure: &mut Tenure) {
        let Some((at, up)) = &mut self.clock_hands else {
            return;
        };
        let (now, up_now) = (Instant::now(), self.shared.clock.uptime());
        let (passed, moved) = (now - *at, up_now.saturating_sub(*up));
        (*at, *up) = (now, up_now);
        tenure.lane.postpone(passed, moved);
    }

    fn arrival(&mut self, record: Record, now: Instant) -> Arrival<Content> {
        let lag = self.shared.settings.min_lag();
        let due = record.timestamp.filter(|_| !lag.is_zero()).map(|written| {
            let due = written.saturating_add(lag).unwrap_or(written);
            let wait = due.duration_since(self.shared.clock.now());
            let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
            now + wait.min(lag)
        });
        let Classified {
            route,
            message_type,
            version,
            opening,
            decided,
        } = self.shared.router.classify_next(&record, &mut self.routed);
        Arrival {
            position: record.position.clone(),
            route,
            size: record.size(),
            due,
            content: Content {
                current: self.boxes.fill(Current {
                    record,
                    message_type,
                    version,
                    attempt: 0,
                    opening,
                    confirm: None,
                }),
                decided,
            },
        }
    }
}
