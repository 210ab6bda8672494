//! The agent beside an RCS, ours or the Java one: reports the files of its connectors to routers (B06, P27, P28, W05, W06).
//!
//! [`Scanner`] reads the files, on a thread that may block; `watch` says when to scan again; for each router a `Reporter` sends the
//! reports. The agent sends no request to the RCS: it reads the RCS's properties file and folders.

mod file;
mod http;
mod jar;
mod report;
mod scan;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::manifest::{Content, FileEntry, FileManifest, Root};
use rustls::ClientConfig;
use tokio::sync::watch as latest;
use tokio::time::{Instant, timeout, timeout_at};

pub use http::{NoUrl, RouterUrl};
pub use report::{AGENT_NAME, Identity, ReportFault, report};
pub use scan::{Depth, Roots, Scan, Scanner, Trouble, Watched};

use crate::limits::{
    AGENT_QUIET, AGENT_QUIET_MAX, AGENT_RESCANS_MAX, AGENT_SCAN_DEADLINE, AGENT_THOROUGH_EVERY,
    AGENT_TOLD_MAX,
};
use report::{Latest, Reporter};
use watch::{Added, Unwatched, Watcher};

/// What an agent needs.
#[derive(Debug)]
pub struct Setup {
    /// The folders that are scanned.
    pub roots: Roots,
    /// The member in whose name the agent reports.
    pub identity: Identity,
    /// The routers that get the reports.
    pub routers: Vec<RouterUrl>,
    /// The TLS for routers that speak TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// Interval of full scans and of heartbeats.
    pub interval: Duration,
}

/// Scans and reports until the future is dropped.
///
/// # Errors
/// If a scan or a reporter panics.
pub async fn run(setup: Setup) -> io::Result<()> {
    let Setup { roots, identity, routers, tls, interval } = setup;
    let (told, latest) = latest::channel(None);
    let mut reporters = tokio::task::JoinSet::new();
    for url in routers {
        reporters.spawn(Reporter::new(url, tls.clone(), identity.clone(), interval, latest.clone()).run());
    }
    let agent = Agent {
        scanner: Some(Scanner::new(roots)),
        watcher: Watcher::default(),
        interval,
        last_scan: Duration::ZERO,
        told,
        log: Log::default(),
    };
    tokio::select! {
        ended = agent.run() => ended,
        Some(ended) = reporters.join_next() => {
            Err(io::Error::other(format!("reports to a router have ended: {ended:?}")))
        }
    }
}

/// Looks whenever there is a reason to.
struct Agent {
    /// Away while a thread uses it.
    scanner: Option<Scanner>,
    watcher: Watcher,
    interval: Duration,
    /// How long it took.
    last_scan: Duration,
    told: latest::Sender<Latest>,
    log: Log,
}

impl Agent {
    async fn run(mut self) -> io::Result<()> {
        let mut scans = 0u32;
        let mut depth = Depth::Everything;
        // Changes that never end do not put off the periodic scan.
        let mut due = Instant::now() + self.interval;
        loop {
            self.look(depth).await?;
            if timeout_at(due, self.watcher.changed()).await.is_ok() {
                self.wait_for_quiet().await;
            }
            depth = Depth::Changed;
            if Instant::now() >= due {
                due = Instant::now() + self.interval;
                scans += 1;
                if scans.is_multiple_of(AGENT_THOROUGH_EVERY) {
                    depth = Depth::Everything;
                }
            }
        }
    }

    /// Scans, and again at once while new folders turn up: what happened in them before they were watched would be missed.
    async fn look(&mut self, depth: Depth) -> io::Result<()> {
        let mut depth = depth;
        for _ in 0..=AGENT_RESCANS_MAX {
            let scan = self.scan(depth).await?;
            let (added, fault) = self.watcher.set(&scan.watch);
            self.log.unwatched(fault);
            self.publish(scan);
            if added == Added::Nothing {
                break;
            }
            depth = Depth::Changed;
        }
        Ok(())
    }

    async fn scan(&mut self, depth: Depth) -> io::Result<Scan> {
        let mut scanner = self.scanner.take().expect("every scan gives it back");
        let start = Instant::now();
        let scanned = tokio::task::spawn_blocking(move || {
            let scan = scanner.scan(depth);
            (scanner, scan)
        });
        let told = &self.told;
        let stalled = || {
            tracing::error!(
                "reading the files takes longer than {AGENT_SCAN_DEADLINE:?}; reporting is paused until every file is read"
            );
            told.send_replace(None);
        };
        let scanned = patiently(scanned, AGENT_SCAN_DEADLINE, stalled).await;
        let (scanner, scan) = scanned.map_err(io::Error::other)?;
        self.scanner = Some(scanner);
        self.last_scan = start.elapsed();
        let took_ms = self.last_scan.as_millis();
        tracing::debug!(
            ?depth,
            files_read = scan.files_read,
            bytes_read = scan.bytes_read,
            took_ms,
            "scanned"
        );
        Ok(scan)
    }

    /// Copying a file causes many changes, and a scan in the middle would report a half-written file. And a process that writes
    /// all the time must not keep the agent reading all the time.
    async fn wait_for_quiet(&mut self) {
        let rested = Instant::now() + self.last_scan.min(self.interval);
        let end = rested.max(Instant::now() + AGENT_QUIET_MAX);
        while Instant::now() < end {
            let quiet = end.min(rested.max(Instant::now() + AGENT_QUIET));
            if timeout_at(quiet, self.watcher.changed()).await.is_err() {
                break;
            }
        }
    }

    fn publish(&mut self, scan: Scan) {
        self.log.missing(scan.missing);
        let latest = match scan.outcome {
            Ok(manifest) => {
                self.log.manifest(&manifest);
                Some(Arc::new(manifest))
            }
            Err(troubles) => {
                self.log.troubles(troubles);
                None
            }
        };
        self.told.send_if_modified(|told| {
            let digest = |latest: &Latest| latest.as_ref().map(|manifest| manifest.digest());
            let changed = digest(told) != digest(&latest);
            *told = latest;
            changed
        });
    }
}

/// Waits for the end of `work`, without a timeout; calls `stalled` once if it takes longer than `limit`.
async fn patiently<T>(work: impl Future<Output = T>, limit: Duration, stalled: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    match timeout(limit, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            stalled();
            work.await
        }
    }
}

/// What the log said last: each change once, paths only.
#[derive(Default)]
struct Log {
    manifest: Option<FileManifest>,
    troubles: Vec<Trouble>,
    missing: Vec<Root>,
    unwatched: Option<(bool, Option<i32>)>,
}

impl Log {
    fn manifest(&mut self, manifest: &FileManifest) {
        if !self.troubles.is_empty() {
            self.troubles.clear();
            tracing::info!("every file can be read again; reporting resumes");
        }
        match &self.manifest {
            Some(before) if before.digest() == manifest.digest() => return,
            Some(before) => {
                let changes = changes(before, manifest);
                for change in changes.iter().take(AGENT_TOLD_MAX) {
                    tracing::info!("{change}");
                }
                if let Some(more) = changes.len().checked_sub(AGENT_TOLD_MAX).filter(|more| *more > 0) {
                    tracing::info!("and {more} more changes");
                }
            }
            None => {}
        }
        let files = manifest.files().len();
        tracing::info!(files, digest = %manifest.digest(), "new manifest of the files");
        for odd in manifest.files() {
            if let Content::Odd(oddity) = odd.content
                && self.manifest.as_ref().and_then(|before| before.get(odd.root, &odd.path)) != Some(odd)
            {
                tracing::warn!("{odd} is {oddity}");
            }
        }
        self.manifest = Some(manifest.clone());
    }

    fn troubles(&mut self, troubles: Vec<Trouble>) {
        if self.troubles != troubles {
            for trouble in &troubles {
                tracing::error!("{trouble}");
            }
            tracing::error!("reporting is paused until every file can be read");
            self.troubles = troubles;
        }
    }

    fn missing(&mut self, missing: Vec<Root>) {
        for root in missing.iter().filter(|root| !self.missing.contains(root)) {
            tracing::warn!("{root}: the folder does not exist; it is reported as empty");
        }
        self.missing = missing;
    }

    fn unwatched(&mut self, fault: Option<Unwatched>) {
        let kind = fault.as_ref().map(Unwatched::kind);
        if self.unwatched != kind {
            match fault {
                Some(fault) => tracing::warn!("{fault}"),
                None => tracing::info!("all folders are watched again"),
            }
            self.unwatched = kind;
        }
    }
}

/// How one file differs between two scans.
#[derive(Debug, PartialEq, Eq)]
enum Change<'a> {
    Added(&'a FileEntry),
    Changed(&'a FileEntry),
    Removed(&'a FileEntry),
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(file) => write!(f, "added: {file}"),
            Self::Changed(file) => write!(f, "changed: {file}"),
            Self::Removed(file) => write!(f, "removed: {file}"),
        }
    }
}

fn changes<'a>(before: &'a FileManifest, after: &'a FileManifest) -> Vec<Change<'a>> {
    let removed = before.files().iter().filter(|file| after.get(file.root, &file.path).is_none());
    let others = after.files().iter().filter_map(|file| match before.get(file.root, &file.path) {
        None => Some(Change::Added(file)),
        Some(old) if old.content != file.content || old.link != file.link => Some(Change::Changed(file)),
        Some(_) => None,
    });
    removed.map(Change::Removed).chain(others).collect()
}
