//! Whether the members of a group share its lanes, hand them over, and lose them in words.

use super::*;

/// A membership and what it was told.
struct Member {
    source: Box<dyn Source>,
    lanes: BTreeMap<LaneId, Assigned>,
    revoking: BTreeSet<LaneId>,
    said_joined: bool,
}

impl Member {
    async fn join(backend: &dyn Backend) -> Self {
        Self::join_topics(backend, &[TOPIC]).await
    }

    async fn join_topics(backend: &dyn Backend, topics: &[&str]) -> Self {
        let join = Join {
            group: GROUP.into(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            instance_id: None,
        };
        Self {
            source: backend.join(join).await.unwrap(),
            lanes: BTreeMap::new(),
            revoking: BTreeSet::new(),
            said_joined: false,
        }
    }

    async fn event(&mut self) {
        match self.source.event().await.unwrap() {
            Event::Assigned(assigned) => {
                for assigned in assigned {
                    let before = self.lanes.insert(assigned.lane.clone(), assigned);
                    assert!(before.is_none(), "a lane was assigned that is ours already");
                }
            }
            Event::Revoking { lanes, .. } => {
                for lane in lanes {
                    assert!(
                        self.lanes.contains_key(&lane),
                        "{lane} is revoked and not ours"
                    );
                    self.revoking.insert(lane);
                }
            }
            Event::Lost(lanes) => {
                for lane in lanes {
                    assert!(
                        self.lanes.remove(&lane).is_some(),
                        "{lane} is lost and not ours"
                    );
                    self.revoking.remove(&lane);
                }
            }
            Event::Incident(..) => {}
            Event::Ended(error) => panic!("the membership ended: {error}"),
            Event::Joined => self.said_joined = true,
        }
    }

    async fn until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !is_true(self) {
                self.event().await;
            }
        })
        .await;
    }

    async fn release_revoked(&mut self) {
        for lane in std::mem::take(&mut self.revoking) {
            self.source.release(&lane).await.unwrap();
            self.lanes.remove(&lane);
        }
    }

    async fn leave(self) {
        for lane in self.lanes.keys() {
            self.source.release(lane).await.unwrap();
        }
        self.source.leave().await.unwrap();
    }
}

pub(super) async fn a_topic_made_anew_is_another_incarnation(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, _) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("all lanes are assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let before = member.lanes[&lane].incarnation.clone();
    let mut old = reader(member.source.open(&lane, &Cursor::Start).await.unwrap());

    harness.delete(TOPIC).await;
    gap_under(&mut *old, GapKind::Deleted).await;
    harness.create(TOPIC).await;
    let (same, _) = send_to_one_lane(&*backend, 1).await;
    assert_eq!(same, lane);
    gap_under(&mut *old, GapKind::Recreated).await;
    member
        .until("the lane is assigned as another incarnation", |member| {
            member
                .lanes
                .get(&lane)
                .is_some_and(|lane| lane.incarnation != before)
        })
        .await;
    let mut new = reader(member.source.open(&lane, &Cursor::Start).await.unwrap());
    assert_eq!(values(&read_all(&mut *new).await), numbers(0..1));
}

pub(super) async fn a_cancelled_event_is_not_lost(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await;
    let mut member = Member::join(&*backend).await;
    // Dropped after a poll or two, again and again, until one ends.
    soon("all lanes are assigned", async {
        while member.lanes.len() < all.len() {
            let event = member.event();
            tokio::select! {
                biased;
                () = event => {}
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
}

pub(super) async fn members_share_lanes_and_hand_them_over(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await.len();
    let mut first = Member::join(&*backend).await;
    first
        .until("the first member has all lanes", |member| {
            member.lanes.len() == all
        })
        .await;
    // A position that an operator stores by what the log shows has to be one that a member takes for its own.
    for extent in backend.lanes(TOPIC).await.unwrap() {
        let assigned = &first.lanes[&extent.lane];
        assert_eq!(
            (&extent.cluster, &extent.incarnation),
            (&assigned.cluster, &assigned.incarnation),
            "the log and its group name {} differently",
            extent.lane
        );
    }

    let mut second = Member::join(&*backend).await;
    soon("the second member asks for lanes", async {
        tokio::select! {
            () = async { loop { second.event().await } } => {}
            () = first.until("the first member gives notice", |first| first.revoking.len() == all / 2) => {}
        }
    })
    .await;
    assert!(
        second.lanes.is_empty(),
        "a lane was handed over that was not released"
    );
    for lane in &first.revoking {
        assert!(
            matches!(
                second.source.open(lane, &Cursor::Start).await.unwrap(),
                Opened::NotOurs
            ),
            "a lane can be opened that is not ours"
        );
        // Until it is released it is read on, to drain.
        reader(first.source.open(lane, &Cursor::Start).await.unwrap());
    }
    let given: BTreeSet<LaneId> = first.revoking.clone();
    first.release_revoked().await;
    second
        .until("the second member has what the first released", |second| {
            given.iter().all(|lane| second.lanes.contains_key(lane))
        })
        .await;
    for lane in &given {
        assert!(matches!(
            first.source.open(lane, &Cursor::Start).await.unwrap(),
            Opened::NotOurs
        ));
        reader(second.source.open(lane, &Cursor::Start).await.unwrap());
    }
    assert_eq!(first.lanes.len() + second.lanes.len(), all);

    // Whoever leaves in good order leaves its lanes to the others at once.
    second.leave().await;
    first
        .until("the first member has all lanes again", |member| {
            member.lanes.len() == all
        })
        .await;
}

pub(super) async fn a_dead_member_leaves_its_lanes_to_others(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await.len();
    let mut dying = Member::join(&*backend).await;
    dying
        .until("the first member has all lanes", |member| {
            member.lanes.len() == all
        })
        .await;
    let mut heir = Member::join(&*backend).await;
    drop(dying);
    heir.until("the other member has all lanes", |member| {
        member.lanes.len() == all
    })
    .await;
}

pub(super) async fn a_member_without_lanes_knows_that_it_joined(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await.len();
    let mut members = Vec::new();
    for _ in 0..=all {
        members.push(Member::join(&*backend).await);
    }
    soon("each lane is somebody's, and who has none knows", async {
        loop {
            let assigned: usize = members.iter().map(|member| member.lanes.len()).sum();
            let idle = members.iter().filter(|member| member.lanes.is_empty());
            let (idle, told): (Vec<_>, Vec<_>) =
                idle.map(|member| ((), member.said_joined)).unzip();
            if assigned == all && idle.len() == 1 && told == [true] {
                return;
            }
            for member in &mut members {
                let _ = tokio::time::timeout(Duration::from_millis(10), member.event()).await;
                member.release_revoked().await;
            }
        }
    })
    .await;
}

pub(super) async fn positions_are_kept_for_the_group(mut harness: impl Harness) {
    let backend = harness.backend();
    if !backend.capabilities().broker_cursors {
        return;
    }
    let (lane, positions) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    assert_eq!(member.source.committed(&lane).await.unwrap(), None);
    let cursor = Cursor::After(positions[1].clone());
    member
        .source
        .save(vec![(lane.clone(), cursor.clone())])
        .await
        .unwrap();
    let incarnation = member.lanes[&lane].incarnation.clone();
    member.leave().await;
    drop(backend);
    harness.restart().await;

    let backend = harness.backend();
    assert_eq!(
        backend.saved(GROUP).await.unwrap(),
        [(lane.clone(), cursor.clone())]
    );
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let committed = member.source.committed(&lane).await.unwrap().unwrap();
    assert_eq!(committed.cursor, cursor);
    assert!(
        committed
            .incarnation
            .is_none_or(|stored| stored == incarnation)
    );
    let mut rest = reader(member.source.open(&lane, &committed.cursor).await.unwrap());
    assert_eq!(values(&read_all(&mut *rest).await), numbers(2..3));

    // What is released is another's to save.
    member.source.release(&lane).await.unwrap();
    let late = vec![(lane.clone(), Cursor::After(positions[2].clone()))];
    let refused = member.source.save(late).await.unwrap_err();
    assert!(refused.is_fenced(), "{refused}");
    assert_eq!(backend.saved(GROUP).await.unwrap(), [(lane, cursor)]);
}

pub(super) async fn a_lost_lane_is_fenced(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let before = vec![(lane.clone(), Cursor::After(positions[0].clone()))];
    let after = vec![(lane.clone(), Cursor::After(positions[1].clone()))];
    let saves = backend.capabilities().broker_cursors;
    if saves {
        member.source.save(before.clone()).await.unwrap();
    }

    harness.expire(GROUP, &lane).await;
    if saves {
        let refused = member.source.save(after.clone()).await.unwrap_err();
        assert!(refused.is_fenced(), "{refused}");
        assert_eq!(
            backend.saved(GROUP).await.unwrap(),
            before,
            "a fenced write went through"
        );
    }
    member
        .until("the loss is noticed", |member| {
            !member.lanes.contains_key(&lane)
        })
        .await;
    // What was done with it has ended; alone in its group it gets the lane anew, as a new claim.
    member.source.alive(&lane);
    member
        .until("the lane is assigned anew", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    if saves {
        member.source.save(after.clone()).await.unwrap();
        assert_eq!(backend.saved(GROUP).await.unwrap(), after);
    }
}

pub(super) async fn positions_of_a_living_group_are_not_reset(harness: impl Harness) {
    let backend = harness.backend();
    if !backend.capabilities().broker_cursors {
        return;
    }
    let (lane, positions) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let cursors = vec![(lane.clone(), Cursor::After(positions[1].clone()))];
    assert!(
        backend.reset(GROUP, cursors.clone()).await.is_err(),
        "a living group was reset"
    );
    assert!(backend.saved(GROUP).await.unwrap().is_empty());
    member.leave().await;
    backend.reset(GROUP, cursors.clone()).await.unwrap();
    assert_eq!(backend.saved(GROUP).await.unwrap(), cursors);
}

pub(super) async fn children_wait_until_their_parent_is_finished(harness: impl Harness) {
    let backend = harness.backend();
    let (parent, _) = send_to_one_lane(&*backend, 3).await;
    let children = harness.split(&parent).await;
    if children.is_empty() {
        return;
    }
    let old = lanes(&*backend).await.len() - children.len();
    let (child, _) = send_to_one_lane(&*backend, 2).await;
    assert!(
        children.contains(&child),
        "what is sent after a split is in a child"
    );

    let mut member = Member::join(&*backend).await;
    member
        .until("all lanes but the children are assigned", |member| {
            member.lanes.len() == old
        })
        .await;
    assert!(
        children
            .iter()
            .all(|child| !member.lanes.contains_key(child))
    );
    let mut reader = reader(member.source.open(&parent, &Cursor::Start).await.unwrap());
    assert_eq!(values(&read_all(&mut *reader).await), numbers(0..3));
    // A log may say that nothing follows for now before it knows that nothing ever will.
    soon("the end of the parent is told", async {
        loop {
            match reader.fetch(PLENTY).await.unwrap() {
                Fetched::Ended => return,
                Fetched::Records(fetch) => assert!(fetch.records.is_empty()),
                Fetched::OutOfRange(gap) => panic!("a lane that ended went away: {gap:?}"),
            }
            reader.ready().await.unwrap();
        }
    })
    .await;

    // Settled by nobody yet: another member gets the parent again, and no child.
    member.leave().await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the parent is assigned again", |member| {
            member.lanes.len() == old
        })
        .await;
    assert!(member.lanes.contains_key(&parent));
    member.source.finish(&parent).await.unwrap();
    member.lanes.remove(&parent);
    member
        .until("the children are assigned", |member| {
            children
                .iter()
                .all(|child| member.lanes.contains_key(child))
        })
        .await;
    assert!(
        !member.lanes.contains_key(&parent),
        "a finished lane was assigned"
    );
    // Its position is that of a lane that has ended: opened so, it has no record.
    let mut closed = open(&*backend, &parent, &Cursor::Closed).await;
    assert!(matches!(
        closed.fetch(PLENTY).await.unwrap(),
        Fetched::Ended
    ));
}
