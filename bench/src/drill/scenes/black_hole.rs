//! The network to a member swallows everything: in both directions, only towards it, only from it.
//!
//! Promised: as for a frozen member. When the hole closes, what was on its way arrives late, and must do no harm.

use rcs_cli::Failure;

use super::super::members::Members;
use super::super::proxy::{Sky, Weather};
use super::super::report::Findings;
use super::super::site::Site;
use super::Scope;
use super::trials::{Silence, silence_each};

/// Every way of being cut off.
const HOLES: [Weather; 3] = [
    Weather { inward: Sky::BLACK, outward: Sky::BLACK, ..Weather::CLEAR },
    Weather { inward: Sky::BLACK, ..Weather::CLEAR },
    Weather { outward: Sky::BLACK, ..Weather::CLEAR },
];

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    silence_each(CutOff { next: None }, members, scope, seed).await
}

struct CutOff {
    /// Which hole is the next; the site's dice say which is the first.
    next: Option<usize>,
}

impl Silence for CutOff {
    const FAULT: &'static str = "black_hole";

    fn begin(&mut self, site: &mut Site, member: usize) {
        let hole = self.next.unwrap_or_else(|| site.dice.usize(..HOLES.len()));
        site.members[member].proxy().set_weather(HOLES[hole]);
        self.next = Some((hole + 1) % HOLES.len());
    }

    fn end(&mut self, site: &mut Site, member: usize) {
        site.members[member].proxy().set_weather(Weather::CLEAR);
    }
}
