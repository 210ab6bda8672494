//! The place of a drill: members behind proxies, a router in front of them, and files that go away with it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_rig::provider::Provider;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::GROUP;
use super::idm::{self, SharedIdm};
use super::members::{Member, Members};
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
    /// Objects of a search.
    pub(crate) rows: u64,
    /// Bytes of each.
    pub(crate) row_bytes: u64,
    /// How long a change takes.
    pub(crate) change_takes: Duration,
    /// What the router's configuration file says beside the deadlines.
    pub(crate) config: &'static str,
    /// Servers of the provider document that are in no group of the drill, by name and port.
    pub(crate) beside: Vec<(String, u16)>,
}

impl Default for SitePlan {
    fn default() -> Self {
        Self {
            members: 4,
            java_members: 3,
            algorithm: "roundrobin",
            sockets: 2,
            rows: 20,
            row_bytes: 100,
            change_takes: Duration::from_millis(1),
            config: "",
            beside: Vec::new(),
        }
    }
}

/// A drill's place. Everything in it ends with it.
pub(crate) struct Site {
    /// In the order of the group.
    pub(crate) members: Vec<Member>,
    /// Whatever a drill leaves to chance.
    pub(crate) dice: fastrand::Rng,
    router: Router,
    kind: Members,
    plan: SitePlan,
    scratch: TempDir,
    loads: u32,
    /// A Java IDM that calls beside each load, where the members are Java.
    idm: Option<SharedIdm>,
}

impl Site {
    /// Starts members, proxies and router, and waits until all members are up.
    pub(crate) async fn start(kind: &Members, plan: SitePlan, seed: u64) -> Result<Self, Failure> {
        let mut dice = fastrand::Rng::with_seed(seed);
        let internal = |error: std::io::Error| Exit::Internal.with(format!("no place for files: {error}"));
        let scratch = tempfile::Builder::new().prefix("rcs-drill-").tempdir().map_err(internal)?;
        let mut members = Vec::new();
        let mut provider = Provider::new();
        let number = match kind {
            Members::Nodes => plan.members,
            Members::Java(_) => plan.members.min(plan.java_members),
        };
        for number in 1..=number {
            let member = Member::start(kind, &format!("n{number}"), scratch.path(), dice.u64(..)).await?;
            provider = provider.server(member.name(), member.proxy().port(), plan.sockets);
            members.push(member);
        }
        for (name, port) in &plan.beside {
            provider = provider.server(name, *port, plan.sockets);
        }
        let names: Vec<&str> = members.iter().map(Member::name).collect();
        let provider = provider.group(GROUP, plan.algorithm, &names).write(scratch.path());
        if let Members::Java(_) = kind {
            fs::write(scratch.path().join("reads"), java_accounts(&plan)).map_err(internal)?;
            fs::write(scratch.path().join("changes"), "1\tCREATE\tu0\tby=drill\n").map_err(internal)?;
        }
        let config = scratch.path().join("router.toml");
        fs::write(&config, format!("{}{DEADLINES}", plan.config)).map_err(internal)?;
        let router = Router::start(&provider, &config)?;
        let mut site = Self { members, dice, router, kind: kind.clone(), plan, scratch, loads: 0, idm: None };
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

    /// The router.
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    /// A number for a load, so that its changes are not taken for those of another one.
    pub(crate) fn next_load(&mut self) -> u32 {
        self.loads += 1;
        self.loads
    }

    /// Its Java IDM, if it has one.
    pub(crate) fn idm(&self) -> Option<SharedIdm> {
        self.idm.clone()
    }

    /// The router, to end it.
    pub(crate) fn router_mut(&mut self) -> &mut Router {
        &mut self.router
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
            Members::Nodes => {
                own(&[("rows", self.plan.rows.to_string()), ("rowBytes", self.plan.row_bytes.to_string())])
            }
            Members::Java(_) => own(&[("storeFile", self.file("reads")), ("faultFolder", self.file(""))]),
        }
    }

    /// A configuration that ends every process that meets it. A Java member is ended by the call that carries the configuration.
    pub(crate) fn poison_properties(&self) -> Vec<(String, String)> {
        match self.kind {
            Members::Nodes => own(&[("poison", "1".to_owned())]),
            Members::Java(_) => own(&[("storeFile", self.file("poison")), ("faultFolder", self.file(""))]),
        }
    }

    /// The configuration that changes carry.
    pub(crate) fn change_properties(&self) -> Vec<(String, String)> {
        let takes = self.plan.change_takes.as_millis().to_string();
        match self.kind {
            Members::Nodes => own(&[("delayMillis", takes)]),
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

    /// Ends it. If the findings are worth a look at the files, these stay, with the router's log, and the findings say where.
    pub(crate) fn end(self, findings: &mut Findings) {
        if findings.passed() {
            return;
        }
        // The log in hand is better than none.
        let _ = fs::write(self.scratch.path().join("router.log"), self.router.whole_log());
        findings.figure("files", self.scratch.keep());
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
