//! What most tests stand on: a group of two members behind a router.

use std::path::PathBuf;

use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::Rcs;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, FakeMember, Manners};
use rcs_rig::workspace;
use tempfile::TempDir;

/// The group of every site.
pub(crate) const GROUP: &str = "g";
/// Its members, in order.
pub(crate) const MEMBERS: [&str; 2] = ["n1", "n2"];

/// Two real Java RCS; routers come and go in front of them.
pub(crate) struct JavaSite {
    /// The members, in order.
    pub(crate) members: [Rcs; 2],
    /// Where the files of this site are.
    pub(crate) scratch: TempDir,
}

impl JavaSite {
    pub(crate) fn start(java: &Java) -> Self {
        Self { members: MEMBERS.map(|name| Rcs::start(java, name)), scratch: workspace::scratch() }
    }

    /// A router with both members up.
    pub(crate) fn router(&self, algorithm: &str, sockets: u32) -> Router {
        let router = Router::start(&self.provider(algorithm, sockets));
        router.await_up(GROUP, &MEMBERS);
        router
    }

    /// [`JavaSite::router`] with more options.
    pub(crate) fn router_with(&self, algorithm: &str, sockets: u32, options: &[&str]) -> Router {
        let router = Router::start_with(&self.provider(algorithm, sockets), options);
        router.await_up(GROUP, &MEMBERS);
        router
    }

    pub(crate) fn provider(&self, algorithm: &str, sockets: u32) -> PathBuf {
        let mut provider = Provider::new();
        for member in &self.members {
            provider = provider.server(member.member(), member.port(), sockets);
        }
        provider.group(GROUP, algorithm, &MEMBERS).write(self.scratch.path())
    }

    pub(crate) fn journal(&self, name: &str) -> Journal {
        Journal::new(self.scratch.path(), name)
    }
}

/// Two scripted members behind a router.
pub(crate) struct ScriptedSite {
    pub(crate) members: [FakeMember; 2],
    pub(crate) router: Router,
    _scratch: TempDir,
}

impl ScriptedSite {
    /// Both members up.
    pub(crate) fn start(algorithm: &str, sockets: u32) -> Self {
        Self::start_with(algorithm, sockets, &[])
    }

    /// The same, with more options of the router.
    pub(crate) fn start_with(algorithm: &str, sockets: u32, options: &[&str]) -> Self {
        let members = MEMBERS.map(|name| FakeMember::listen(name, Manners::Polite));
        let scratch = workspace::scratch();
        let router = Router::start_with(&scripted_provider(&scratch, algorithm, sockets, &members), options);
        router.await_up(GROUP, &MEMBERS);
        Self { members, router, _scratch: scratch }
    }

    /// A scripted IDM of the group.
    pub(crate) fn idm(&self, sockets: usize) -> FakeIdm {
        FakeIdm::connect(self.router.listen(), &format!("/openicf/{GROUP}"), sockets)
    }
}

pub(crate) fn scripted_provider(
    scratch: &TempDir,
    algorithm: &str,
    sockets: u32,
    members: &[FakeMember; 2],
) -> PathBuf {
    let mut provider = Provider::new();
    for (name, member) in MEMBERS.iter().zip(members) {
        provider = provider.server(name, member.port(), sockets);
    }
    provider.group(GROUP, algorithm, &MEMBERS).write(scratch.path())
}
