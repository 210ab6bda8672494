//! The network delays, loses, doubles and cuts, and one seed twice is one trace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::AsyncRuntime;

use super::executor::{self, Simulation, WORLD};
use super::network::{Failure, Link, Network, Node, Service};
use super::runtime::{SimRuntime, sleep, spawn_in};
use super::seeds::{self, Totals};

const MS: Duration = Duration::from_millis(1);

/// Answers after a while, and counts.
#[derive(Clone, Default)]
struct Echo {
    takes: Duration,
    asked: Arc<AtomicU64>,
    order: Arc<Mutex<Vec<u64>>>,
}

impl Service for Echo {
    type Request = u64;
    type Response = (Node, u64);

    fn handle(&self, from: Node, request: u64) -> impl Future<Output = (Node, u64)> + Send + 'static {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.order.lock().unwrap().push(request);
        let takes = self.takes;
        async move {
            sleep(takes).await;
            (from, request)
        }
    }
}

const STRAIGHT: Link = Link {
    delay_us: (1_000, 1_000),
    slow_per_mille: 0,
    slow_us: (0, 0),
    lost_per_mille: 0,
    doubled_per_mille: 0,
};

async fn ask(network: &Network<Echo>, to: Node, request: u64) -> Option<Result<(Node, u64), Failure>> {
    SimRuntime::timeout(Duration::from_secs(1), network.call(1, to, request)).await.ok()
}

#[test]
fn a_request_takes_its_way_there_and_back() {
    Simulation::new(1).run(async {
        let network = Network::new(1, STRAIGHT);
        let node = executor::new_group("n2");
        network.plug(2, node, Echo::default());
        assert_eq!(ask(&network, 2, 7).await, Some(Ok((1, 7))));
        assert_eq!((executor::elapsed(), network.messages()), (2 * MS, 2));
        assert_eq!(ask(&network, 3, 7).await, Some(Err(Failure::Refused)));
        network.unplug(2);
        assert_eq!(ask(&network, 2, 7).await, Some(Err(Failure::Refused)));
    });
}

#[test]
fn a_cut_is_one_way_and_takes_what_is_under_way() {
    Simulation::new(1).run(async {
        let network = Network::new(1, STRAIGHT);
        let echo = Echo::default();
        network.plug(2, executor::new_group("n2"), echo.clone());
        network.cut(2, 1);
        assert_eq!(ask(&network, 2, 1).await, None, "the response is lost");
        assert_eq!(echo.asked.load(Ordering::Relaxed), 1, "the request arrived");
        network.heal();
        network.cut(1, 2);
        assert_eq!(ask(&network, 2, 2).await, None);
        assert_eq!(echo.asked.load(Ordering::Relaxed), 1);
        network.heal();
        assert_eq!(ask(&network, 2, 3).await, Some(Ok((1, 3))));
    });
}

#[test]
fn a_node_that_dies_with_a_request_resets_and_one_that_pauses_delays() {
    Simulation::new(1).run(async {
        let network = Network::new(1, STRAIGHT);
        let node = executor::new_group("n2");
        network.plug(2, node, Echo { takes: 10 * MS, ..Echo::default() });
        executor::pause(node);
        let (asking, before) = (network.clone(), executor::elapsed());
        let asked = spawn_in(WORLD, async move { ask(&asking, 2, 1).await });
        sleep(100 * MS).await;
        executor::resume(node);
        assert_eq!(asked.await.unwrap(), Some(Ok((1, 1))));
        assert_eq!(executor::elapsed() - before, 111 * MS);
        let asking = network.clone();
        let asked = spawn_in(WORLD, async move { ask(&asking, 2, 2).await });
        sleep(5 * MS).await;
        executor::kill(node);
        assert_eq!(asked.await.unwrap(), Some(Err(Failure::Reset)));
    });
}

#[test]
fn what_is_under_way_outlives_its_sender() {
    Simulation::new(1).run(async {
        let network = Network::new(1, STRAIGHT);
        let (echo, sender) = (Echo::default(), executor::new_group("n1"));
        network.plug(2, executor::new_group("n2"), echo.clone());
        let asking = network.clone();
        drop(spawn_in(sender, async move { asking.call(1, 2, 1).await }));
        sleep(MS / 2).await;
        executor::kill(sender);
        sleep(MS).await;
        assert_eq!(echo.asked.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn bad_links_lose_double_and_reorder() {
    Simulation::new(1).run(async {
        let network = Network::new(1, STRAIGHT);
        let echo = Echo::default();
        network.plug(2, executor::new_group("n2"), echo.clone());
        network.set_usual(Link { lost_per_mille: 100, doubled_per_mille: 100, ..Link::BAD });
        let asked: Vec<_> = (0..500)
            .map(|n| {
                let network = network.clone();
                spawn_in(WORLD, async move { ask(&network, 2, n).await })
            })
            .collect();
        let mut answered = 0;
        for task in asked {
            answered += u64::from(task.await.unwrap().is_some());
        }
        assert!((350..450).contains(&answered), "{answered} of 500, with 10 % lost each way");
        let order = echo.order.lock().unwrap().clone();
        assert!((460..530).contains(&order.len()), "{} arrived", order.len());
        assert!(!order.is_sorted(), "in order");
        network.set_link(1, 2, STRAIGHT);
        network.set_link(2, 1, STRAIGHT);
        assert!(ask(&network, 2, 0).await.is_some(), "links have ways of their own");
        network.heal();
        network.set_usual(Link::GOOD);
        assert!(ask(&network, 2, 0).await.is_some());
    });
}

/// A small world with everything in it: three nodes that ask each other, pauses, kills, cuts.
fn world(seed: u64) -> (Totals, u64) {
    let simulation = Simulation::new(seed);
    let totals = simulation.run(async move {
        let mut rng = fastrand::Rng::with_seed(seed);
        let network = Network::new(seed, Link::BAD);
        let acks = Arc::new(AtomicU64::new(0));
        let start = |node: Node| {
            let group = executor::new_group(&format!("n{node}"));
            network.plug(node, group, Echo { takes: MS, ..Echo::default() });
            let (network, acks) = (network.clone(), Arc::clone(&acks));
            spawn_in(group, async move {
                for n in 0.. {
                    let to = 1 + (node + n) % 3;
                    if let Ok(Ok(_)) = SimRuntime::timeout(50 * MS, network.call(node, to, n)).await {
                        acks.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            group
        };
        let mut groups: Vec<_> = (1..=3).map(&start).collect();
        let mut kills = 0;
        for _ in 0..40 {
            sleep(Duration::from_micros(rng.u64(..50_000))).await;
            let at = rng.usize(..3);
            match rng.u8(..5) {
                0 => executor::pause(groups[at]),
                1 => groups.iter().for_each(|group| executor::resume(*group)),
                2 => network.cut(1 + at as u64, 1 + rng.u64(..3)),
                3 => network.heal(),
                _ => {
                    executor::kill(groups[at]);
                    groups[at] = start(1 + at as u64);
                    kills += 1;
                }
            }
        }
        Totals {
            seeds: 1,
            acknowledged: acks.load(Ordering::Relaxed),
            kills,
            simulated: executor::elapsed(),
            ..Totals::default()
        }
    });
    (totals, simulation.fingerprint().0)
}

#[test]
fn one_seed_twice_is_one_trace() {
    for seed in 0..10 {
        assert_eq!(world(seed), world(seed), "seed {seed}");
    }
    assert_ne!(world(0).1, world(1).1);
}

#[test]
fn many_seeds_run_on_all_cores_and_a_failure_is_named() {
    let totals = seeds::run(0..40, |seed| Ok(world(seed).0)).unwrap();
    assert_eq!(totals.seeds, 40);
    assert!(totals.acknowledged > 1_000 && totals.kills > 100, "{totals:?}");
    let failure = seeds::run(0..40, |seed| {
        assert_ne!(seed, 31, "a panic is a failure");
        if seed == 23 { Err("a rule is broken".to_owned()) } else { Ok(Totals::default()) }
    });
    let failure = failure.unwrap_err();
    assert!(failure.contains("seed 23") && failure.contains("RCS_SIM_SEED=23 cargo test"), "{failure}");
}
