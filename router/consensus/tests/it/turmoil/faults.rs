//! What goes wrong in a run, drawn from the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use ::turmoil::Sim;

use super::host::{End, Site};
use super::run::note;

/// How long a message takes at most when nothing is wrong.
pub(super) const FAST: Duration = Duration::from_millis(5);

/// The lines between routers as the faults have left them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// All messages are lost, both ways.
    Cut,
    /// All messages are lost from the first router to the second.
    OneWay(u32, u32),
    /// All messages wait, both ways.
    Held,
}

/// Draws faults, and counts.
pub(super) struct Faults {
    rng: fastrand::Rng,
    sites: Vec<Site>,
    /// The lines that are not as they should be, by the numbers of their ends.
    lines: BTreeMap<(u32, u32), Line>,
    /// The routers that are down, and when each comes back.
    down: BTreeMap<u32, Duration>,
    /// When the next fault comes.
    next: Duration,
    pub(super) kills: u64,
    pub(super) blackouts: u64,
}

impl Faults {
    pub(super) fn new(rng: fastrand::Rng, sites: Vec<Site>) -> Self {
        let (lines, down) = (BTreeMap::new(), BTreeMap::new());
        Self { rng, sites, lines, down, next: Duration::ZERO, kills: 0, blackouts: 0 }
    }

    /// Makes the faults of this moment.
    pub(super) fn make(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        let back: Vec<u32> =
            self.down.iter().filter(|(_, back)| **back <= now).map(|(number, _)| *number).collect();
        for number in back {
            self.bring_back(sim, number);
        }
        if now < self.next {
            return;
        }
        self.next = now + Duration::from_millis(self.rng.u64(100..1_200));
        let (one, other) = self.any_two();
        match self.rng.u8(..26) {
            0..=2 => self.end(sim, one, End::Kill),
            3 | 4 => self.end(sim, one, End::PowerOff),
            5 => {
                self.blackouts += 1;
                for number in self.numbers() {
                    self.end(sim, number, End::PowerOff);
                }
            }
            6 | 7 => self.spoil(sim, Line::Cut, one, other),
            8 => {
                for other in self.numbers().into_iter().filter(|other| *other != one) {
                    self.spoil(sim, Line::Cut, one, other);
                }
            }
            9..=11 => self.spoil(sim, Line::OneWay(one, other), one, other),
            12 | 13 => self.spoil(sim, Line::Held, one, other),
            14 => self.slow(sim, FAST),
            15 => {
                let slow = Duration::from_millis(self.rng.u64(10..250));
                self.slow(sim, slow);
            }
            16..=18 => self.mend(sim, one, other),
            _ => self.mend_all(sim),
        }
    }

    /// Ends all faults: every router runs, all lines are good and fast.
    pub(super) fn heal(&mut self, sim: &mut Sim<'_>) {
        self.mend_all(sim);
        self.slow(sim, FAST);
        for number in self.down.keys().copied().collect::<Vec<_>>() {
            self.bring_back(sim, number);
        }
    }

    fn numbers(&self) -> Vec<u32> {
        self.sites.iter().map(Site::number).collect()
    }

    fn any_two(&mut self) -> (u32, u32) {
        let mut numbers = self.numbers();
        self.rng.shuffle(&mut numbers);
        (numbers[0], numbers[1])
    }

    fn site(&self, number: u32) -> &Site {
        self.sites.iter().find(|site| site.number() == number).expect("a router of the run")
    }

    fn end(&mut self, sim: &mut Sim<'_>, number: u32, how: End) {
        if self.down.contains_key(&number) {
            return;
        }
        note(sim, format_args!("n{number}: {how:?}"));
        let name = self.site(number).name();
        // A machine without power says goodbye to nobody.
        let good: Vec<String> = match how {
            End::Kill => Vec::new(),
            End::PowerOff => {
                let others =
                    self.sites.iter().filter(|other| !self.lines.contains_key(&ends(number, other.number())));
                others.filter(|other| other.number() != number).map(Site::name).collect()
            }
        };
        for other in &good {
            sim.partition(name.as_str(), other.as_str());
        }
        self.site(number).end(how);
        sim.crash(name.as_str());
        for other in &good {
            sim.repair(name.as_str(), other.as_str());
        }
        self.kills += 1;
        let after = if self.rng.bool() { self.rng.u64(1..300) } else { self.rng.u64(300..3_000) };
        self.down.insert(number, sim.elapsed() + Duration::from_millis(after));
    }

    fn bring_back(&mut self, sim: &mut Sim<'_>, number: u32) {
        note(sim, format_args!("n{number}: starts"));
        self.down.remove(&number);
        sim.bounce(self.site(number).name());
    }

    fn spoil(&mut self, sim: &mut Sim<'_>, line: Line, one: u32, other: u32) {
        self.mend(sim, one, other);
        note(sim, format_args!("n{one} and n{other}: {line:?}"));
        let (a, b) = (self.site(one).name(), self.site(other).name());
        match line {
            Line::Cut => sim.partition(a, b),
            Line::OneWay(..) => sim.partition_oneway(a, b),
            Line::Held => sim.hold(a, b),
        }
        self.lines.insert(ends(one, other), line);
    }

    fn mend(&mut self, sim: &mut Sim<'_>, one: u32, other: u32) {
        let Some(line) = self.lines.remove(&ends(one, other)) else { return };
        note(sim, format_args!("n{one} and n{other}: good again"));
        match line {
            Line::Cut => sim.repair(self.site(one).name(), self.site(other).name()),
            Line::OneWay(from, to) => sim.repair_oneway(self.site(from).name(), self.site(to).name()),
            Line::Held => sim.release(self.site(one).name(), self.site(other).name()),
        }
    }

    fn mend_all(&mut self, sim: &mut Sim<'_>) {
        for (one, other) in self.lines.keys().copied().collect::<Vec<_>>() {
            self.mend(sim, one, other);
        }
    }

    fn slow(&mut self, sim: &mut Sim<'_>, most: Duration) {
        note(sim, format_args!("messages take {most:?} at most"));
        sim.set_max_message_latency(most);
    }
}

/// The ends of a line, the smaller number first.
fn ends(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}
