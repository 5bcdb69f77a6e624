//! Whether members share a group's lanes evenly and never read one lane at the same time.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

fn lane(n: usize) -> LaneId {
    LaneId::new("nouns", n.to_string())
}

fn at(seconds: u64) -> Moment {
    Moment {
        wall: Timestamp::UNIX_EPOCH,
        up: Duration::ZERO,
    }
    .plus(Duration::from_secs(seconds))
}

/// A group whose members step when they are told to, each by its own clock.
struct Group {
    lanes: BTreeMap<LaneId, LogLane>,
    rows: BTreeMap<LaneId, Row>,
    members: Vec<Member>,
    made: usize,
}

struct Member {
    membership: Membership,
    lanes: BTreeSet<LaneId>,
    revoking: BTreeSet<LaneId>,
    said: Vec<String>,
    /// Its handler blocks its thread.
    blocked: BTreeSet<LaneId>,
}

impl Group {
    fn of(lanes: usize) -> Self {
        Self {
            lanes: (0..lanes).map(|n| (lane(n), log_lane(&[]))).collect(),
            rows: BTreeMap::new(),
            members: Vec::new(),
            made: 0,
        }
    }

    fn join(&mut self) -> usize {
        self.made += 1;
        self.members.push(Member {
            membership: Membership::new(format!("m{:03}", self.made)),
            lanes: BTreeSet::new(),
            revoking: BTreeSet::new(),
            said: Vec::new(),
            blocked: BTreeSet::new(),
        });
        self.members.len() - 1
    }

    fn view(&self) -> View {
        View {
            cluster: "test".into(),
            lanes: self.lanes.clone(),
            rows: self.rows.clone(),
            members: self
                .members
                .iter()
                .map(|member| Peer {
                    id: member.membership.me.clone(),
                    topics: BTreeSet::from(["nouns".to_owned()]),
                    stuck: member.membership.stuck().clone(),
                })
                .collect(),
        }
    }

    fn step(&mut self, index: usize, now: Moment) {
        let view = self.view();
        self.step_in(index, now, &view, true);
    }

    fn step_in(&mut self, index: usize, now: Moment, view: &View, is_alive: bool) {
        let member = &mut self.members[index];
        let blocked = &member.blocked;
        let is_alive = |lane: &LaneId| is_alive && !blocked.contains(lane);
        let step = member.membership.step(now, view, true, is_alive);
        self.rows.extend(step.writes);
        for event in step.events {
            match event {
                Event::Assigned(lanes) => {
                    member.said.push(format!("assigned {}", lanes.len()));
                    member
                        .lanes
                        .extend(lanes.into_iter().map(|assigned| assigned.lane));
                }
                Event::Revoking { lanes, .. } => {
                    member.said.push(format!("revoking {}", lanes.len()));
                    member.revoking.extend(lanes);
                }
                Event::Lost(lanes) => {
                    member.said.push(format!("lost {}", lanes.len()));
                    for lane in lanes {
                        member.lanes.remove(&lane);
                        member.revoking.remove(&lane);
                    }
                }
                Event::Incident(_, gap) => member.said.push(gap.kind.name().to_owned()),
                Event::Ended(error) => member.said.push(error.to_string()),
                Event::Joined => member.said.push("joined".into()),
            }
        }
    }

    fn release(&mut self, index: usize, lane: &LaneId) {
        let member = &mut self.members[index];
        member.lanes.remove(lane);
        member.revoking.remove(lane);
        if let Some(row) = member.membership.release(lane, self.rows.get(lane)) {
            self.rows.insert(lane.clone(), row);
        }
    }

    fn release_revoked(&mut self, index: usize) {
        for lane in self.members[index].revoking.clone() {
            self.release(index, &lane);
        }
    }

    fn counts(&self) -> Vec<usize> {
        self.members
            .iter()
            .map(|member| member.lanes.len())
            .collect()
    }

    fn said(&mut self, index: usize) -> Vec<String> {
        std::mem::take(&mut self.members[index].said)
    }
}

fn log_lane(parents: &[LaneId]) -> LogLane {
    LogLane {
        incarnation: "first".into(),
        parents: parents.to_vec(),
    }
}

#[test]
fn a_third_member_gets_its_share_and_a_dead_ones_lanes_are_inherited() {
    let mut group = Group::of(6);
    let (a, b) = (group.join(), group.join());
    group.step(a, at(0));
    group.step(b, at(0));
    assert_eq!(group.counts(), [3, 3], "each takes its share and no more");

    let c = group.join();
    for member in [a, b, c] {
        group.step(member, at(1));
    }
    assert_eq!(group.said(c), ["joined"], "nothing is free yet");
    assert_eq!(group.said(a)[1..], ["revoking 1"]);
    assert_eq!(group.said(b)[1..], ["revoking 1"]);
    group.step(a, at(2));
    assert_eq!(group.said(a), [""; 0], "notice is given once");
    for member in [a, b] {
        group.release_revoked(member);
    }
    group.step(c, at(2));
    assert_eq!(group.counts(), [2, 2, 2]);

    group.members.remove(b);
    for member in [0, 1, 0, 1] {
        group.step(member, at(3));
    }
    assert_eq!(group.counts(), [3, 3], "a dead member's lanes go at once");
}

#[test]
fn a_lease_runs_out_on_either_hand_of_the_clock() {
    let late = |wall, up| Moment {
        wall: at(wall).wall,
        up: at(up).up,
    };
    for now in [late(10, 0), late(0, 10), late(10, 10)] {
        let mut group = Group::of(2);
        let a = group.join();
        group.step(a, at(0));
        assert!(group.members[a].membership.holds(&lane(0), at(9)));
        assert!(!group.members[a].membership.holds(&lane(0), now));
        assert!(group.members[a].membership.fence(&lane(0), now).is_none());
        group.step(a, now);
        assert_eq!(group.said(a), ["assigned 2", "lost 2", "assigned 2"]);
        assert_eq!(group.rows[&lane(0)].epoch, 2);
    }
}

#[test]
fn others_take_what_a_stopped_member_held_and_it_notices() {
    let mut group = Group::of(2);
    let a = group.join();
    group.step(a, at(0));
    let b = group.join();
    group.step(b, at(9));
    assert_eq!(group.counts(), [2, 0]);
    group.step(b, at(10));
    assert_eq!(
        group.said(b),
        ["joined", "assigned 1"],
        "its share, while the other counts as living"
    );
    group.members.rotate_left(1);
    let stopped = group.members.pop().unwrap();
    group.step(0, at(11));
    assert_eq!(group.counts(), [2], "all, when it does not");
    group.members.push(stopped);
    group.step(1, at(12));
    assert_eq!(group.said(1), ["assigned 2", "lost 2", "joined"]);
    assert_eq!(
        group.members[1]
            .membership
            .release(&lane(0), group.rows.get(&lane(0))),
        None
    );
}

#[test]
fn a_row_that_another_claim_wrote_is_no_longer_ours() {
    let mut group = Group::of(1);
    let a = group.join();
    group.step(a, at(0));
    let row = group.rows.get_mut(&lane(0)).unwrap();
    row.epoch += 1;
    row.owner = Some("another".into());
    let row = row.clone();
    assert_eq!(
        group.members[a]
            .membership
            .clone()
            .finish(&lane(0), Some(&row)),
        None
    );
    group.step(a, at(1));
    assert_eq!(group.said(a)[1], "lost 1");
}

#[test]
fn a_lane_whose_work_does_not_go_on_is_not_renewed() {
    let mut group = Group::of(1);
    let a = group.join();
    group.step(a, at(0));
    let view = group.view();
    group.step_in(a, at(5), &view, false);
    assert_eq!(group.rows[&lane(0)].expires, at(10).wall);
    let view = group.view();
    group.step_in(a, at(6), &view, true);
    assert_eq!(group.rows[&lane(0)].expires, at(16).wall);
}

/// A member that loses a lane has less than its share, so that the lane would fall to it again and again.
#[test]
fn a_lane_that_is_lost_to_a_blocked_thread_goes_to_another_until_the_thread_is_back() {
    let mut group = Group::of(2);
    let (a, b) = (group.join(), group.join());
    group.step(a, at(0));
    group.step(b, at(0));
    assert_eq!(group.counts(), [1, 1]);
    let stuck = group.members[a].lanes.first().unwrap().clone();
    group.members[a].blocked.insert(stuck.clone());
    for second in 1..20 {
        group.step(a, at(second));
        group.step(b, at(second));
        let held = group.members[b].lanes.contains(&stuck);
        assert_eq!(held, second >= 10, "{second}");
    }
    assert_eq!(group.said(a), ["assigned 1", "lost 1", "joined"]);

    // Nobody has it rather than the blocked one.
    group.release(b, &stuck);
    let b = group.members.pop().unwrap();
    group.step(a, at(21));
    assert_eq!(group.counts(), [1], "only the other lane");
    group.members.push(b);
    group.step(1, at(21));
    assert!(group.members[1].lanes.contains(&stuck));

    group.members.pop();
    group.members[a].blocked.clear();
    group.step(a, at(33));
    group.step(a, at(34));
    assert_eq!(group.counts(), [2]);
}

#[test]
fn what_is_not_released_in_time_is_lost() {
    let mut group = Group::of(2);
    let a = group.join();
    group.step(a, at(0));
    let b = group.join();
    for second in (1..=30).step_by(3) {
        group.step(a, at(second));
        group.step(b, at(second));
        assert_eq!(group.members[b].lanes.len(), 0);
    }
    group.step(a, at(31));
    group.step(b, at(31));
    assert_eq!(group.said(a), ["assigned 2", "revoking 1", "lost 1"]);
    assert_eq!(group.counts(), [1, 1]);
}

#[test]
fn a_topic_that_is_gone_is_said_once_and_another_incarnation_is_another_lane() {
    let mut group = Group::of(1);
    let a = group.join();
    group.step(a, at(0));
    let log = group.lanes.remove(&lane(0)).unwrap();
    group.step(a, at(1));
    group.step(a, at(2));
    assert_eq!(group.said(a), ["assigned 1", "Deleted"]);
    let incarnation = "second".into();
    group.lanes.insert(lane(0), LogLane { incarnation, ..log });
    group.step(a, at(3));
    assert_eq!(group.said(a), ["lost 1", "assigned 1"]);
}

#[test]
fn children_are_nobodys_until_all_their_parents_are_finished() {
    // A merge: 2 comes of 0 and 1; 3 comes of 2.
    let mut group = Group::of(2);
    group.lanes.insert(lane(2), log_lane(&[lane(0), lane(1)]));
    group.lanes.insert(lane(3), log_lane(&[lane(2)]));
    let a = group.join();
    let held = |group: &Group| -> Vec<String> {
        group.members[a]
            .lanes
            .iter()
            .map(|lane| lane.shard().to_owned())
            .collect()
    };
    group.step(a, at(0));
    assert_eq!(held(&group), ["0", "1"]);
    for (finished, left) in [("0", vec!["1"]), ("1", vec!["2"]), ("2", vec!["3"])] {
        let finished = LaneId::new("nouns", finished);
        let member = &mut group.members[a];
        member.lanes.remove(&finished);
        let row = member
            .membership
            .finish(&finished, group.rows.get(&finished))
            .unwrap();
        group.rows.insert(finished, row);
        group.step(a, at(1));
        assert_eq!(held(&group), left);
    }
    // A parent that the log has forgotten holds nobody up.
    group.rows.clear();
    for gone in 0..3 {
        group.lanes.remove(&lane(gone));
    }
    group.members.clear();
    let a = group.join();
    group.step(a, at(2));
    assert_eq!(group.counts()[a], 1);
}

/// The stream was deleted, made again and split again while nobody looked: that the group finished a shard of the same name
/// once says nothing of the one there is now.
#[test]
fn a_parent_of_another_incarnation_is_not_finished() {
    let mut group = Group::of(1);
    let again = |parents: &[LaneId]| LogLane {
        incarnation: "second".into(),
        ..log_lane(parents)
    };
    let finished = Row {
        incarnation: "first".into(),
        owner: None,
        epoch: 1,
        expires: Timestamp::UNIX_EPOCH,
        finished: true,
    };
    group.rows.insert(lane(0), finished);
    group.lanes.insert(lane(0), again(&[]));
    group.lanes.insert(lane(1), again(&[lane(0)]));
    group.lanes.insert(lane(2), again(&[lane(0)]));
    let a = group.join();
    group.step(a, at(0));
    let held = &group.members[a].lanes;
    assert!(held.iter().eq([&lane(0)]), "{held:?}");
}

#[test]
fn members_read_only_their_own_topics() {
    let peer = |id: &str, topics: &[&str]| Peer {
        id: id.into(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        stuck: BTreeSet::new(),
    };
    let members = [peer("a", &["x"]), peer("b", &["x", "y"])];
    let lanes: Vec<LaneId> = ["x", "x", "x", "x", "y", "y"]
        .iter()
        .enumerate()
        .map(|(n, topic)| LaneId::new(*topic, n.to_string()))
        .collect();
    let log = log_lane(&[]);
    let claimable: Vec<_> = lanes
        .iter()
        .map(|lane| Claimable {
            lane,
            log: &log,
            owner: Some("b"),
        })
        .collect();
    let shares = balance(&members, &claimable);
    let of_a: Vec<&str> = shares
        .iter()
        .filter(|share| share.member == "a")
        .map(|share| share.lane.topic())
        .collect();
    assert_eq!(of_a, ["x", "x", "x"], "three each, and no lane of y");
}

/// Members that join, die, stop, wake up, forget to work and release late, in any order: no lane is ever trusted by two
/// of them, and once they are left in peace each has its share.
#[test]
fn no_lane_is_held_twice_and_shares_even_out() {
    for seed in 0..300 {
        let mut random = SmallRng::seed_from_u64(seed);
        let lanes = random.random_range(1..9);
        let mut group = Group::of(lanes);
        let mut now = at(0);
        // Members that are stopped: they do nothing, and hold what they hold until it runs out.
        let mut stopped: BTreeSet<String> = BTreeSet::new();
        for _ in 0..300 {
            now = now.plus(Duration::from_millis(random.random_range(0..1500)));
            let index = match group.members.len() {
                0 => group.join(),
                count => random.random_range(0..count),
            };
            let id = group.members[index].membership.me.clone();
            match random.random_range(0..20) {
                0 if group.members.len() < 5 => _ = group.join(),
                1 => {
                    group.members.remove(index);
                    stopped.remove(&id);
                }
                2 => _ = stopped.insert(id),
                3 => _ = stopped.remove(&id),
                4..8 => {
                    let held: Vec<LaneId> = group.members[index].revoking.iter().cloned().collect();
                    if let Some(lane) = held.choose(&mut random) {
                        group.release(index, lane);
                    }
                }
                _ if !stopped.contains(&id) => {
                    let is_alive = random.random_range(0..10) > 0;
                    let view = group.view();
                    group.step_in(index, now, &view, is_alive);
                }
                _ => {}
            }
            for n in 0..lanes {
                let holders = group
                    .members
                    .iter()
                    .filter(|member| member.membership.holds(&lane(n), now));
                assert!(holders.count() <= 1, "seed {seed}: lane {n} is held twice");
            }
        }
        for round in 0..60 {
            now = now.plus(Duration::from_secs(1));
            for index in 0..group.members.len() {
                group.step(index, now);
                group.release_revoked(index);
            }
            if round == 59 {
                let counts = group.counts();
                assert_eq!(
                    counts.iter().sum::<usize>(),
                    if counts.is_empty() { 0 } else { lanes }
                );
                let (least, most) = (counts.iter().min(), counts.iter().max());
                assert!(
                    most.zip(least)
                        .is_none_or(|(most, least)| most - least <= 1),
                    "seed {seed}: {counts:?}"
                );
            }
        }
    }
}
