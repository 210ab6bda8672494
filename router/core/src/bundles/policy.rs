//! What operators want of a group's bundle sets.

use serde::{Deserialize, Serialize};

use crate::limits::UPGRADE_SERVING_MIN;

/// What the operator wants of a group's bundle sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundlePolicy {
    /// What is compared.
    pub reports: Reports,
    /// What happens when no member has the accepted set.
    pub none_left: NoneLeft,
    /// Members that must keep serving during a rolling upgrade.
    pub serving_min: usize,
}

impl Default for BundlePolicy {
    fn default() -> Self {
        Self { reports: Reports::WireOnly, none_left: NoneLeft::KeepLast, serving_min: UPGRADE_SERVING_MIN }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reports {
    /// The connectors that members list. A group with both Java servers and rcs-nodes needs this choice.
    WireOnly,
    /// The connectors and the files: a member whose agent does not report gets no calls.
    RequireAgent,
}

/// What happens when every member of the group would be quarantined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoneLeft {
    /// No member serves, and there is an alarm.
    FailClosed,
    /// The members that served last keep serving, and there is an alarm. If only lists of connectors are compared, members with
    /// unreadable lists serve too, until a member reports a readable one.
    KeepLast,
}
