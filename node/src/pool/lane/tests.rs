use super::*;

const SHARE: Share = Share { all: 2, each: 2, reserve: 1 };
const BOUNDS: Bounds = Bounds { running: SHARE, waiting: Share { all: 2, each: 1, reserve: 1 }, replaced: 2 };

fn who(configuration: u64) -> Who {
    Who { configuration, connector: "test".into() }
}

fn started(lane: &Arc<Lane>, configuration: u64) -> Place {
    match lane.start_or_wait(&who(configuration)) {
        Ok(Entry::Started(place)) => place,
        _ => panic!("configuration {configuration} gets a place at once"),
    }
}

/// Runs all tasks that are ready.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn waits(lane: &Arc<Lane>, configuration: u64) -> tokio::task::JoinHandle<Result<Place, Failure>> {
    let lane = lane.clone();
    tokio::spawn(async move { lane.enter(&who(configuration)).await })
}

fn is_empty(lane: &Lane) -> bool {
    let state = lane.state();
    (state.running, state.waiting, state.hanging, state.replaced) == (0, 0, 0, 0)
        && state.of.is_empty()
        && state.turns.is_empty()
}

#[tokio::test]
async fn a_configuration_that_runs_nothing_has_a_place_beyond_the_common_ones() {
    let lane = Lane::new(BOUNDS);
    let busy = [started(&lane, 1), started(&lane, 1)];
    let reserve = started(&lane, 2);
    let third = waits(&lane, 3);
    settle().await;
    assert!(!third.is_finished(), "the reserve is taken");
    drop(reserve);
    let third = third.await.unwrap().unwrap();
    drop((busy, third));
    assert!(is_empty(&lane));
}

#[tokio::test]
async fn a_full_lane_turns_calls_away() {
    let lane = Lane::new(BOUNDS);
    let busy = [started(&lane, 1), started(&lane, 1), started(&lane, 2)];
    let own = waits(&lane, 1);
    settle().await;
    let error = lane.enter(&who(1)).await.err().expect("one may wait for each configuration");
    assert!(error.class.ends_with("RetryableException") && error.message.contains("not run"), "{error:?}");
    let others = [waits(&lane, 2), waits(&lane, 3)];
    settle().await;
    assert!(lane.enter(&who(4)).await.is_err(), "and three in all");
    drop(busy);
    let mut places = vec![own.await.unwrap().unwrap()];
    for other in others {
        settle().await;
        places.clear();
        places.push(other.await.unwrap().unwrap());
    }
    drop(places);
    assert!(is_empty(&lane));
}

#[tokio::test]
async fn configurations_take_turns() {
    let wide = Share { all: 100, each: 100, reserve: 0 };
    let lane =
        Lane::new(Bounds { running: Share { all: 1, each: 1, reserve: 0 }, waiting: wide, replaced: 0 });
    let mut running = started(&lane, 1);
    let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
    for configuration in [1, 1, 1, 2, 3, 2] {
        let (lane, order) = (lane.clone(), order.clone());
        tokio::spawn(async move {
            let place = lane.enter(&who(configuration)).await.unwrap();
            order.send((configuration, place)).unwrap();
        });
        settle().await;
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        drop(running);
        let (configuration, place) = served.recv().await.unwrap();
        seen.push(configuration);
        running = place;
    }
    assert_eq!(seen, [1, 2, 3, 1, 2, 1]);
    drop(running);
    assert!(is_empty(&lane));
}

#[tokio::test]
async fn a_call_that_is_given_up_while_it_waits_leaves_no_trace() {
    let lane = Lane::new(BOUNDS);
    let busy = [started(&lane, 1), started(&lane, 1), started(&lane, 2)];
    for _ in 0..10 {
        let waiting = waits(&lane, 3);
        settle().await;
        waiting.abort();
        assert!(waiting.await.err().expect("given up").is_cancelled());
    }
    assert!(lane.state().turns.is_empty());
    drop(busy);
    assert!(is_empty(&lane));
}

#[tokio::test]
async fn hanging_calls_make_room_for_others_but_not_for_their_own() {
    let lane = Lane::new(BOUNDS);
    let stuck = [started(&lane, 1), started(&lane, 1)];
    let (own, other) = (waits(&lane, 1), waits(&lane, 2));
    settle().await;
    for place in &stuck {
        place.watch().hangs(Operation::Test, Duration::from_secs(1));
    }
    let refused = own.await.unwrap().err().expect("its whole share hangs");
    assert!(refused.message.contains("2 calls of this configuration of test hang"), "{refused:?}");
    assert!(lane.enter(&who(1)).await.is_err());
    let mut others = vec![other.await.unwrap().unwrap(), started(&lane, 2), started(&lane, 3)];
    assert_eq!(lane.hanging(), Hanging { calls: 2, configurations: 1 });

    // Two hanging calls are replaced already, so the third one keeps its place.
    others.pop().expect("three of them").watch().hangs(Operation::Get, Duration::from_secs(1));
    others[0].watch().hangs(Operation::Get, Duration::from_secs(1));
    assert_eq!(lane.state().replaced, 2);
    let [one, other] = stuck;
    drop((one, others));
    drop(started(&lane, 1));
    drop(other);
    assert!(is_empty(&lane), "threads that come back give back what they had");
}
