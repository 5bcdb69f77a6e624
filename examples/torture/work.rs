//! What is sent: records that succeed, fail once or always fail, drawn from a seed so that the verdict knows them all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logpipe::{Error, Producer, Result};

/// One record's message, written by hand: a type need not be generated to be sent and handled.
#[derive(Clone, PartialEq)]
pub struct Work {
    /// Orders it.
    pub key: String,
    /// Ascending over the whole run, so within each key too.
    pub number: i64,
    /// What its handler does, as [`Fate::code`].
    pub fate: i64,
}

logpipe::wire! {
    struct Work closed {
        key: "key";
        number: "number";
        fate: "fate";
    }
}
logpipe::message! { Work = "work" version 1, key key; }

/// What becomes of a record in its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is handled.
    Good,
    /// The first attempt fails, after it has written.
    FailsOnce,
    /// Every attempt fails, after it has written, until the handler is cured.
    Poison,
}

impl Fate {
    fn code(self) -> i64 {
        self as i64
    }

    /// From what a message carries.
    pub fn of(work: &Work) -> Self {
        match work.fate {
            0 => Self::Good,
            1 => Self::FailsOnce,
            _ => Self::Poison,
        }
    }
}

/// Every record of a run.
#[derive(Clone)]
pub struct Plan {
    works: Arc<Vec<Work>>,
    /// Numbers of the records that are parked in the first pass: poison, and what queues behind it.
    parked: Arc<HashSet<i64>>,
}

impl Plan {
    /// Draws 1% that fail once and 0.1% that always fail. Where parked records are known by their keys, those of the same
    /// key queue behind them.
    pub fn new(records: u64, keys: u64, seed: u64, queues: bool) -> Self {
        let mut random = Random(seed);
        let mut poisoned = HashSet::new();
        let mut parked = HashSet::new();
        let mut works = Vec::new();
        for number in 0..records {
            let key = format!("key-{}", random.below(keys));
            let fate = match random.below(1000) {
                0 => Fate::Poison,
                1..=10 => Fate::FailsOnce,
                _ => Fate::Good,
            };
            if fate == Fate::Poison {
                poisoned.insert(key.clone());
            }
            if fate == Fate::Poison || queues && poisoned.contains(&key) {
                parked.insert(number as i64);
            }
            works.push(Work {
                key,
                number: number as i64,
                fate: fate.code(),
            });
        }
        Self {
            works: works.into(),
            parked: parked.into(),
        }
    }

    /// All of it.
    pub fn works(&self) -> &[Work] {
        &self.works
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.works.len() as u64
    }

    /// How many of them the first pass handles.
    pub fn first_pass(&self) -> u64 {
        self.records() - self.parked.len() as u64
    }

    /// Whether the first pass parks the record.
    pub fn is_parked(&self, number: i64) -> bool {
        self.parked.contains(&number)
    }
}

/// Sends the plan, evenly over the time; returns how many were acknowledged.
pub async fn send(producer: Producer, plan: Plan, over: Duration) -> Result<usize> {
    let began = Instant::now();
    let tick = Duration::from_millis(50);
    let per_tick = (plan.works.len() as f64 * tick.as_secs_f64() / over.as_secs_f64())
        .ceil()
        .max(1.0);
    let mut sent = 0;
    for (index, batch) in plan.works.chunks(per_tick as usize).enumerate() {
        tokio::time::sleep_until((began + tick * index as u32).into()).await;
        sent += producer.send_all(batch).await.map_err(Error::from)?.len();
    }
    producer.close().await?;
    Ok(sent)
}

/// SplitMix64: the same figures for the same seed, on every machine.
pub struct Random(pub u64);

impl Random {
    /// Below `bound`, evenly enough for a bench.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
