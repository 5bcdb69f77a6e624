//! How do records get to the dead-letter topic? Before the transaction that moves the position past them begins.
//!
//! Between the run in which it is decided that a record is parked and the one that settles it, the record goes to the topic.
//! No transaction is open meanwhile: one of SQLite holds the whole file, and a topic may take minutes to answer, longer
//! than other lanes and processes wait for the file. What was acknowledged is remembered with the record as long as the
//! lane is ours, so a commit that has to be tried again writes nothing twice; after a crash in between the next owner does.

use tokio::time::Instant;

use super::run::put_back;
use super::{Step, Tenure, Worker};
use crate::Store;
use crate::consumer::dead_letter::Letter;
use crate::consumer::run::{Job, Verdict};
use crate::consumer::settle::{At, Held, RECHECK};
use crate::lane::Fate;
use crate::record::Record;

impl<S: Store> Worker<S> {
    /// Writes those of the run's records that are to be parked and are not on the topic yet. `None` where one of them could
    /// not be written: all of the run is back in the window.
    pub(super) async fn write_dead_letters(
        &mut self,
        tenure: &mut Tenure,
        mut jobs: Vec<Job>,
    ) -> Step<Option<Vec<Job>>> {
        let letters: Vec<_> = jobs
            .iter_mut()
            .filter_map(unwritten)
            .map(|(record, letter)| (record.clone(), letter.clone()))
            .collect();
        if letters.is_empty() {
            return Ok(Some(jobs));
        }
        let shared = self.shared.clone();
        let Some(topic) = &shared.dead_letters else {
            return Ok(Some(jobs));
        };
        let sending = topic.send(&shared.group, letters);
        let mut results = self.pulse.guard(sending).await?.into_iter();
        let (mut refused, mut trouble) = (None, None);
        for job in &mut jobs {
            let (seq, at) = (job.seq, At::of(&job.current));
            let Some((_, letter)) = unwritten(job) else {
                continue;
            };
            match results.next() {
                Some(Ok(())) => letter.is_written = true,
                Some(Err(error)) if !error.is_retriable() => {
                    refused.get_or_insert((seq, at, error));
                }
                Some(Err(error)) => {
                    trouble.get_or_insert(error);
                }
                None => {}
            }
        }
        if refused.is_none() && trouble.is_none() {
            return Ok(Some(jobs));
        }
        let now = Instant::now();
        let fates = put_back(tenure, jobs, Fate::Back);
        tenure.lane.undone(now, &fates);
        if let Some((seq, at, error)) = refused {
            tenure.lane.hold_from(seq);
            let held = Held {
                seq,
                why: format!(
                    "at {}: the record can't be parked. {error}; the lane looks again every {} s",
                    at.position,
                    RECHECK.as_secs()
                ),
                until: Some(now + RECHECK),
                full: None,
                at: Some(at),
            };
            self.hold(tenure, held);
        }
        if let Some(error) = trouble {
            self.trouble(error.context("parking")).await?;
        }
        Ok(None)
    }
}

fn unwritten(job: &mut Job) -> Option<(&Record, &mut Letter)> {
    match &mut job.decided {
        Some(Verdict::DeadLetter(letter)) if !letter.is_written => {
            Some((&job.current.record, letter))
        }
        _ => None,
    }
}
