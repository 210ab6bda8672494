//! Callers of a cluster: some at each router, and at no other. A caller whose router is killed loses its sockets; no other caller may
//! notice anything.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::routers::{Joins, Routers};
use super::{LOOK_EVERY, STATE_BOUND};
use crate::drill::calls::Version;
use crate::drill::load::{Load, Plan};
use crate::drill::promise::Promise;
use crate::drill::proxy::Dialler;
use crate::drill::report::Findings;
use crate::drill::site::Site;
use crate::drill::tally::{Figures, Tally};

/// The calls, by the place of their router.
pub(crate) struct Callers {
    loads: Vec<Option<Load>>,
    /// Calls of callers whose router was never killed.
    served: Tally,
    /// Calls of callers up to the death of their router, and from there on.
    killed: Tally,
    /// Calls that had not ended well before their router was killed.
    failed_before: u64,
    /// What the death of another router may cost.
    spared: Spared,
}

/// What callers of routers that live are spared when a router dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spared {
    /// Everything: no call goes through another router.
    All,
    /// Everything but unknown outcomes and cut searches of calls that were at a member in client mode of the dead router.
    Failures,
}

impl Spared {
    /// How many of these calls failed that had to be spared.
    fn failed(self, figures: &Figures) -> u64 {
        let not_ok = figures.calls - figures.ok;
        match self {
            Self::All => not_ok,
            Self::Failures => not_ok - figures.unknown - figures.streams_cut,
        }
    }
}

impl Callers {
    /// Callers that call from their start on.
    pub(crate) fn of(site: &Site<Routers>) -> Self {
        let spared = match site.kind().dialler() {
            Dialler::Router => Spared::All,
            Dialler::Member => Spared::Failures,
        };
        Self {
            loads: Vec::new(),
            served: Tally::default(),
            killed: Tally::default(),
            failed_before: 0,
            spared,
        }
    }

    /// Starts all routers, which make a cluster of them, and callers at each router once it has caught up.
    pub(crate) async fn at_all(site: &mut Site<Routers>, routers: usize) -> Result<Self, Failure> {
        for place in 0..routers {
            site.router_mut().start(place, Joins::Peers)?;
        }
        Self::at_all_that_run(site, routers).await
    }

    /// Starts callers at each router once the router has caught up.
    pub(crate) async fn at_all_that_run(site: &mut Site<Routers>, routers: usize) -> Result<Self, Failure> {
        let mut callers = Self::of(site);
        for place in 0..routers {
            site.router().until_caught_up(place).await?;
            callers.start(site, place).await?;
        }
        Ok(callers)
    }

    /// Callers of the router at this place begin.
    pub(crate) async fn start(&mut self, site: &mut Site<Routers>, place: usize) -> Result<(), Failure> {
        let plan = Plan { sessions: 1, workers: 3, pause: Duration::from_millis(50), ..Plan::default() };
        let port = site.router().port(place)?;
        let end = Instant::now() + STATE_BOUND;
        // A router that has just started follows the log of its cluster first, and on a machine without time that takes its time.
        let load = loop {
            match Load::start_at(site, &plan, Version::Only, port).await {
                Err(_) if Instant::now() < end => sleep(LOOK_EVERY).await,
                load => break load?,
            }
        };
        if self.loads.len() <= place {
            self.loads.resize_with(place + 1, || None);
        }
        self.loads[place] = Some(load);
        Ok(())
    }

    /// The router at this place is about to be killed: until now nothing may have failed.
    pub(crate) fn before_kill(&mut self, place: usize) {
        let loads = self.loads.get(place).into_iter().flatten();
        self.failed_before += loads.map(|load| self.spared.failed(&load.figures())).sum::<u64>();
    }

    /// The router at this place was killed.
    pub(crate) async fn after_kill(&mut self, place: usize) {
        if let Some(load) = self.loads.get_mut(place).and_then(Option::take) {
            self.killed.merge(load.finish().await);
        }
    }

    /// Ends all, holds them against the journals, and judges them.
    pub(crate) async fn finish(mut self, site: &Site<Routers>) -> Findings {
        for load in self.loads.drain(..).flatten() {
            self.served.merge(load.finish().await);
        }
        site.compare(&mut self.served).await;
        site.compare(&mut self.killed).await;
        let (served, killed) = (self.served.figures.clone(), self.killed.figures.clone());
        let mut findings = Findings::of(self.served, Promise::EveryCallServed);
        let failed = self.spared.failed(&served) + self.failed_before;
        findings.figure("calls_failed_at_survivors", failed);
        findings.require(failed == 0, format!("{failed} calls failed at routers that nobody killed"));
        if killed.calls > 0 {
            findings.include("at_killed_routers", Findings::of(self.killed, Promise::ClearErrors));
        }
        findings
    }
}
