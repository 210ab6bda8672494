//! Members are frozen with SIGSTOP, one after the other: alive for the kernel, with open sockets, and without a word.
//!
//! Promised: within 10 s a frozen member gets no calls, reads that it had are answered by others, and a change that it had ends
//! as "outcome unknown", whether or not it runs when the member thaws.

use rcs_cli::Failure;

use super::super::members::Members;
use super::super::report::Findings;
use super::super::site::Site;
use super::Scope;
use super::trials::{Silence, silence_each};

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    silence_each(Frozen, members, scope, seed).await
}

struct Frozen;

impl Silence for Frozen {
    const FAULT: &'static str = "freeze";

    fn begin(&mut self, site: &mut Site, member: usize) {
        site.members[member].freeze();
    }

    fn end(&mut self, site: &mut Site, member: usize) {
        site.members[member].thaw();
    }
}
