//! What goes wrong in a run, drawn from the seed.

use std::time::Duration;

use rcs_consensus::Role;

use super::cluster::{Cluster, End};
use super::disk::SyncFault;
use super::executor;
use super::lost_disk::LostDisk;
use super::network::Link;
use super::runtime::{sleep, spawn_in};

/// Draws faults, and counts.
pub(crate) struct Faults {
    pub(crate) cluster: Cluster,
    pub(crate) rng: fastrand::Rng,
    pub(crate) kills: u64,
    pub(crate) blackouts: u64,
    /// One disk is lost at a time, or a majority may be.
    pub(crate) lost: Option<LostDisk>,
}

impl Faults {
    /// Makes faults for about `time`. Routers that were ended may be down when it returns, and links cut.
    pub(crate) async fn run(&mut self, time: Duration) {
        let end = executor::elapsed() + time;
        self.pace_disks();
        while executor::elapsed() < end && self.cluster.watch.broken().is_none() {
            sleep(Duration::from_millis(self.rng.u64(20..700))).await;
            self.cluster.reap();
            let number = self.any();
            match self.rng.u8(..28) {
                0..=2 => self.down(number, End::Kill),
                3..=5 => self.down(number, End::PowerOff),
                6 => {
                    self.after_next_write().await;
                    self.blackout();
                }
                7 => self.cut_power(number),
                8 => self.blackout(),
                9 => self.stop(number).await,
                10 => self.pause(number),
                11 => self.jump(number),
                12 | 13 => self.cut(number),
                14 | 15 => self.network().heal(),
                16 => {
                    let usual = if self.rng.bool() { Link::BAD } else { Link::GOOD };
                    self.network().set_usual(usual);
                }
                17 => self.pace_disks(),
                18 => self.fill(number),
                19 => self.fail(number),
                20 => self.amid_election().await,
                21 => self.two_candidates().await,
                22 if self.lost.as_ref().is_none_or(LostDisk::is_replaced) => {
                    self.lost = LostDisk::new(&self.cluster, number).or(self.lost.take());
                }
                _ => self.start_one(),
            }
        }
    }

    /// Ends all faults: everything runs, nothing is cut, full, slow or paused.
    pub(crate) fn heal(&mut self) {
        executor::note(format_args!("all faults end"));
        self.network().heal();
        self.network().set_usual(Link::GOOD);
        for number in self.cluster.numbers() {
            let disk = self.cluster.disk(number);
            if disk.is_failing() {
                // After a failed sync a router stays down until the machine was started again.
                self.cluster.end(number, End::PowerOff);
            }
            disk.heal();
            if let Some(group) = self.cluster.group(number) {
                executor::resume(group);
            }
            self.cluster.start(number);
        }
    }

    fn network(&self) -> &super::network::Network<super::cluster::Host> {
        &self.cluster.network
    }

    fn any(&mut self) -> u32 {
        let numbers = self.cluster.numbers();
        numbers[self.rng.usize(..numbers.len())]
    }

    fn down(&mut self, number: u32, how: End) {
        if self.cluster.is_up(number) {
            self.cluster.end(number, how);
            self.kills += 1;
            self.start_later(number);
        }
    }

    /// A router that is down comes back soon, later, or when `start_one` finds it.
    fn start_later(&mut self, number: u32) {
        let after = match self.rng.u8(..4) {
            0 => Duration::from_millis(self.rng.u64(..300)),
            1 | 2 => Duration::from_millis(self.rng.u64(300..5_000)),
            _ => return,
        };
        let cluster = self.cluster.clone();
        drop(spawn_in(executor::WORLD, async move {
            sleep(after).await;
            cluster.start(number);
        }));
    }

    fn start_one(&mut self) {
        let down: Vec<u32> =
            self.cluster.numbers().into_iter().filter(|number| !self.cluster.is_up(*number)).collect();
        if !down.is_empty() {
            self.cluster.start(down[self.rng.usize(..down.len())]);
        }
    }

    /// Waits until a client is told of a write, but not for ever: that is when a write that is not on the disk would be lost.
    pub(super) async fn after_next_write(&mut self) {
        let before = self.cluster.watch.counts().0;
        for _ in 0..300 {
            if self.cluster.watch.counts().0 > before {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits for an election, but not for ever, and ends the routers that were asked for their vote: each is back before the election is
    /// over, and must know whom it has voted for.
    async fn amid_election(&mut self) {
        for _ in 0..500 {
            let is_candidate = |number: &u32| {
                self.cluster
                    .part(*number)
                    .is_some_and(|(_, part)| part.status().borrow().role == Role::Candidate)
            };
            let numbers = self.cluster.numbers();
            if let Some(candidate) = numbers.iter().copied().find(is_candidate) {
                sleep(Duration::from_millis(self.rng.u64(1..30))).await;
                for number in
                    numbers.into_iter().filter(|number| *number != candidate && self.cluster.is_up(*number))
                {
                    self.cluster.end(number, End::PowerOff);
                    self.kills += 1;
                    self.cluster.start(number);
                }
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn blackout(&mut self) {
        self.blackouts += 1;
        for number in self.cluster.numbers() {
            self.cluster.end(number, End::PowerOff);
            if self.rng.u8(..8) > 0 {
                let after = Duration::from_millis(self.rng.u64(..1_500));
                let cluster = self.cluster.clone();
                drop(spawn_in(executor::WORLD, async move {
                    sleep(after).await;
                    cluster.start(number);
                }));
            }
        }
    }

    /// The power goes in the middle of a transaction.
    fn cut_power(&mut self, number: u32) {
        if let Some(group) = self.cluster.group(number) {
            self.cluster.disk(number).cut_after(self.rng.u64(..40), Some(group));
            self.kills += 1;
            self.start_later(number);
        }
    }

    async fn stop(&mut self, number: u32) {
        if self.cluster.is_up(number) {
            executor::note(format_args!("n{number} is stopped in order"));
            self.cluster.stop(number).await;
            self.start_later(number);
        }
    }

    fn pause(&mut self, number: u32) {
        let Some(group) = self.cluster.group(number) else { return };
        executor::note(format_args!("n{number} is paused"));
        executor::pause(group);
        let time = Duration::from_millis(self.rng.u64(50..5_000));
        drop(spawn_in(executor::WORLD, async move {
            sleep(time).await;
            executor::resume(group);
        }));
    }

    fn jump(&mut self, number: u32) {
        if let Some(group) = self.cluster.group(number) {
            executor::note(format_args!("the clock of n{number} jumps"));
            executor::jump_clock(group, Duration::from_millis(self.rng.u64(50..30_000)));
        }
    }

    fn cut(&mut self, number: u32) {
        let way = self.rng.u8(..4);
        let other = self.any();
        executor::note(format_args!("links of n{number} are cut: {way}, {other}"));
        let network = self.cluster.network.clone();
        for peer in self.cluster.numbers().into_iter().filter(|peer| *peer != number) {
            let (from, to) = (u64::from(number), u64::from(peer));
            if matches!(way, 0 | 1) || (way == 2 && peer == other) {
                network.cut(from, to);
            }
            if matches!(way, 0 | 3) || (way == 2 && peer == other) {
                network.cut(to, from);
            }
        }
    }

    fn pace_disks(&mut self) {
        for number in self.cluster.numbers() {
            let (least, most) =
                [(200, 2_000), (200, 4_000), (1_000, 20_000), (20_000, 100_000)][self.rng.usize(..4)];
            self.cluster.disk(number).set_sync_us(least, most);
        }
    }

    fn fill(&mut self, number: u32) {
        executor::note(format_args!("the disk of n{number} is full"));
        let disk = self.cluster.disk(number);
        disk.fill(self.rng.u64(..200_000));
        let time = Duration::from_millis(self.rng.u64(200..6_000));
        drop(spawn_in(executor::WORLD, async move {
            sleep(time).await;
            disk.fill(u64::MAX);
        }));
    }

    /// Syncs fail; some time later somebody mends the disk and starts the machine again.
    fn fail(&mut self, number: u32) {
        let how = if self.rng.bool() { SyncFault::Once } else { SyncFault::ForGood };
        executor::note(format_args!("the disk of n{number} fails: {how:?}"));
        self.cluster.disk(number).fail_sync(how);
        let time = Duration::from_millis(self.rng.u64(100..6_000));
        let cluster = self.cluster.clone();
        drop(spawn_in(executor::WORLD, async move {
            sleep(time).await;
            cluster.end(number, End::PowerOff);
            cluster.start(number);
        }));
    }
}
