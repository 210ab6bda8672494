//! Views rise: within one run of a router, what it shows never goes back, neither its list nor the index that its status tells.

use std::collections::BTreeMap;

use rcs_consensus::{Role, Status};

use super::Broken;
use crate::sim::ledger::View;

#[derive(Default)]
pub(super) struct ViewsRise {
    views: BTreeMap<String, View>,
    applied: BTreeMap<(String, u64), u64>,
}

impl ViewsRise {
    pub(super) fn published(&mut self, run: &str, view: View) -> Result<(), Broken> {
        let before = self.views.insert(run.to_owned(), view).unwrap_or_default();
        if (before.index, before.len) <= (view.index, view.len) {
            return Ok(());
        }
        Err(format!("views rise: {run} showed {before:?}, then {view:?}"))
    }

    pub(super) fn status(&mut self, life: &str, status: &Status) -> Result<(), Broken> {
        if matches!(status.role, Role::Down { .. }) {
            // Between two runs it tells what the run before had applied.
            return Ok(());
        }
        let before =
            self.applied.insert((life.to_owned(), status.restarts), status.applied).unwrap_or_default();
        if before <= status.applied {
            return Ok(());
        }
        Err(format!(
            "views rise: the status of {life} told that {before} was applied, then {}",
            status.applied
        ))
    }
}
