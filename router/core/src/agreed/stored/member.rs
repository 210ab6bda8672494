//! The stored form of members, with their keys. Beside the types, not on them: a member that could be turned into JSON anywhere would
//! soon show its key in an answer of the API.

use std::time::Duration;

use rcs_proto::icf::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::optional_millis;
use crate::view::{AdminState, Endpoint, Link, MemberSpec, Transport};

#[derive(Serialize, Deserialize)]
#[serde(remote = "MemberSpec", deny_unknown_fields)]
struct StoredMember {
    name: String,
    #[serde(with = "StoredLink")]
    link: Link,
    sockets: u8,
    #[serde(rename = "ping_interval_ms", with = "optional_millis")]
    ping_interval: Option<Duration>,
    #[serde(with = "StoredAdminState")]
    admin: AdminState,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Link", rename_all = "snake_case", deny_unknown_fields)]
enum StoredLink {
    Dial(#[serde(with = "StoredEndpoint")] Endpoint),
    Accept,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Endpoint", deny_unknown_fields)]
struct StoredEndpoint {
    host: String,
    port: u16,
    path: String,
    #[serde(with = "StoredTransport")]
    transport: Transport,
    principal: String,
    #[serde(with = "key")]
    key: Secret<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Transport", rename_all = "snake_case")]
enum StoredTransport {
    Plain,
    Tls,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AdminState", rename_all = "snake_case")]
enum StoredAdminState {
    Enabled,
    Disabled,
}

mod key {
    use super::*;

    pub(super) fn serialize<S: Serializer>(key: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(key.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

/// One member, for `#[serde(with = "...")]`.
pub(crate) mod one {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(member: &MemberSpec, to: S) -> Result<S::Ok, S::Error> {
        StoredMember::serialize(member, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MemberSpec, D::Error> {
        StoredMember::deserialize(from)
    }
}

/// Members in order, for `#[serde(with = "...")]`.
pub(crate) mod several {
    use super::*;

    struct Written<'a>(&'a MemberSpec);

    impl Serialize for Written<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            one::serialize(self.0, to)
        }
    }

    #[derive(Deserialize)]
    struct Read(#[serde(deserialize_with = "one::deserialize")] MemberSpec);

    pub(crate) fn serialize<S: Serializer>(members: &[MemberSpec], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(members.iter().map(Written))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<MemberSpec>, D::Error> {
        Ok(Vec::<Read>::deserialize(from)?.into_iter().map(|Read(member)| member).collect())
    }
}
