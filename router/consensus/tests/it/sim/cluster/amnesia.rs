//! Mistakes of a store, made in the database of a router that does not run.

use redb::{Builder, TableDefinition};

use super::Cluster;
use crate::sim::mistakes::Mistake;

/// Where the store keeps everything but the log (`router/consensus/src/store/writer.rs`).
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

impl Cluster {
    /// What a router with such a mistake would not find when it comes back.
    pub(super) fn forget(&self, number: u32) {
        let what = match self.inner().mistake {
            Some(Mistake::VoteNotStored) => "vote",
            Some(Mistake::CommittedNotStored) => "committed",
            _ => return,
        };
        let disk = self.disk(number);
        // A router that died while it made its store has nothing to forget.
        let Ok(database) = Builder::new().create_with_backend(disk.open()) else { return };
        let Ok(write) = database.begin_write() else { return };
        let removed =
            write.open_table(META).map(|mut meta| meta.remove(what).is_ok_and(|found| found.is_some()));
        let _ = removed.is_ok_and(|removed| removed && write.commit().is_ok());
    }
}
