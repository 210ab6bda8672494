//! Who decides members, groups and settings: the files of the routers, or the cluster. And what became of the files.

use rcs_proto::manifest::Digest;
use serde::{Deserialize, Serialize};

use super::At;
use super::stored::text;

/// Who decides members, groups and settings. Marks, bundle sets and credentials are decided by the cluster in both cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Authority {
    /// The files: kept in git or in a ConfigMap, and followed whenever they change. The API changes no groups.
    #[default]
    File,
    /// The cluster: the files fill an empty cluster state. Afterwards the API decides, and files that differ are reported.
    Cluster,
}

impl Authority {
    /// The word for settings, logs and the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Cluster => "cluster",
        }
    }
}

/// The files that a router offered last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferedFiles {
    /// SHA-256 of their text.
    #[serde(with = "text")]
    pub digest: Digest,
    /// When they were offered.
    pub at: At,
    /// The address of the router that offered them.
    pub from: String,
    /// What became of them.
    pub state: FilesState,
}

/// What became of files that a router offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FilesState {
    /// What they say is in force.
    InForce,
    /// They say something else than what the cluster decided, and are not followed.
    Differ,
    /// They cannot be used.
    Refused,
}
