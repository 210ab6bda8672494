//! Real Java IDMs as further callers of a drill with Java members: what they report is held against the journal too.

use std::time::Duration;

use rcs_tests::idm::{Idm, Load};
use rcs_tests::java::Java;
use rcs_tests::journal::Journal;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::report::Findings;
use super::site::{GROUP, Site};

/// Calls at a time of each.
const CALLS: usize = 4;
/// An IDM's report is waited for two minutes from when it is asked for (rcs-tests); so long may it be at work before.
const LOAD_MAX: Duration = Duration::from_secs(100);

/// An IDM that reads and one that creates.
pub(crate) struct Idms {
    reader: Idm,
    creator: Idm,
    journal: Journal,
}

impl Idms {
    /// Starts both, and lets them call for about so long.
    pub(crate) fn start(java: &Java, site: &Site, time: Duration) -> Self {
        let url = format!("ws://{}/openicf/{GROUP}", site.router().listen());
        let seconds = time.min(LOAD_MAX).as_secs().max(1);
        let journal = Journal::new(site.folder(), "idm");
        block_in_place(|| {
            let (mut reader, mut creator) = (Idm::start(java, &url), Idm::start(java, &url));
            reader.ok(&journal.use_command());
            creator.ok(&journal.use_command());
            reader.ok("create name=u0");
            reader.begin(&format!("load get {CALLS} {seconds} u0"));
            creator.begin(&format!("load create {CALLS} {seconds} w"));
            Self { reader, creator, journal }
        })
    }

    /// Waits for their reports, and judges them: no read fails, no call hangs, no create runs twice or is lost in silence, and the
    /// only error of a create is "outcome unknown".
    pub(crate) fn finish(mut self, findings: &mut Findings) {
        let (reads, creates) = block_in_place(|| (self.reader.load_answer(), self.creator.load_answer()));
        let mut written = self.journal.writes("CREATE");
        written.remove("u0");
        let happened = written.len() as u64;
        let twice = written.values().filter(|times| **times > 1).count();
        let other = creates.errors.keys().filter(|error| !error.contains("Outcome unknown")).count();
        for (so, reason) in [
            (reads.ok > 0 && creates.ok > 0, "the IDMs were not served".to_owned()),
            (reads.err == 0, format!("{} reads of a Java IDM failed: {:?}", reads.err, reads.errors)),
            (reads.hung_threads + creates.hung_threads == 0, "calls of a Java IDM hung".to_owned()),
            (twice == 0, format!("{twice} creates of a Java IDM ran twice")),
            (creates.ok <= happened, format!("{} creates answered well, {happened} ran", creates.ok)),
            (happened <= creates.ok + creates.err, "more creates ran than were asked for".to_owned()),
            (other == 0, format!("creates of a Java IDM failed: {:?}", creates.errors)),
        ] {
            findings.require(so, reason);
        }
        findings.figure("idm_reads", shown(&reads));
        findings.figure("idm_creates", shown(&creates));
        findings.figure("idm_creates_executed", happened);
    }
}

fn shown(load: &Load) -> Value {
    json!({ "ok": load.ok, "errors": load.errors, "hung": load.hung_threads, "worst_ms": load.worst_ms })
}
