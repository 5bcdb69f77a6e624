//! Single rules of a lane, where the simulation would not say which was broken.

use super::*;

impl Keyed for () {
    fn key(&self) -> Option<&Bytes> {
        None
    }
}

fn lane(records: u64) -> Lane<()> {
    let limits = Limits { window: 10, run: 4 };
    let mut lane = Lane::new(limits, Order::Key, Cursor::Start, []);
    for number in 0..records {
        lane.push(Arrival {
            position: number.into(),
            route: 0,
            size: 1,
            due: None,
            content: (),
        });
    }
    lane
}

fn run(lane: &mut Lane<()>, fresh: usize) -> Vec<u64> {
    match lane.next(Instant::now(), fresh) {
        Next::Run { seqs, .. } => seqs,
        Next::At(_) | Next::Nothing => Vec::new(),
    }
}

/// Between the look and the taking another lane may have been faster.
#[test]
fn what_goes_back_without_a_place_is_not_given_out_as_if_it_had_one() {
    let mut lane = lane(6);
    assert_eq!(run(&mut lane, 3), [0, 1, 2]);
    lane.place(0);
    lane.undone(Instant::now(), &[(1, Fate::Back), (2, Fate::Back)]);
    lane.undone(Instant::now(), &[(0, Fate::Back)]);
    assert_eq!(run(&mut lane, 0), [0]);
    lane.undone(Instant::now(), &[(0, Fate::Back)]);
    assert_eq!(run(&mut lane, 1), [0, 1]);
}

#[test]
fn held_records_leave_their_places_and_those_before_them_do_not() {
    let mut lane = lane(6);
    for seq in run(&mut lane, 4) {
        lane.place(seq);
    }
    let retry = Fate::Retry {
        due: Instant::now(),
    };
    let back = [(0, Fate::Back), (1, Fate::Back), (2, Fate::Back)];
    lane.undone(Instant::now(), &back);
    lane.undone(Instant::now(), &[(3, retry)]);
    assert_eq!(lane.displace(), 0, "nothing is held");
    lane.hold_from(1);
    assert_eq!(lane.displace(), 2, "a retry that waits goes on");
    assert_eq!(lane.displace(), 0);
    let places: Vec<bool> = (0..4).map(|seq| lane.has_place(seq)).collect();
    assert_eq!(places, [true, false, false, true]);
}
