//! What an operator may set in addition to IDM's document: for the whole router, and for each group. Every value has a default
//! from [`crate::limits`] and stays within the bounds that are stated there.
//!
//! The names of fields and of choices are a part of the log's format (`agreed/stored`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agreed::stored::{millis, optional_millis, optional_text};
use crate::bundles::infos::Visible;
use crate::bundles::policy::BundlePolicy;
use crate::bundles::range::StandIns;
use crate::bundles::set::SetDigest;
use crate::limits;
use crate::view::Hosts;

/// Everything that can be set. Part of the view, so that a call never sees two generations of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// For the whole router.
    pub router: RouterSettings,
    /// For groups that are not named in `groups`.
    pub defaults: GroupSettings,
    /// For the groups of these names.
    pub groups: BTreeMap<String, GroupSettings>,
    /// How many processes run under the names of servers in client mode.
    #[serde(default, skip_serializing_if = "Hosts::is_empty")]
    pub hosts: Hosts,
}

/// For the whole router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterSettings {
    /// Calls in flight of one caller, subscriptions not counted; more are refused.
    pub caller_in_flight_max: usize,
    /// The part before `/openicf` in the paths of callers, such as `/base`; empty for none. Paths without this part are accepted too.
    pub context_path: String,
    /// New connections of callers accepted per second; more wait in the kernel's accept queue.
    pub accepts_per_second: u32,
    /// Time between two pings to a caller, which keep proxies and firewalls from closing an idle connection (P18); none: no pings.
    #[serde(rename = "caller_ping_every_ms", with = "optional_millis")]
    pub caller_ping_every: Option<Duration>,
    /// Age at which a connection to a member is replaced by a new one (M07); none: never.
    #[serde(rename = "socket_ttl_ms", with = "optional_millis")]
    pub socket_ttl: Option<Duration>,
    /// HTTP header in which members in client mode may name themselves; none: no header counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_name_header: Option<String>,
    /// Query parameter in which members in client mode may name themselves; none: no parameter counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_name_parameter: Option<String>,
}

/// For the calls of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// An address of this group alone, for callers that can send neither a path nor a principal; its port is never 0.
    pub listen: Option<SocketAddr>,
    /// Timeouts of calls whose caller sets none.
    pub deadlines: Deadlines,
    /// Calls in flight in the group, subscriptions not counted.
    pub in_flight_max: usize,
    /// Calls in flight at one member, of all its groups together.
    pub member_in_flight_max: usize,
    /// Length of the queue, for logins and for other calls separately.
    pub queue_max: usize,
    /// How long a call may wait in the queue.
    #[serde(rename = "queue_wait_ms", with = "millis")]
    pub queue_wait: Duration,
    /// Retry limit: share of retries among the group's calls, in percent; at the limit a failed call is not retried.
    pub retry_percent: u32,
    /// Time without any frame of an answer after which a read is sent to a second member as well (hedge), if the first member has
    /// answered later calls meanwhile; none: never.
    #[serde(rename = "hedge_after_ms", with = "optional_millis")]
    pub hedge_after: Option<Duration>,
    /// Time between two `test` probes of a member; none: members, new ones included, are not tested.
    #[serde(rename = "test_every_ms", with = "optional_millis")]
    pub test_every: Option<Duration>,
    /// Whether the end of a stream must look complete.
    pub stream_end: StreamEnd,
    /// Outlier ejection: when the results of its calls eject a member.
    pub ejection: Ejection,
    /// How the members' bundle sets are compared, and what follows.
    pub bundles: BundlePolicy,
    /// The set that the members must have; none: the set of the first member that connects.
    #[serde(with = "optional_text")]
    pub pinned: Option<SetDigest>,
    /// The connectors that callers see and may use.
    pub visible: Visible,
    /// Connectors whose versions within a range may run each other's calls; none by default.
    pub stand_ins: StandIns,
}

/// How long calls may take, by operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// authenticate
    #[serde(rename = "login_ms", with = "millis")]
    pub login: Duration,
    /// Reads with one answer.
    #[serde(rename = "read_ms", with = "millis")]
    pub read: Duration,
    /// create, update and delete.
    #[serde(rename = "change_ms", with = "millis")]
    pub change: Duration,
    /// Scripts.
    #[serde(rename = "script_ms", with = "millis")]
    pub script: Duration,
    /// Between two frames of the answer of a search, a sync or a batch.
    #[serde(rename = "stream_idle_ms", with = "millis")]
    pub stream_idle: Duration,
}

/// What the end of a stream must have (P13, WIRE 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StreamEnd {
    /// An end without `result` (search) or token (sync) is an error if this connector has sent one before for the same operation. So is
    /// the end of a stream whose last item came twice.
    AsLearned,
    /// Any end is passed on.
    AsItCame,
}

/// When the calls of a group eject one of its members for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ejection {
    /// Failed calls in a row (resource unreachable, timeout, out of memory) that eject a member; 0: never.
    pub failures: u32,
    /// How many times slower than the median of its group's members a member's calls must be, in percent; 0: never.
    pub latency_percent: u32,
    /// Duration of the first ejection; doubles with each further one.
    #[serde(rename = "base_ms", with = "millis")]
    pub base: Duration,
    /// The longest ejection.
    #[serde(rename = "cap_ms", with = "millis")]
    pub cap: Duration,
}

impl Settings {
    /// The settings of the group of this name.
    pub fn group(&self, name: &str) -> &GroupSettings {
        self.groups.get(name).unwrap_or(&self.defaults)
    }
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            caller_in_flight_max: limits::CALLS_PER_SESSION_MAX,
            context_path: String::new(),
            accepts_per_second: limits::ACCEPTS_PER_SECOND,
            caller_ping_every: Some(limits::CALLER_PING_INTERVAL),
            socket_ttl: None,
            member_name_header: None,
            member_name_parameter: None,
        }
    }
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            listen: None,
            deadlines: Deadlines::default(),
            in_flight_max: limits::CALLS_MAX,
            member_in_flight_max: limits::MEMBER_IN_FLIGHT,
            queue_max: limits::QUEUED_CALLS,
            queue_wait: limits::QUEUE_WAIT,
            retry_percent: limits::RETRY_PERCENT,
            hedge_after: None,
            test_every: Some(limits::TEST_PROBE_EVERY),
            stream_end: StreamEnd::AsLearned,
            ejection: Ejection::default(),
            bundles: BundlePolicy::default(),
            pinned: None,
            visible: Visible::default(),
            stand_ins: StandIns::default(),
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            login: limits::LOGIN_DEADLINE,
            read: limits::READ_DEADLINE,
            change: limits::CHANGE_DEADLINE,
            script: limits::SCRIPT_DEADLINE,
            stream_idle: limits::STREAM_IDLE_DEADLINE,
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: limits::EJECTION_FAILURES,
            latency_percent: limits::EJECTION_LATENCY_PERCENT,
            base: limits::EJECTION_BASE,
            cap: limits::EJECTION_CAP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_named_has_the_defaults() {
        let own = GroupSettings { queue_max: 3, ..GroupSettings::default() };
        let settings = Settings { groups: [("hr".to_owned(), own.clone())].into(), ..Settings::default() };
        assert_eq!(settings.group("hr"), &own);
        assert_eq!(settings.group("other"), &GroupSettings::default());
    }
}
