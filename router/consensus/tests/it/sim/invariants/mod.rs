//! What must hold in every run, one rule a file. A run tells [`Watch`] what happens; the first rule that is broken ends the run.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rcs_consensus::Status;
use rcs_consensus::messages::AppendRequest;
use rcs_rig::porcupine::History;

use super::executor;
use super::ledger::{View, WriteId};

mod copies_equal;
mod linearizable;
mod logs_match;
mod one_decision;
mod refused;
mod views_rise;

use self::copies_equal::CopiesEqual;
use self::linearizable::Linearizable;
use self::logs_match::LogsMatch;
use self::one_decision::OneDecision;
use self::refused::Refused;
use self::views_rise::ViewsRise;

/// A rule that was broken, in words; its first word is the rule's name.
pub(crate) type Broken = String;

/// A command that a copy applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Applied {
    pub(crate) index: u64,
    /// Its place in the entry.
    pub(crate) nth: u32,
    pub(crate) id: WriteId,
    /// Its place in the list.
    pub(crate) place: u64,
    pub(crate) view: View,
}

/// What a write was told at last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    /// It is applied.
    Done { index: u64, place: u64 },
    /// It was not and will not be applied.
    Not,
    /// Nobody knows.
    Unknown,
}

/// Watches a run; clones watch the same run.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Rules>>);

#[derive(Default)]
struct Rules {
    one_decision: OneDecision,
    logs_match: LogsMatch,
    copies_equal: CopiesEqual,
    views_rise: ViewsRise,
    linearizable: Linearizable,
    refused: Refused,
    acknowledged: u64,
    reads: u64,
    broken: Option<Broken>,
    clock: Clock,
    /// Broken rules are passed over: another judge shall see the whole run.
    only_records: bool,
}

/// When something happens. Each moment is at or after the one before.
struct Clock(fn() -> Duration);

impl Default for Clock {
    fn default() -> Self {
        Self(executor::elapsed)
    }
}

impl Rules {
    fn now(&self) -> Duration {
        (self.clock.0)()
    }

    fn note(&mut self, outcome: Result<(), Broken>) {
        if let Err(broken) = outcome
            && self.broken.is_none()
            && !self.only_records
        {
            executor::note(format_args!("BROKEN {broken}"));
            self.broken = Some(broken);
        }
    }
}

impl Watch {
    /// Watches a run on another clock than that of the executor.
    pub(crate) fn on_clock(clock: fn() -> Duration) -> Self {
        Self(Arc::new(Mutex::new(Rules { clock: Clock(clock), ..Rules::default() })))
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap()
    }

    /// The first rule that was broken.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.rules().broken.clone()
    }

    /// From now on no rule that is broken ends the run: another judge is to see all of the run's history.
    pub(crate) fn only_record(&self) {
        self.rules().only_records = true;
    }

    /// A rule that is checked elsewhere was broken.
    pub(crate) fn breaks(&self, broken: Broken) {
        self.rules().note(Err(broken));
    }

    /// A router sends entries, or a heartbeat.
    pub(crate) fn sent(&self, append: &AppendRequest) {
        let rules = &mut *self.rules();
        let outcome = rules.one_decision.sent(append).and_then(|()| rules.logs_match.sent(append));
        rules.note(outcome);
    }

    /// A run of a router shows a new status.
    pub(crate) fn status(&self, run: &str, status: &Status) {
        let rules = &mut *self.rules();
        let outcome = rules.views_rise.status(run, status);
        rules.note(outcome);
    }

    /// A copy has applied a command.
    pub(crate) fn applied(&self, run: &str, applied: Applied) {
        let rules = &mut *self.rules();
        let outcome = rules.copies_equal.applied(run, applied);
        rules.note(outcome);
    }

    /// A copy was replaced by a snapshot.
    pub(crate) fn restored(&self, run: &str, view: View) {
        let rules = &mut *self.rules();
        let outcome = rules.copies_equal.restored(run, view);
        rules.note(outcome);
    }

    /// A copy shows a view.
    pub(crate) fn published(&self, run: &str, view: View) {
        let rules = &mut *self.rules();
        let outcome = rules.views_rise.published(run, view);
        rules.note(outcome);
    }

    /// A client begins a write.
    pub(crate) fn write_begins(&self, id: WriteId) {
        let rules = &mut *self.rules();
        let now = rules.now();
        rules.linearizable.write_begins(id, now);
    }

    /// A write ends for its client.
    pub(crate) fn write_ends(&self, id: WriteId, told: Told) {
        let rules = &mut *self.rules();
        match told {
            Told::Done { index, place } => {
                rules.acknowledged += 1;
                let outcome = rules.copies_equal.acknowledged(id, index, place);
                rules.note(outcome);
                let now = rules.now();
                rules.linearizable.write_ends(id, place, now);
            }
            Told::Not => rules.refused.refused(id),
            Told::Unknown => {}
        }
    }

    /// A read has ended that began at `began`.
    pub(crate) fn read_ends(&self, began: Duration, view: View) {
        let rules = &mut *self.rules();
        rules.reads += 1;
        let outcome = rules.copies_equal.read(view);
        rules.note(outcome);
        let now = rules.now();
        rules.linearizable.read(began, view, now);
    }

    /// Writes that clients were told of, and reads.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let rules = self.rules();
        (rules.acknowledged, rules.reads)
    }

    /// The list as all copies must have it in the end.
    pub(crate) fn list(&self) -> View {
        self.rules().copies_equal.last()
    }

    /// What can be judged only when all is over.
    pub(crate) fn conclude(&self) -> Result<(), Broken> {
        let rules = &mut *self.rules();
        if rules.only_records {
            return Ok(());
        }
        if let Some(broken) = &rules.broken {
            return Err(broken.clone());
        }
        let list = rules.copies_equal.list();
        rules.refused.conclude(list)?;
        rules.linearizable.conclude(list)
    }

    /// What the clients asked for and were told; `list` was read when all else was over.
    pub(crate) fn history(&self, list: &[WriteId]) -> History {
        self.rules().linearizable.history(list)
    }
}
