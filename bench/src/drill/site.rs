//! The place of a drill: members behind proxies, a router in front of them, and files that go away with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_rig::provider::Provider;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::GROUP;
use super::idm::{self, SharedIdm};
use super::members::{Member, Members};
use super::proxy::Dialler;
use super::report::Findings;
use super::router::Router;
use super::tally::Tally;

/// The password of the accounts of a Java journal.
pub(crate) const LOGIN_PASSWORD: &str = "drill";
/// For callers that say nothing of it, as the Java IDM: what the others give their calls.
const DEADLINES: &str = "[group.g]\ndeadlines.read = \"20s\"\ndeadlines.change = \"20s\"\n";
/// Longest wait for all members to be up.
const UP_BOUND: Duration = Duration::from_secs(30);

/// Journals that have not grown for so long are at rest.
const QUIET: Duration = Duration::from_millis(400);
/// Longest wait for that.
const QUIET_BOUND: Duration = Duration::from_secs(10);

/// What a drill stands on.
#[derive(Debug, Clone)]
pub(crate) struct SitePlan {
    pub(crate) members: usize,
    /// At most so many if they are Java: each costs seconds and a hundred megabytes.
    pub(crate) java_members: usize,
    /// `roundrobin` or `failover`.
    pub(crate) algorithm: &'static str,
    /// Sockets towards each member.
    pub(crate) sockets: u32,
    /// How long a member that dials keeps a socket, if there is a bound.
    pub(crate) member_ttl: Option<Duration>,
    /// Objects of a search.
    pub(crate) rows: u64,
    /// Bytes of each.
    pub(crate) row_bytes: u64,
    /// How long a change takes.
    pub(crate) change_takes: Duration,
    /// What the router's configuration file says beside the deadlines.
    pub(crate) config: &'static str,
    /// Servers of the provider document that are not in the drill's group, by name and port.
    pub(crate) beside: Vec<(String, u16)>,
    /// The group that those are in, if they are in one.
    pub(crate) group_beside: Option<&'static str>,
}

impl Default for SitePlan {
    fn default() -> Self {
        Self {
            members: 4,
            java_members: 3,
            algorithm: "roundrobin",
            sockets: 2,
            member_ttl: None,
            rows: 20,
            row_bytes: 100,
            change_takes: Duration::from_millis(1),
            config: "",
            beside: Vec::new(),
            group_beside: None,
        }
    }
}

/// What a router reads.
pub(crate) struct Files {
    pub(crate) provider: PathBuf,
    pub(crate) config: PathBuf,
}

/// A drill's place: its members, with one router in front of them, or with what else `R` is. Everything in it ends with it.
pub(crate) struct Site<R = Router> {
    /// In the order of the group.
    pub(crate) members: Vec<Member>,
    /// Whatever a drill leaves to chance.
    pub(crate) dice: fastrand::Rng,
    router: R,
    kind: Members,
    plan: SitePlan,
    scratch: TempDir,
    loads: u32,
    /// A Java IDM that calls beside each load, where the members are Java.
    idm: Option<SharedIdm>,
}

impl Site<()> {
    /// Starts members and proxies, without a router, and writes what a router reads.
    pub(crate) async fn prepare(kind: &Members, plan: SitePlan, seed: u64) -> Result<(Self, Files), Failure> {
        let mut dice = fastrand::Rng::with_seed(seed);
        let internal = |error: std::io::Error| Exit::Internal.with(format!("no place for files: {error}"));
        let scratch = tempfile::Builder::new().prefix("rcs-drill-").tempdir().map_err(internal)?;
        let mut members = Vec::new();
        let mut provider = Provider::new();
        let number = match kind {
            Members::Nodes | Members::DiallingNodes => plan.members,
            Members::Java(_) => plan.members.min(plan.java_members),
        };
        for number in 1..=number {
            let name = format!("n{number}");
            let member =
                Member::start(kind, &name, scratch.path(), (plan.sockets, plan.member_ttl), dice.u64(..))
                    .await?;
            provider = match kind.dialler() {
                Dialler::Router => provider.server(&name, member.proxy().port(), plan.sockets),
                Dialler::Member => provider.client(&name),
            };
            members.push(member);
        }
        for (name, port) in &plan.beside {
            provider = provider.server(name, *port, plan.sockets);
        }
        let names: Vec<&str> = members.iter().map(Member::name).collect();
        provider = provider.group(GROUP, plan.algorithm, &names);
        if let Some(group) = plan.group_beside {
            let names: Vec<&str> = plan.beside.iter().map(|(name, _)| name.as_str()).collect();
            provider = provider.group(group, plan.algorithm, &names);
        }
        let provider = provider.write(scratch.path());
        if let Members::Java(_) = kind {
            fs::write(scratch.path().join("reads"), java_accounts(&plan)).map_err(internal)?;
            fs::write(scratch.path().join("changes"), "1\tCREATE\tu0\tby=drill\n").map_err(internal)?;
        }
        let config = scratch.path().join("router.toml");
        fs::write(&config, format!("{}{DEADLINES}", plan.config)).map_err(internal)?;
        let site = Self { members, dice, router: (), kind: kind.clone(), plan, scratch, loads: 0, idm: None };
        Ok((site, Files { provider, config }))
    }

    /// The same place with this in front of its members.
    pub(crate) fn with<R>(self, router: R) -> Site<R> {
        let Self { members, dice, router: (), kind, plan, scratch, loads, idm } = self;
        Site { members, dice, router, kind, plan, scratch, loads, idm }
    }
}

impl Site {
    /// Starts members, proxies and router, and waits until all members are up.
    pub(crate) async fn start(kind: &Members, plan: SitePlan, seed: u64) -> Result<Self, Failure> {
        let (site, files) = Site::prepare(kind, plan, seed).await?;
        let mut site = site.with(Router::start(&files.provider, &files.config)?);
        if kind.dialler() == Dialler::Member {
            site.members.iter().for_each(|member| member.proxy().lead_to(site.router.listen().port()));
        }
        site.all_up(UP_BOUND).await?;
        if let Members::Java(java) = kind {
            site.idm = Some(idm::start(java, site.router.listen(), &site.change_properties()));
        }
        Ok(site)
    }

    /// Waits until all members are up.
    pub(crate) async fn all_up(&self, bound: Duration) -> Result<(), Failure> {
        let all = |sight: &super::router::Sight| self.members.iter().all(|m| sight.is_up(m.name()));
        match self.router.until(bound, all).await {
            Some(_) => Ok(()),
            None => {
                let health = self.router.sight().health;
                Err(Exit::Unavailable.with(format!("not all members are up after {bound:?}: {health:?}")))
            }
        }
    }

    /// Its Java IDM, if it has one.
    pub(crate) fn idm(&self) -> Option<SharedIdm> {
        self.idm.clone()
    }

    /// Ends it. If the findings are worth a look at the files, these stay, with the router's log, and the findings say where.
    pub(crate) fn end(self, findings: &mut Findings) {
        if findings.passed() {
            return;
        }
        // The log in hand is better than none.
        let _ = fs::write(self.scratch.path().join("router.log"), self.router.whole_log());
        findings.figure("files", self.scratch.keep());
    }
}

impl<R> Site<R> {
    /// What is in front of the members.
    pub(crate) fn router(&self) -> &R {
        &self.router
    }

    /// The same, to change it.
    pub(crate) fn router_mut(&mut self) -> &mut R {
        &mut self.router
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Lets its files stay; gives the folder.
    pub(crate) fn keep(self) -> PathBuf {
        self.scratch.keep()
    }

    /// A number for a load, so that its changes are not taken for those of another one.
    pub(crate) fn next_load(&mut self) -> u32 {
        self.loads += 1;
        self.loads
    }

    /// What its members are.
    pub(crate) fn kind(&self) -> &Members {
        &self.kind
    }

    /// What it was started with.
    pub(crate) fn plan(&self) -> &SitePlan {
        &self.plan
    }

    /// The configuration that reads carry.
    pub(crate) fn read_properties(&self) -> Vec<(String, String)> {
        match self.kind {
            Members::Nodes | Members::DiallingNodes => {
                own(&[("rows", self.plan.rows.to_string()), ("rowBytes", self.plan.row_bytes.to_string())])
            }
            Members::Java(_) => own(&[("storeFile", self.file("reads")), ("faultFolder", self.file(""))]),
        }
    }

    /// A configuration that ends every process that meets it. A Java member is ended by the call that carries the configuration.
    pub(crate) fn poison_properties(&self) -> Vec<(String, String)> {
        match self.kind {
            Members::Nodes | Members::DiallingNodes => own(&[("poison", "1".to_owned())]),
            Members::Java(_) => own(&[("storeFile", self.file("poison")), ("faultFolder", self.file(""))]),
        }
    }

    /// The configuration that changes carry.
    pub(crate) fn change_properties(&self) -> Vec<(String, String)> {
        let takes = self.plan.change_takes.as_millis().to_string();
        match self.kind {
            Members::Nodes | Members::DiallingNodes => own(&[("delayMillis", takes)]),
            Members::Java(_) => own(&[
                ("storeFile", self.file("changes")),
                ("faultFolder", self.file("")),
                ("delayMillis", takes),
            ]),
        }
    }

    /// Holds what callers were told against what the members wrote down. All calls must have ended; members may still be at
    /// some that were given up, so the journals are read once they have not grown for a while.
    pub(crate) async fn compare(&self, tally: &mut Tally) {
        let mut journals: Vec<PathBuf> = self.members.iter().map(Member::journal).collect();
        journals.push(self.scratch.path().join("changes"));
        let size = || -> u64 {
            journals.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
        };
        let (mut before, end) = (size(), Instant::now() + QUIET_BOUND);
        loop {
            sleep(QUIET).await;
            let now = size();
            if now == before || Instant::now() > end {
                return tally.compare(&journals);
            }
            before = now;
        }
    }

    fn file(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }
}

fn own(properties: &[(&str, String)]) -> Vec<(String, String)> {
    properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn java_accounts(plan: &SitePlan) -> String {
    let pad = "x".repeat(usize::try_from(plan.row_bytes).unwrap_or(0));
    let mut text = String::new();
    for row in 1..=plan.rows {
        let _ = writeln!(text, "{row}\tCREATE\tu{row}\t__PASSWORD__={LOGIN_PASSWORD}\tpad={pad}\tby=drill");
    }
    text
}
