//! How do records reach their handler, and what of them stays? A run is one transaction; who is at fault decides.

use tokio::time::Instant;

use super::{Content, Step, Tenure, Worker};
use crate::Store;
use crate::consumer::run::{Done, End, Finished, Job, Verdict};
use crate::consumer::settle::Settling;
use crate::consumer::work::{Ran, Work};
use crate::lane::Fate;

impl<S: Store> Worker<S> {
    pub(super) async fn run(&mut self, tenure: &mut Tenure, seqs: Vec<u64>) -> Step {
        let route = tenure.lane.route(seqs[0]);
        let jobs = self.jobs(tenure, seqs);
        if jobs.is_empty() {
            // Another lane was faster. Whoever comes here has not waited for anything: others on this thread go first.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let Some(mut jobs) = self.write_dead_letters(tenure, jobs).await? else {
            return Ok(());
        };
        let shared = self.shared.clone();
        let work = Work {
            shared: shared.clone(),
            pace: self.pulse.pace().clone(),
            wanted: self.pulse.wanted(),
            held: self.held(tenure),
            route,
        };
        // What this task has woken may stand in line behind it on this thread, where no other thread can take it over.
        // Should the handler block the thread, the consumer itself could be among them: let them go first.
        tokio::task::yield_now().await;
        let ran = match shared.router.handler(route) {
            Some(handler) if handler.is_loop() && jobs.len() == 1 && jobs[0].decided.is_none() => {
                let plan = tenure.lane.plan(&[(jobs[0].seq, Fate::Settled)]);
                let job = jobs.remove(0);
                self.pulse.place(work.hand_over(plan, job)).await?
            }
            _ => {
                let all: Vec<_> = jobs.iter().map(|job| (job.seq, Fate::Settled)).collect();
                let plan = tenure.lane.plan(&all);
                self.pulse.place(work.execute(plan, jobs)).await?
            }
        };
        match ran {
            Ok(Ran::Finished(finished)) => self.after(tenure, route, finished).await,
            Ok(Ran::Written(done, commit)) => {
                let mut settling = Settling::with_capacity(&shared, Instant::now(), done.len());
                for (job, verdict) in done {
                    settling.judge(&tenure.lane, job, verdict, route);
                }
                self.wrote(tenure, settling, commit).await
            }
            Ok(Ran::Committed(job)) => {
                let mut settling = Settling::new(&shared, Instant::now());
                settling.judge(&tenure.lane, job, Verdict::Handled, route);
                self.committed(tenure, settling)
            }
            Err((jobs, error)) => {
                let fates = put_back(tenure, jobs, Fate::Back);
                tenure.lane.undone(Instant::now(), &fates);
                self.fenced_or_trouble(error).await
            }
        }
    }

    /// Takes the records out of the window. Those that there is no place for, among the N after which the consumer
    /// stops, stay in it.
    fn jobs(&mut self, tenure: &mut Tenure, seqs: Vec<u64>) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(seqs.len());
        let mut back = Vec::new();
        for seq in seqs {
            let Some(content) = tenure.lane.take(seq) else {
                continue;
            };
            if !tenure.lane.has_place(seq) {
                // One that goes back is not overtaken by those behind it, should a place become free meanwhile.
                if !back.is_empty() || !self.shared.quota.take() {
                    tenure.lane.give_back(seq, content);
                    back.push((seq, Fate::Back));
                    continue;
                }
                tenure.lane.place(seq);
                self.places += 1;
            }
            let Content {
                mut current,
                decided,
            } = content;
            let (attempts, _) = tenure.lane.attempts(seq);
            current.attempt = attempts + 1;
            jobs.push(Job {
                seq,
                current,
                decided,
            });
        }
        if !back.is_empty() {
            tenure.lane.undone(Instant::now(), &back);
        }
        jobs
    }

    /// The one place that decides what becomes of a run.
    async fn after(&mut self, tenure: &mut Tenure, route: u32, finished: Finished<S>) -> Step {
        let Finished { session, done, end } = finished;
        let now = Instant::now();
        let waits = match end {
            End::Whole => None,
            End::Waits(error) => Some(error),
            End::Trouble(error) => {
                self.roll_back(session).await?;
                let jobs = done.map(|(job, _)| job).collect();
                let fates = put_back(tenure, jobs, Fate::Back);
                tenure.lane.undone(now, &fates);
                return self.fenced_or_trouble(error).await;
            }
            End::Torn => {
                self.roll_back(session).await?;
                self.torn(tenure, done);
                return Ok(());
            }
        };
        let shared = self.shared.clone();
        let mut settling = Settling::with_capacity(&shared, now, done.len());
        for (job, verdict) in done {
            settling.judge(&tenure.lane, job, verdict, route);
        }
        self.commit(tenure, session, settling).await?;
        match waits {
            Some(error) => self.trouble(error).await,
            None => Ok(()),
        }
    }

    /// A transaction that ended by itself: its last record is the culprit, the others go again one by one.
    fn torn(&self, tenure: &mut Tenure, done: Done) {
        let now = Instant::now();
        let done: Vec<(Job, Verdict)> = done.collect();
        let culprit = done
            .iter()
            .rposition(|(_, verdict)| !matches!(verdict, Verdict::Back));
        let mut fates = Vec::new();
        for (index, (job, verdict)) in done.into_iter().enumerate() {
            if Some(index) == culprit {
                let seq = job.seq;
                let fate = Settling::new(&self.shared, now).fail(&mut tenure.lane, job, verdict);
                fates.push((seq, fate));
            } else {
                fates.extend(put_back(tenure, vec![job], Fate::Alone));
            }
        }
        tenure.lane.undone(now, &fates);
    }
}

/// Gives the records of a run back to the lane.
pub(super) fn put_back(tenure: &mut Tenure, jobs: Vec<Job>, fate: Fate) -> Vec<(u64, Fate)> {
    let mut fates = Vec::with_capacity(jobs.len());
    for job in jobs {
        fates.push((job.seq, fate));
        tenure.lane.give_back(job.seq, Content::of(job));
    }
    fates
}
