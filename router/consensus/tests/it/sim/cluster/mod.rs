//! A cluster of simulated routers: each has a disk that stays, and one life after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openraft::AsyncRuntime as _;
use rcs_consensus::store::{Owner, Pacing, Store};
use rcs_consensus::{Role, RouterId, Status, Timing};

pub(crate) use self::post::{Host, Part, Post, address};
use super::disk::{Disk, Handle};
use super::executor::{self, Group};
use super::invariants::Watch;
use super::ledger::{Ledger, Run, View};
use super::mistakes::Mistake;
use super::network::{Link, Network};
use super::runtime::{SimRuntime, spawn_in};

mod amnesia;
mod post;

/// How a router comes to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It makes the cluster, with the others of the same list.
    Form,
    /// It waits to be added.
    Join,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGKILL: what was written stays written.
    Kill,
    /// The machine loses its power: what was not synced may be lost.
    PowerOff,
}

struct Router {
    incarnation: u32,
    disk: Disk,
    way: Way,
    lives: u32,
    life: Option<Life>,
    /// What the router had applied when it ended in order.
    ended_with: Option<View>,
}

#[derive(Clone)]
struct Life {
    group: Group,
    /// Empty while the store is opened.
    part: Arc<Mutex<Option<Part>>>,
}

struct Inner {
    seed: u64,
    routers: BTreeMap<u32, Router>,
    /// The first routers' numbers and addresses.
    peers: BTreeMap<u32, String>,
    timing: Timing,
    mistake: Option<Mistake>,
}

/// The cluster; clones are the same cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Mutex<Inner>>,
    pub(crate) network: Network<Host>,
    pub(crate) watch: Watch,
}

impl Cluster {
    /// `first` routers that will make the cluster, and `spare` ones that may be added. None runs yet.
    pub(crate) fn new(
        seed: u64,
        first: u32,
        spare: u32,
        timing: Timing,
        mistake: Option<Mistake>,
    ) -> Cluster {
        let router = |number: u32| {
            let disk = Disk::new(seed ^ (u64::from(number) << 40));
            if mistake == Some(Mistake::AcknowledgedBeforeSync) {
                disk.skip_syncs(4);
            }
            let way = if number <= first { Way::Form } else { Way::Join };
            (
                number,
                Router { incarnation: number * 1_000, disk, way, lives: 0, life: None, ended_with: None },
            )
        };
        let inner = Inner {
            seed,
            routers: (1..=first + spare).map(router).collect(),
            peers: (1..=first).map(|number| (number, address(number))).collect(),
            timing,
            mistake,
        };
        let network = Network::new(seed ^ 0x006e_6574, Link::GOOD);
        Cluster { inner: Arc::new(Mutex::new(inner)), network, watch: Watch::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.inner().routers.keys().copied().collect()
    }

    pub(crate) fn disk(&self, number: u32) -> Disk {
        self.inner().routers[&number].disk.clone()
    }

    /// The id under which the router takes part.
    pub(crate) fn id(&self, number: u32) -> RouterId {
        RouterId { number, incarnation: self.inner().routers[&number].incarnation }
    }

    /// Whether a life of the router runs, or stands still.
    pub(crate) fn is_up(&self, number: u32) -> bool {
        self.inner().routers[&number].life.as_ref().is_some_and(|life| !executor::is_dead(life.group))
    }

    /// The group of the life that runs.
    pub(crate) fn group(&self, number: u32) -> Option<Group> {
        self.inner().routers[&number].life.as_ref().map(|life| life.group)
    }

    /// The router's consensus part, and the group that it runs in.
    pub(crate) fn part(&self, number: u32) -> Option<(Group, Part)> {
        let life = self.inner().routers[&number].life.clone()?;
        let part = life.part.lock().unwrap().clone()?;
        Some((life.group, part))
    }

    /// Begins a life of the router. Does nothing if one runs.
    pub(crate) fn start(&self, number: u32) {
        self.reap();
        let (group, name, part) = {
            let inner = &mut *self.inner();
            let router = inner.routers.get_mut(&number).unwrap();
            if router.life.is_some() {
                return;
            }
            router.lives += 1;
            let name = format!("n{number}#{}", router.lives);
            let group = executor::new_group(&name);
            let part = Arc::new(Mutex::new(None));
            router.life = Some(Life { group, part: Arc::clone(&part) });
            (group, name, part)
        };
        drop(spawn_in(group, self.clone().live(number, group, name, part)));
    }

    async fn live(self, number: u32, group: Group, name: String, seat: Arc<Mutex<Option<Part>>>) {
        let (timing, form, peers, disk, before) = {
            let inner = &mut *self.inner();
            let router = inner.routers.get_mut(&number).unwrap();
            let form = router.way == Way::Form;
            (inner.timing, form, inner.peers.clone(), router.disk.clone(), router.ended_with.take())
        };
        executor::note(format_args!("starts"));
        let post = Post { me: u64::from(number), network: self.network.clone(), watch: self.watch.clone() };
        let open = self.opening(number, name.clone());
        let part = match Part::start(post, timing, open).await {
            Ok(part) => part,
            Err(error) => {
                executor::note(format_args!("does not start: {error}"));
                // The power may have gone while the store was opened.
                if !disk.is_failing() && !executor::is_dead(group) {
                    self.watch.breaks(format!("stores open: {name} does not start: {error}"));
                }
                executor::kill(group);
                return;
            }
        };
        if let Some(before) = before {
            self.came_back(&name, before, part.look(Ledger::shown).unwrap_or_default());
        }
        self.network.plug(u64::from(number), group, Host(part.clone()));
        *seat.lock().unwrap() = Some(part.clone());
        let mut status = part.status();
        let forming = part.clone();
        drop(spawn_in(group, async move {
            if form {
                let formed = forming.form(&peers, |_| {}).await;
                executor::note(format_args!("{formed:?}"));
            }
        }));
        drop(part);
        loop {
            let now = status.borrow_and_update().clone();
            executor::note(format_args!(
                "{} term {} log {} applied {} runs {}",
                now.role.label(),
                now.term,
                now.last_log,
                now.applied,
                now.restarts
            ));
            self.watch.status(&name, &now);
            if status.changed().await.is_err() {
                return;
            }
        }
    }

    /// A router that ended in order shows at least what it showed then, before it heard of any other router.
    fn came_back(&self, name: &str, before: View, now: View) {
        if (now.index, now.len) < (before.index, before.len) {
            self.watch.breaks(format!(
                "committed is kept: {name} ended in order with {before:?}, and comes back with {now:?}"
            ));
        }
    }

    /// What each run of a life opens.
    fn opening(&self, number: u32, life: String) -> rcs_consensus::Open<SimRuntime, Ledger> {
        let inner = self.inner();
        let router = &inner.routers[&number];
        let owner = Owner { number, incarnation: router.incarnation, cluster: Some("sim".to_owned()) };
        let (disk, watch, mistake) = (router.disk.clone(), self.watch.clone(), inner.mistake);
        let rng = fastrand::Rng::with_seed(inner.seed ^ u64::from(number) ^ (u64::from(router.lives) << 8));
        let (rng, runs) = (Arc::new(Mutex::new(rng)), Mutex::new(0));
        let fsck = disk.clone();
        let paced = disk.clone();
        let handle: Handle = disk.open();
        let first = Mutex::new(Some(handle));
        Box::new(move || {
            let run = {
                let mut runs = runs.lock().unwrap();
                *runs += 1;
                Run { name: format!("{life}.{runs}"), watch: watch.clone(), mistake, rng: Arc::clone(&rng) }
            };
            // A life opens its own disk again, and never the disk of the life behind it.
            let handle = first.lock().unwrap().take().unwrap_or_else(|| fsck.open());
            let pace = paced.clone();
            let pacing = Pacing::Task(Arc::new(move || (pace.sync_time(), Duration::from_micros(20))));
            Ok((Store::on(handle, &life, &owner, pacing)?, Ledger::new(run)))
        })
    }

    /// Ends the router's life.
    pub(crate) fn end(&self, number: u32, how: End) {
        self.reap();
        let life = {
            let inner = &mut *self.inner();
            let router = inner.routers.get_mut(&number).unwrap();
            let Some(life) = router.life.take() else { return };
            executor::note(format_args!("n{number}: {how:?}"));
            // The disk goes first: the database writes when it is dropped.
            match how {
                End::Kill => router.disk.kill(),
                End::PowerOff => drop(router.disk.crash()),
            }
            life
        };
        self.bury(number, &life);
    }

    fn bury(&self, number: u32, life: &Life) {
        executor::kill(life.group);
        self.network.unplug(u64::from(number));
        drop(life.part.lock().unwrap().take());
        self.forget(number);
    }

    /// Lives that ended by themselves: in a power cut, or because the store was not opened.
    pub(crate) fn reap(&self) {
        let dead: Vec<(u32, Life)> = {
            let inner = &mut *self.inner();
            let is_dead =
                |router: &Router| router.life.as_ref().is_some_and(|life| executor::is_dead(life.group));
            let dead = inner.routers.iter_mut().filter(|(_, router)| is_dead(router));
            dead.filter_map(|(number, router)| {
                router.disk.crash();
                Some((*number, router.life.take()?))
            })
            .collect()
        };
        for (number, life) in dead {
            executor::note(format_args!("n{number} is found dead"));
            self.bury(number, &life);
        }
    }

    /// Ends the router in order, as operators do, and the machine stays up. Returns once it has ended.
    pub(crate) async fn stop(&self, number: u32) {
        let Some((group, part)) = self.part(number) else { return };
        let stopping = spawn_in(group, async move {
            let view = part.look(Ledger::shown);
            let was_well = part.status().borrow().restarts == 0 && view.is_some();
            part.stop().await;
            view.filter(|_| was_well)
        });
        let ended = SimRuntime::timeout(Duration::from_secs(5), stopping).await;
        let with = match ended {
            Ok(Ok(view)) if !self.disk(number).is_failing() => view,
            _ => None,
        };
        self.end(number, End::Kill);
        self.inner().routers.get_mut(&number).unwrap().ended_with = with;
    }

    /// The router gets an empty disk, and so a new id. It must not run.
    pub(crate) fn wipe(&self, number: u32) {
        let inner = &mut *self.inner();
        let again = inner.mistake == Some(Mistake::IdUsedAgain);
        let router = inner.routers.get_mut(&number).unwrap();
        assert!(router.life.is_none(), "a router that runs keeps its disk");
        router.disk.restore(Vec::new());
        router.incarnation += u32::from(!again);
        router.way = Way::Join;
        router.ended_with = None;
    }
}

/// The leader of the highest term, by its own word.
pub(crate) fn led(cluster: &Cluster) -> Option<Status> {
    let all = cluster.numbers().into_iter().filter_map(|number| cluster.part(number));
    let leaders =
        all.map(|(_, part)| part.status().borrow().clone()).filter(|status| status.role == Role::Leader);
    leaders.max_by_key(|status| status.term)
}
