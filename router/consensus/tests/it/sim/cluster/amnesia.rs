//! Mistakes of a store, made in the database of a router that does not run.

use prost::Message as _;
use rcs_consensus::messages::{Entry, Vote};
use redb::{Builder, Database, ReadableTable, TableDefinition};

use super::Cluster;
use crate::sim::mistakes::Mistake;

/// How the store keeps its values (`router/consensus/src/store/writer.rs`).
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");

impl Cluster {
    /// What a router with such a mistake would not find when it comes back.
    pub(super) fn forget(&self, number: u32) {
        let forgets = match self.inner().mistake {
            Some(Mistake::VoteNotStored) => forget_vote,
            Some(Mistake::CommittedNotStored) => forget_committed,
            _ => return,
        };
        // A sync that is to fail is the router's own. A router that died while it made its store has nothing to forget.
        if !self.disk(number).is_failing()
            && let Ok(database) = Builder::new().create_with_backend(self.disk(number).open())
        {
            let _ = forgets(&database);
        }
    }
}

fn forget_committed(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write.open_table(META)?.remove("committed")?;
    Ok(write.commit()?)
}

/// The router knows no later vote than that of the leader whose entry it has: what a vote alone would have told is lost.
fn forget_vote(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let (log, mut meta) = (write.open_table(LOG)?, write.open_table(META)?);
        let last = log.last()?.and_then(|(_, entry)| Entry::decode(entry.value()).ok());
        match last.and_then(|entry| entry.id?.leader) {
            Some(leader) => {
                let vote = Vote { leader: Some(leader), committed: true };
                meta.insert("vote", vote.encode_to_vec().as_slice())?;
            }
            None => drop(meta.remove("vote")?),
        }
    }
    Ok(write.commit()?)
}
