//! The executor keeps its order, its clocks and its groups.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::{AsyncRuntime, Instant as _};
use tokio::sync::{mpsc, oneshot};

use super::executor::{self, Simulation, WORLD};
use super::runtime::{JoinError, SimInstant, SimRuntime, sleep, spawn_in};

const MS: Duration = Duration::from_millis(1);

type Log = Arc<Mutex<Vec<&'static str>>>;

fn log(log: &Log, what: &'static str) {
    log.lock().unwrap().push(what);
}

#[test]
fn timers_fire_by_time_then_by_number() {
    let seen = Log::default();
    let inner = Arc::clone(&seen);
    let simulation = Simulation::new(1);
    simulation.run(async move {
        let tasks: Vec<_> = [("late", 3), ("early", 1), ("same", 3), ("now", 0)]
            .into_iter()
            .map(|(name, at)| {
                let seen = Arc::clone(&inner);
                SimRuntime::spawn(async move {
                    sleep(at * MS).await;
                    log(&seen, name);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(executor::elapsed(), 3 * MS);
    });
    assert_eq!(*seen.lock().unwrap(), ["now", "early", "late", "same"]);
}

#[test]
fn a_timer_is_not_due_before_it_fires() {
    Simulation::new(1).run(async {
        let (a, b) = (sleep(MS), sleep(MS));
        tokio::pin!(a, b);
        // Both have the same moment, but they fire one by one: tokio's unbiased select has nothing to choose.
        tokio::select! {
            () = &mut a => {}
            () = &mut b => panic!("the second timer fired first"),
        }
        b.await;
    });
}

#[test]
fn a_deadline_ends_a_future_and_leaves_no_timer() {
    Simulation::new(1).run(async {
        let late = SimRuntime::timeout(MS, std::future::pending::<()>()).await;
        assert!(late.is_err());
        let at = SimInstant::now() + 5 * MS;
        assert_eq!(SimRuntime::timeout_at(at, async { 7 }).await.unwrap(), 7);
        let (before, _) = (executor::elapsed(), sleep(Duration::from_secs(9)));
        drop(SimRuntime::timeout(Duration::from_secs(9), async {}).await);
        sleep(MS).await;
        assert_eq!(executor::elapsed(), before + MS);
    });
}

#[test]
#[should_panic(expected = "stand still for ever")]
fn a_world_in_which_nothing_can_happen_is_an_error() {
    Simulation::new(1).run(std::future::pending::<()>());
}

#[test]
#[should_panic(expected = "without time passing")]
fn a_task_that_spins_is_an_error() {
    Simulation::new(1).run(async {
        loop {
            let mut first = true;
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::take(&mut first) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
            })
            .await;
        }
    });
}

#[test]
fn a_panic_ends_its_task_only() {
    Simulation::new(1).run(async {
        let node = executor::new_group("n1");
        let end: Result<(), _> = spawn_in(node, async { panic!("on purpose {}", 1) }).await;
        let error = end.unwrap_err();
        assert!(SimRuntime::is_panic(&error), "{error}");
        assert_eq!(executor::panics(), ["n1: on purpose 1"]);
        assert_eq!(spawn_in(node, async { 2 }).await.unwrap(), 2);
    });
}

#[test]
fn a_killed_group_drops_everything_and_never_runs_again() {
    struct Told(Log);
    impl Drop for Told {
        fn drop(&mut self) {
            log(&self.0, "dropped");
            // What is dropped may spawn: nothing comes of it.
            let seen = Arc::clone(&self.0);
            drop(SimRuntime::spawn(async move { log(&seen, "ran") }));
        }
    }
    let seen = Log::default();
    let inner = Arc::clone(&seen);
    let simulation = Simulation::new(1);
    simulation.run(async move {
        let node = executor::new_group("n1");
        let told = Told(Arc::clone(&inner));
        let outer = spawn_in(node, async move {
            // The child belongs to the group of its parent.
            SimRuntime::spawn(async move {
                let _told = told;
                sleep(Duration::from_secs(1)).await;
            })
            .await
        });
        sleep(MS).await;
        executor::kill(node);
        assert!(executor::is_dead(node));
        assert_eq!(outer.await.unwrap_err(), JoinError::Killed);
        assert_eq!(spawn_in(node, async {}).await.unwrap_err(), JoinError::Killed);
        sleep(Duration::from_secs(2)).await;
    });
    assert_eq!(*seen.lock().unwrap(), ["dropped"]);
}

#[test]
fn a_task_that_kills_its_own_group_finishes_its_poll() {
    Simulation::new(1).run(async {
        let node = executor::new_group("n1");
        let (tx, rx) = oneshot::channel();
        let end = spawn_in(node, async move {
            executor::kill(executor::current());
            tx.send(()).unwrap();
            sleep(MS).await;
            panic!("this task is dead");
        });
        rx.await.unwrap();
        assert_eq!(end.await.unwrap_err(), JoinError::Killed);
        assert_eq!(executor::current(), WORLD);
    });
}

#[test]
fn a_paused_group_stands_still_and_catches_up() {
    let seen = Log::default();
    let inner = Arc::clone(&seen);
    let simulation = Simulation::new(1);
    simulation.run(async move {
        let node = executor::new_group("n1");
        let (tx, mut rx) = mpsc::unbounded_channel::<()>();
        let (a, b) = (Arc::clone(&inner), Arc::clone(&inner));
        spawn_in(node, async move {
            rx.recv().await;
            log(&a, "message");
        });
        spawn_in(node, async move {
            let start = SimInstant::now();
            sleep(5 * MS).await;
            log(&b, "timer");
            assert_eq!(start.elapsed(), 30 * MS, "the clock went on during the pause");
        });
        sleep(Duration::ZERO).await;
        executor::pause(node);
        tx.send(()).unwrap();
        sleep(30 * MS).await;
        assert!(inner.lock().unwrap().is_empty());
        executor::resume(node);
        sleep(Duration::ZERO).await;
    });
    assert_eq!(*seen.lock().unwrap(), ["message", "timer"]);
}

#[test]
fn a_clock_that_jumps_brings_its_groups_timers_forward() {
    Simulation::new(1).run(async {
        let node = executor::new_group("n1");
        let slept = spawn_in(node, async {
            let start = SimInstant::now();
            sleep(Duration::from_secs(10)).await;
            start.elapsed()
        });
        sleep(MS).await;
        executor::jump_clock(node, Duration::from_secs(9));
        let slept = slept.await.unwrap();
        assert_eq!((slept, executor::elapsed()), (Duration::from_secs(10), Duration::from_secs(1)));
    });
}

#[test]
fn random_numbers_come_from_the_seed() {
    use rand::Rng as _;
    let draw = |seed| Simulation::new(seed).run(async { SimRuntime::thread_rng().gen_range(0..u64::MAX) });
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}
