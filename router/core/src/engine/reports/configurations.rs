//! The configurations that are quarantined.

use std::time::Duration;

use rcs_proto::time::Moment;

use crate::engine::tables::Tables;
use crate::ids::ConfigurationId;

/// A configuration that is quarantined, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationReport {
    /// The configuration's name, which does not reveal the configuration.
    pub id: ConfigurationId,
    /// The configuration's connector, as `BUNDLE/VERSION/CONNECTOR`.
    pub connector: String,
    /// The members that were lost with the configuration.
    pub members: Vec<String>,
    /// How long ago the configuration was quarantined.
    pub ago: Duration,
    /// The time until the configuration is released.
    pub left: Duration,
    /// How often the configuration was quarantined, this time included.
    pub times: u32,
    /// Calls that were refused since the quarantine began.
    pub refused: u64,
}

impl Tables {
    /// The configurations that are quarantined, in the order of their names.
    pub(in crate::engine) fn configuration_reports(&self, now: Moment) -> Vec<ConfigurationReport> {
        let report = |quarantine: crate::engine::groups::Quarantine| ConfigurationReport {
            id: quarantine.id,
            connector: quarantine.connector,
            members: quarantine.members.iter().map(|id| self.book.member_name(*id).to_owned()).collect(),
            ago: now.since(quarantine.since),
            left: quarantine.until.since(now),
            times: quarantine.times,
            refused: quarantine.refused,
        };
        let mut reports: Vec<_> = self.groups.configurations().quarantined().map(report).collect();
        reports.sort_by_key(|report| report.id);
        reports
    }
}
