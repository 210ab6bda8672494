//! The executor: tasks, timers and clocks of one simulated world, on one thread, without real time.
//!
//! The order of everything is fixed: ready tasks run first in, first out, until none is ready; then exactly one timer fires, the
//! one with the smallest (time, number). Tasks that one step makes ready run by number, whatever the order of their waking: tokio's
//! watch channels wake their receivers in a random order. A timer is due when it has fired, never because the clock has passed it. So the two
//! sides of a `select!` over a timer and a channel are not ready together, and the random choice that tokio's `select!` makes
//! (which cannot be seeded without `--cfg tokio_unstable`) has nothing to choose from.
//!
//! Tasks belong to groups. A group is one life of one process: it can be paused, its clock can jump, and when it is killed its
//! tasks are dropped where they stand. A task belongs to the group of whoever spawned it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use self::groups::kill_now;
pub(crate) use self::groups::{current, is_dead, jump_clock, kill, new_group, pause, resume};
use self::timers::fire_next_timer;
pub(crate) use self::timers::{Firing, forget, poll_firing, start_timer, timer_number};
use super::trace::Trace;

mod groups;
mod timers;

/// More polls than this without a timer between them: some task wakes itself for ever.
const POLLS_WITHOUT_TIME_MAX: u64 = 2_000_000;
/// Where clocks start, in nanoseconds. Not 0, because code may ask for the moment an hour ago.
const START: u64 = 1_000_000 * 1_000_000_000;

/// One life of one simulated process. Never used twice: a restarted node is a new group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group(usize);

/// Whoever drives the simulation; also what is on the wire. Never dies.
pub(crate) const WORLD: Group = Group(0);

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    static WORLDS: RefCell<Option<World>> = const { RefCell::new(None) };
}

struct World {
    now: u64,
    last_task: u64,
    last_timer: u64,
    /// A task that is being polled has no future here.
    tasks: BTreeMap<u64, Task>,
    timers: BTreeMap<(u64, u64), Timer>,
    groups: Vec<State>,
    current: Group,
    ready: VecDeque<u64>,
    woken: Woken,
    rng: fastrand::Rng,
    trace: Trace,
    panics: Vec<String>,
    polls: u64,
    /// Groups to kill when the poll that is under way returns.
    doomed: Vec<Group>,
}

struct Task {
    group: Group,
    future: Option<BoxFuture>,
    waker: Arc<TaskWaker>,
}

struct State {
    name: String,
    life: Life,
    /// How far this group's clock is ahead of the world's, in nanoseconds.
    ahead: u64,
    /// What became ready or due during a pause, in order.
    held_tasks: Vec<u64>,
    held_timers: Vec<(u64, Timer)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Life {
    Running,
    Paused,
    /// To be killed when the poll that is under way returns.
    Doomed,
    Dead,
}

/// Tasks that became ready in this step. Outside of the world, because wakers are called while the world is borrowed.
type Woken = Arc<Mutex<Vec<u64>>>;

struct TaskWaker {
    task: u64,
    queued: AtomicBool,
    woken: Woken,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.woken.lock().unwrap().push(self.task);
        }
    }
}

struct Timer {
    group: Group,
    firing: Arc<Mutex<Firing>>,
}

fn with<T>(f: impl FnOnce(&mut World) -> T) -> T {
    WORLDS.with_borrow_mut(|world| f(world.as_mut().expect("a simulation runs on this thread")))
}

/// The simulation of one seed on this thread.
pub(crate) struct Simulation(());

impl Simulation {
    /// # Panics
    /// If one runs on this thread.
    pub(crate) fn new(seed: u64) -> Simulation {
        let world = World {
            now: START,
            last_task: 0,
            last_timer: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            groups: vec![State::new("world")],
            current: WORLD,
            ready: VecDeque::new(),
            woken: Woken::default(),
            rng: fastrand::Rng::with_seed(seed),
            trace: Trace::new(),
            panics: Vec::new(),
            polls: 0,
            doomed: Vec::new(),
        };
        WORLDS.with_borrow_mut(|slot| {
            assert!(slot.is_none(), "one simulation a thread");
            *slot = Some(world);
        });
        Simulation(())
    }

    /// Runs `main` in the world's group until it returns.
    ///
    /// # Panics
    /// If `main` panics, if nothing can ever happen before it returns, or if something happens for ever without time passing.
    pub(crate) fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> T {
        let result = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&result);
        spawn_boxed(
            WORLD,
            Box::pin(async move {
                let value = main.await;
                *slot.lock().unwrap() = Some(value);
            }),
        );
        loop {
            while let Some(task) = next_ready() {
                poll(task);
                kill_doomed();
            }
            if let Some(value) = result.lock().unwrap().take() {
                return value;
            }
            assert!(
                fire_next_timer(),
                "nothing is ready, no timer runs: the simulation would stand still for ever"
            );
        }
    }

    /// The run's fingerprint and the number of its lines.
    pub(crate) fn fingerprint(&self) -> (u64, u64) {
        with(|w| w.trace.fingerprint())
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        let groups = with(|w| w.groups.len());
        for group in (0..groups).rev() {
            kill(Group(group));
        }
        // Outside of the borrow: what a world holds may look at its thread's world when it is dropped.
        let world = WORLDS.with_borrow_mut(Option::take);
        drop(world);
    }
}

impl World {
    fn queue_woken(&mut self) {
        let mut woken = self.woken.lock().unwrap();
        woken.sort_unstable();
        self.ready.extend(woken.drain(..));
    }
}

impl State {
    fn new(name: &str) -> State {
        State {
            name: name.to_owned(),
            life: Life::Running,
            ahead: 0,
            held_tasks: Vec::new(),
            held_timers: Vec::new(),
        }
    }
}

/// The next task of a group that runs. Tasks of paused groups are put aside on the way.
fn next_ready() -> Option<u64> {
    with(|w| {
        w.queue_woken();
        loop {
            let task = w.ready.pop_front()?;
            let Some(group) = w.tasks.get(&task).map(|t| t.group) else { continue };
            let state = &mut w.groups[group.0];
            if state.life == Life::Paused {
                state.held_tasks.push(task);
            } else {
                return Some(task);
            }
        }
    })
}

fn poll(id: u64) {
    let Some((mut future, waker, group)) = with(|w| {
        w.polls += 1;
        assert!(w.polls < POLLS_WITHOUT_TIME_MAX, "tasks run for ever without time passing");
        w.trace.mix(id);
        let task = w.tasks.get_mut(&id)?;
        let future = task.future.take()?;
        let (waker, group) = (Arc::clone(&task.waker), task.group);
        w.current = group;
        Some((future, waker, group))
    }) else {
        return;
    };
    waker.queued.store(false, Ordering::Relaxed);
    let done = future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))).is_ready();
    let future = with(|w| {
        if done || w.groups[group.0].life == Life::Dead {
            w.tasks.remove(&id);
            Some(future)
        } else {
            if let Some(task) = w.tasks.get_mut(&id) {
                task.future = Some(future);
            }
            None
        }
    });
    drop(future);
    with(|w| w.current = WORLD);
}

fn kill_doomed() {
    while let Some(group) = with(|w| w.doomed.pop()) {
        kill_now(group);
    }
}

/// Spawns into `group`. The task of a dead group is dropped at once.
pub(super) fn spawn_boxed(group: Group, future: BoxFuture) {
    let refused = with(|w| {
        if w.groups[group.0].life == Life::Dead {
            return Some(future);
        }
        w.last_task += 1;
        let task = w.last_task;
        let waker = Arc::new(TaskWaker { task, queued: AtomicBool::new(true), woken: Arc::clone(&w.woken) });
        w.woken.lock().unwrap().push(task);
        w.tasks.insert(task, Task { group, future: Some(future), waker });
        None
    });
    drop(refused);
}

/// The clock of the group that runs, in nanoseconds.
pub(super) fn group_now() -> u64 {
    with(|w| w.now + w.groups[w.current.0].ahead)
}

/// The time since the simulation began, by the world's clock.
pub(crate) fn elapsed() -> Duration {
    with(|w| Duration::from_nanos(w.now - START))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// A random number of the run's seed.
pub(super) fn random<T>(draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
    with(|w| draw(&mut w.rng))
}

/// A step of a part that works without a simulation as well: nothing is traced then.
pub(super) fn step(what: u64) {
    WORLDS.with_borrow_mut(|world| world.iter_mut().for_each(|w| w.trace.mix(what)));
}

/// A line of the trace, in the name of the group that runs. Nothing is traced without a simulation.
pub(crate) fn note(what: fmt::Arguments<'_>) {
    WORLDS.with_borrow_mut(|world| {
        if let Some(w) = world {
            let (now, name) = (w.now - START, w.groups[w.current.0].name.as_str());
            w.trace.line(now, name, what);
        }
    });
}

/// Keeps the words of a panic in a task.
pub(super) fn keep_panic(words: String) {
    with(|w| {
        let words = format!("{}: {words}", w.groups[w.current.0].name);
        w.trace.line(w.now - START, "panic", format_args!("{words}"));
        w.panics.push(words);
    });
}

/// Panics of tasks so far, each with the name of its group.
pub(crate) fn panics() -> Vec<String> {
    with(|w| w.panics.clone())
}
