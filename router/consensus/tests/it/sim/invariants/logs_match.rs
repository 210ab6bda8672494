//! Logs match: two entries of one index and leader are the same entry, and the same entry comes before both.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rcs_consensus::messages::AppendRequest;
use rcs_consensus::messages::entry::Payload;

use super::Broken;
use super::one_decision::{Place, place};

/// What each entry is, by place: a hash, and the place of the entry before.
#[derive(Default)]
pub(super) struct LogsMatch(BTreeMap<Place, (u64, Option<Place>)>);

impl LogsMatch {
    pub(super) fn sent(&mut self, append: &AppendRequest) -> Result<(), Broken> {
        let mut before = append.previous.as_ref().map(place);
        // A leader may read its log while the log is cut behind it, and send what does not follow. Receivers refuse that.
        let first = append.entries.first().and_then(|entry| entry.id.as_ref()).map_or(0, |at| at.index);
        if before.map_or(0, |(index, _)| index + 1) != first {
            return Ok(());
        }
        for entry in &append.entries {
            let at = entry.id.as_ref().map(place).ok_or("logs match: an entry without a place")?;
            let hash = match &entry.payload {
                Some(Payload::Commands(commands)) => {
                    let mut hasher = DefaultHasher::new();
                    commands.commands.hash(&mut hasher);
                    hasher.finish()
                }
                Some(Payload::Membership(members)) => members.routers.len() as u64,
                Some(Payload::Blank(_)) | None => 0,
            };
            let first = *self.0.entry(at).or_insert((hash, before));
            if first != (hash, before) {
                return Err(format!(
                    "logs match: two entries at {at:?}: {first:x?} and {:x?}",
                    (hash, before)
                ));
            }
            before = Some(at);
        }
        Ok(())
    }
}
