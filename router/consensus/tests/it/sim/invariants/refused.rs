//! Refused is refused: a write whose client was told at each attempt that nothing was done is never applied.

use std::collections::BTreeSet;

use super::Broken;
use crate::sim::ledger::WriteId;

#[derive(Default)]
pub(super) struct Refused(BTreeSet<WriteId>);

impl Refused {
    pub(super) fn refused(&mut self, id: WriteId) {
        self.0.insert(id);
    }

    pub(super) fn conclude(&self, list: &[WriteId]) -> Result<(), Broken> {
        match list.iter().find(|id| self.0.contains(id)) {
            None => Ok(()),
            Some(id) => Err(format!(
                "refused is refused: {id:x} was applied, and its client was told that it would not be"
            )),
        }
    }
}
