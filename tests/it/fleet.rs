//! Any number of scripted members in one group behind a router.

use std::path::PathBuf;
use std::time::Duration;

use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, FakeMember, Frame, Manners};
use rcs_rig::wait::wait_for;
use rcs_rig::workspace;
use tempfile::TempDir;

use crate::site::GROUP;

/// Longest wait for a call to reach any member.
const ASKED_BOUND: Duration = Duration::from_secs(5);

/// Members `n1` to `nN`, in order, all up at the start.
pub(crate) struct Fleet {
    pub(crate) members: Vec<FakeMember>,
    pub(crate) router: Router,
    _scratch: TempDir,
}

impl Fleet {
    pub(crate) fn start(members: usize, algorithm: &str, sockets: u32) -> Self {
        let members: Vec<FakeMember> =
            (0..members).map(|at| FakeMember::listen(&name(at), Manners::Polite)).collect();
        let scratch = workspace::scratch();
        let router = Router::start(&document(&scratch, algorithm, sockets, &members));
        let fleet = Self { members, router, _scratch: scratch };
        fleet.await_up(fleet.members.len());
        fleet
    }

    /// Waits until so many members are up.
    pub(crate) fn await_up(&self, members: usize) {
        rcs_rig::wait::wait_until(&format!("{members} members up"), Duration::from_secs(15), || {
            self.up() >= members
        });
    }

    /// How many members are up.
    pub(crate) fn up(&self) -> usize {
        self.router.metrics().sum("rcs_member_up", &[("group", GROUP)]) as usize
    }

    /// Calls that the router holds.
    pub(crate) fn in_flight(&self) -> usize {
        self.router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]) as usize
    }

    /// A scripted IDM of the group.
    pub(crate) fn idm(&self, sockets: usize) -> FakeIdm {
        FakeIdm::connect(self.router.listen(), &path(), sockets)
    }

    /// The next call that reaches any member, and that member's number.
    #[track_caller]
    pub(crate) fn asked(&mut self, reason: &str) -> (usize, Frame) {
        wait_for(reason, ASKED_BOUND, || self.asked_now())
    }

    /// A call that has reached any member by now.
    pub(crate) fn asked_now(&mut self) -> Option<(usize, Frame)> {
        let looks =
            self.members.iter_mut().map(|m| m.inbox.find(Duration::ZERO, |f| f.operation().is_some()));
        looks.enumerate().find_map(|(at, call)| Some((at, call?)))
    }
}

/// The way in of the group.
pub(crate) fn path() -> String {
    format!("/openicf/{GROUP}")
}

/// The name of member number `at`, from 0.
pub(crate) fn name(at: usize) -> String {
    format!("n{}", at + 1)
}

/// A document with these members in one group.
pub(crate) fn document(scratch: &TempDir, algorithm: &str, sockets: u32, members: &[FakeMember]) -> PathBuf {
    let names: Vec<String> = (0..members.len()).map(name).collect();
    let servers = names.iter().zip(members);
    let provider = servers.fold(Provider::new(), |p, (name, member)| p.server(name, member.port(), sockets));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    provider.group(GROUP, algorithm, &names).write(scratch.path())
}
