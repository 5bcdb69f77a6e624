//! Does every record take effect exactly once, in the order of its key, whatever fails in between? Thousands of
//! interleavings of fetches, failures, torn transactions, lost commits, crashes and zombies, each from its seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What the simulation does wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// The cursor becomes the highest settled position instead of the last below which all is settled.
    CommitHighest,
    /// What is settled above the cursor is not stored.
    DropSettled,
    /// The fence compares the cursor alone.
    NoEpoch,
    /// A record whose transaction tore is taken for settled.
    ForgetTorn,
}

/// The log: positions with holes, as compaction leaves them.
struct Log {
    records: Vec<(Position, Option<Bytes>)>,
    end: Position,
}

/// A lane's row, the rows above it, and what handlers wrote: one transaction at a time.
#[derive(Default)]
struct Table {
    epoch: u64,
    cursor: Option<Cursor>,
    settled: BTreeSet<Position>,
    effects: Vec<usize>,
}

/// A process that believes to own the lane.
/// A record: its index in the log, and its key.
struct Numbered(usize, Option<Bytes>);

impl Keyed for Numbered {
    fn key(&self) -> Option<&Bytes> {
        self.1.as_ref()
    }
}

struct Owner {
    epoch: u64,
    lane: Lane<Numbered>,
    /// Index of the next record to fetch.
    next: usize,
    now: Instant,
}

impl Owner {
    fn claim(table: &mut Table, log: &Log, order: Order, mistake: Mistake, now: Instant) -> Self {
        table.epoch += 1;
        let cursor = table.cursor.get_or_insert(Cursor::Start).clone();
        let next = match &cursor {
            Cursor::After(position) => log.records.partition_point(|(p, _)| p <= position),
            Cursor::Closed => log.records.len(),
            Cursor::Start | Cursor::At(_) => 0,
        };
        let settled = match mistake {
            Mistake::DropSettled => BTreeSet::new(),
            _ => table.settled.clone(),
        };
        let limits = Limits { window: 12, run: 5 };
        Self {
            epoch: table.epoch,
            lane: Lane::new(limits, order, cursor, settled),
            next,
            now,
        }
    }

    fn fetch(&mut self, log: &Log, rng: &mut StdRng) {
        let many = rng.random_range(0..=self.lane.room());
        for _ in 0..many {
            let Some((position, key)) = log.records.get(self.next) else {
                self.lane.through(log.end.clone());
                self.lane.end();
                return;
            };
            self.lane.push(Arrival {
                position: position.clone(),
                route: (self.next % 7 / 4) as u32,
                size: 1,
                due: rng
                    .random_bool(0.1)
                    .then(|| self.now + Duration::from_millis(3)),
                content: Numbered(self.next, key.clone()),
            });
            self.next += 1;
        }
        if rng.random_bool(0.3)
            && let Some((following, _)) = log.records.get(self.next)
            && let Some(before) = following.number().unwrap().checked_sub(1)
            && many > 0
        {
            self.lane.through(Position::from(before));
        }
    }
}

/// How a transaction ends.
enum Ending {
    Commits,
    RollsBack,
    Tears,
    CommitsThenCrashes,
    Crashes,
}

fn simulate(seed: u64, mistake: Mistake) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let order = if rng.random_bool(0.7) {
        Order::Key
    } else {
        Order::None
    };
    let mut position = 0;
    let records = (0..rng.random_range(1..60))
        .map(|_| {
            position += rng.random_range(1..4u64);
            let key = rng
                .random_bool(0.8)
                .then(|| Bytes::from(vec![rng.random_range(b'a'..b'f')]));
            (Position::from(position), key)
        })
        .collect();
    let log = Log {
        records,
        end: Position::from(position + rng.random_range(0..3)),
    };
    let mut table = Table::default();
    let start = Instant::now();
    let mut owners = vec![Owner::claim(&mut table, &log, order, mistake, start)];
    for _ in 0..20_000 {
        if table.cursor == Some(Cursor::Closed) {
            return check(&log, &table, order);
        }
        if rng.random_bool(0.01) {
            // Another process takes the lane; this one does not know yet.
            let now = owners[0].now;
            owners.push(Owner::claim(&mut table, &log, order, mistake, now));
        }
        let who = rng.random_range(0..owners.len());
        let owner = &mut owners[who];
        owner.now += Duration::from_millis(rng.random_range(0..3));
        if rng.random_bool(0.4) {
            owner.fetch(&log, &mut rng);
        }
        let fresh = if rng.random_bool(0.1) { 1 } else { 100 };
        let seqs = match owner.lane.next(owner.now, fresh) {
            Next::Run { seqs, .. } => seqs,
            Next::At(_) | Next::Nothing => Vec::new(),
        };
        if !run(owner, &seqs, &mut table, order, mistake, &mut rng) {
            // Crashed, or fenced: only a new claim goes on. The last one standing claims again.
            owners.remove(who);
            if owners.is_empty() {
                owners.push(Owner::claim(&mut table, &log, order, mistake, start));
            }
        }
    }
    Err("it never came to an end".into())
}

/// One transaction; false when its process is gone.
fn run(
    owner: &mut Owner,
    seqs: &[u64],
    table: &mut Table,
    order: Order,
    mistake: Mistake,
    rng: &mut StdRng,
) -> bool {
    let ending = match rng.random_range(0..100) {
        0..85 => Ending::Commits,
        85..90 => Ending::RollsBack,
        90..95 if !seqs.is_empty() => Ending::Tears,
        95..97 => Ending::CommitsThenCrashes,
        _ => Ending::Crashes,
    };
    let mut effects = Vec::new();
    let mut stuck = Vec::new();
    let mut fates = Vec::new();
    let mut running = Vec::new();
    for &seq in seqs {
        owner.lane.place(seq);
        let content = owner.lane.take(seq).expect("a record runs once at a time");
        let Numbered(record, key) = &content;
        let (record, key) = (*record, key.clone());
        running.push((seq, content));
        let fate = if order == Order::Key && key.is_some() && stuck.contains(&key) {
            Fate::Back
        } else if rng.random_bool(0.2) {
            stuck.push(key);
            Fate::Retry {
                due: owner.now + Duration::from_millis(rng.random_range(0..20)),
            }
        } else {
            effects.push(record);
            Fate::Settled
        };
        fates.push((seq, fate));
    }
    if let Ending::Tears = ending {
        let culprit = rng.random_range(0..fates.len());
        for (index, (_, fate)) in fates.iter_mut().enumerate() {
            *fate = match (index == culprit, mistake) {
                (true, _) => Fate::Retry { due: owner.now },
                (false, Mistake::ForgetTorn) => Fate::Settled,
                (false, _) => Fate::Alone,
            };
        }
        give_back(owner, running, &fates);
        match mistake {
            Mistake::ForgetTorn => owner.lane.settled(owner.now, &fates),
            _ => owner.lane.undone(owner.now, &fates),
        }
        return true;
    }
    let mut plan = owner.lane.plan(&fates);
    if mistake == Mistake::CommitHighest
        && let Some((seq, _)) = fates.iter().rfind(|(_, fate)| *fate == Fate::Settled)
    {
        plan.cursor = Some(Cursor::After(owner.lane.slot(*seq).position.clone()));
    }
    let fence = (mistake == Mistake::NoEpoch || table.epoch == owner.epoch)
        && table.cursor.as_ref() == Some(owner.lane.cursor());
    if !fence {
        return false;
    }
    if let Ending::Commits | Ending::CommitsThenCrashes = ending {
        table.effects.extend(effects);
        table.settled.extend(plan.above);
        if let Some(cursor) = plan.cursor {
            if let Cursor::After(position) = &cursor {
                table.settled.retain(|settled| settled > position);
            }
            table.cursor = Some(cursor);
        }
    }
    match ending {
        Ending::Commits => {
            give_back(owner, running, &fates);
            owner.lane.settled(owner.now, &fates);
        }
        Ending::RollsBack => {
            let back: Vec<_> = seqs.iter().map(|&seq| (seq, Fate::Back)).collect();
            give_back(owner, running, &back);
            owner.lane.undone(owner.now, &back);
        }
        Ending::Tears => unreachable!("returned above"),
        Ending::CommitsThenCrashes | Ending::Crashes => return false,
    }
    if mistake == Mistake::None {
        assert_eq!(table.cursor.as_ref(), Some(owner.lane.cursor()));
    }
    true
}

/// What is not settled goes back into the window.
fn give_back(owner: &mut Owner, running: Vec<(u64, Numbered)>, fates: &[(u64, Fate)]) {
    for ((seq, content), (_, fate)) in running.into_iter().zip(fates) {
        if *fate != Fate::Settled {
            owner.lane.give_back(seq, content);
        }
    }
}

fn check(log: &Log, table: &Table, order: Order) -> Result<(), String> {
    let mut times = BTreeMap::new();
    for &effect in &table.effects {
        *times.entry(effect).or_insert(0) += 1;
    }
    for record in 0..log.records.len() {
        match times.get(&record) {
            Some(1) => {}
            times => return Err(format!("record {record} took effect {times:?} times")),
        }
    }
    let mut last = BTreeMap::new();
    for &effect in &table.effects {
        let Some(key) = &log.records[effect].1 else {
            continue;
        };
        if order == Order::Key && last.insert(key, effect).is_some_and(|last| last > effect) {
            return Err(format!(
                "record {effect} took effect after a later one of its key"
            ));
        }
    }
    Ok(())
}

#[test]
fn every_record_takes_effect_once_and_in_the_order_of_its_key() {
    for seed in 0..3_000 {
        if let Err(what) = simulate(seed, Mistake::None) {
            panic!("seed {seed}: {what}");
        }
    }
}

/// A simulation that notices nothing proves nothing.
#[test]
fn planted_mistakes_are_noticed() {
    for mistake in [
        Mistake::CommitHighest,
        Mistake::DropSettled,
        Mistake::NoEpoch,
        Mistake::ForgetTorn,
    ] {
        let noticed = (0..200).filter(|&seed| {
            std::panic::catch_unwind(|| simulate(seed, mistake))
                .map_or(true, |result| result.is_err())
        });
        assert!(noticed.count() > 0, "{mistake:?} goes unnoticed");
    }
}
