//! How a group spreads its calls (G01).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::picker::{Order, Picker};
use crate::ids::{MemberId, MemberSet};

/// The algorithm of a group, by the names IDM's document uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Every call to the first available member in list order (G02, G03). The default of the document (R06).
    #[default]
    Failover,
    /// The available members in turn (G05, P4). Members that are not available are skipped (G06).
    RoundRobin,
}

impl Policy {
    /// Every policy, in the order to list them to an operator.
    pub const ALL: [Self; 2] = [Self::Failover, Self::RoundRobin];

    /// The name in the document: `failover` or `roundrobin`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The policy of this exact name; IDM compares without regard to case, so do we.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(name))
    }

    /// Builds the picker of a group from its members in list order and those that may take calls now.
    pub fn picker(self, members: &[MemberId], available: &MemberSet) -> Picker {
        let candidates: Box<[MemberId]> =
            members.iter().copied().filter(|m| available.contains(*m)).collect();
        let order = match self {
            Self::Failover => Order::List,
            Self::RoundRobin => Order::LeastRecent,
        };
        Picker::new(order, candidates)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
