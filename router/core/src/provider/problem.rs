//! Every finding about a document: what is wrong, and what to do.

use std::fmt;

use crate::balance::Policy;
use crate::limits::{NAME_BYTES_MAX, PING_INTERVAL, PROVIDER_DOCUMENT_BYTES_MAX};

/// One finding, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path in the document (`remoteConnectorServers[1].port`), empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// The document can be used, but means something else to the router than to IDM, or probably not what was intended.
    Warning,
    /// Good to know.
    Note,
}

/// What is wrong. No variant ever holds a key or a password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`what` below says of each what it is")]
pub enum Problem {
    DocumentTooLong { bytes: usize },
    Empty,
    Syntax(String),
    WrongType { expected: &'static str, found: String },
    Missing(&'static str),
    NotInRange { found: String, min: u64, max: u64 },
    Unresolved(String),
    OpenPlaceholder,
    UnknownWrapper(String),
    Encrypted,
    NotLatin1(&'static str),
    BadName(String),
    BadHost(String),
    BadPath(String),
    PrincipalWithColon,
    TwoMembers { name: String, first: String },
    TwoGroups { name: String, first: String },
    GroupAndMember { name: String, first: String },
    UnknownType(String),
    WrongPlace { found: &'static str, belongs: &'static str },
    UnknownAlgorithm(String),
    EmptyGroup,
    ListedTwice(String),
    NoMemberLeft { group: String },
    TooMany { what: &'static str, found: usize, max: usize },
    NothingToRoute,
    OtherDocument(String),
    Misspelled { found: String, meant: &'static str },
    SampleHost(String),
    NoAddress(String),
    NotFlag(String),
    UnknownField,
    FieldTwice,
    Dangling { group: String, name: String },
    OddName { name: String, pattern: &'static str },
    ClientUseSsl,
    GroupInMemberArray { belongs: &'static str },
    OtherProtocol(String),
    ProxyIgnored,
    TokenInClear,
    TokenIgnored,
    UsesAgent,
    DefaultKey,
    TemplateKey,
    SampleKey,
    SameAddress { address: String, first: String },
    GroupDisabled(String),
    NoUsableMember(String),
    ProviderDisabled,
    MoreFindings(usize),
    IntervalNotUsed,
    PingIntervalTooLong { seconds: u64 },
}

impl Problem {
    /// How bad a finding is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::DocumentTooLong { .. }
            | Self::Empty
            | Self::Syntax(_)
            | Self::WrongType { .. }
            | Self::Missing(_)
            | Self::NotInRange { .. }
            | Self::Unresolved(_)
            | Self::OpenPlaceholder
            | Self::UnknownWrapper(_)
            | Self::Encrypted
            | Self::NotLatin1(_)
            | Self::BadName(_)
            | Self::BadHost(_)
            | Self::BadPath(_)
            | Self::PrincipalWithColon
            | Self::TwoMembers { .. }
            | Self::TwoGroups { .. }
            | Self::GroupAndMember { .. }
            | Self::UnknownType(_)
            | Self::WrongPlace { .. }
            | Self::UnknownAlgorithm(_)
            | Self::EmptyGroup
            | Self::ListedTwice(_)
            | Self::TooMany { .. }
            | Self::Misspelled { .. }
            | Self::SampleHost(_)
            | Self::NoAddress(_)
            | Self::NotFlag(_)
            | Self::TokenInClear
            | Self::NothingToRoute => Severity::Error,
            // Vendor examples list groups whose servers are in another document: load them (C13).
            Self::NoMemberLeft { .. }
            | Self::OtherDocument(_)
            | Self::UnknownField
            | Self::FieldTwice
            | Self::Dangling { .. }
            | Self::OddName { .. }
            | Self::ClientUseSsl
            | Self::GroupInMemberArray { .. }
            | Self::OtherProtocol(_)
            | Self::ProxyIgnored
            | Self::TokenIgnored
            | Self::UsesAgent
            | Self::DefaultKey
            | Self::TemplateKey
            | Self::SampleKey
            | Self::SameAddress { .. }
            | Self::GroupDisabled(_)
            | Self::NoUsableMember(_)
            | Self::ProviderDisabled
            | Self::MoreFindings(_) => Severity::Warning,
            Self::IntervalNotUsed | Self::PingIntervalTooLong { .. } => Severity::Note,
        }
    }

    /// What is wrong, without full stop.
    pub fn what(&self) -> String {
        match self {
            Self::DocumentTooLong { bytes } => {
                format!("the document has {bytes} bytes, more than {PROVIDER_DOCUMENT_BYTES_MAX}")
            }
            Self::Empty => "the file is empty".to_owned(),
            Self::Syntax(text) => format!("not JSON: {text}"),
            Self::WrongType { expected, found } => format!("must be {expected}, but is {found}"),
            Self::Missing(key) => format!("{key} is missing or empty"),
            Self::NotInRange { found, min, max } => {
                format!("must be a whole number from {min} to {max}, but is {found:?}")
            }
            Self::Unresolved(name) => format!("the placeholder &{{{name}}} has no value"),
            Self::OpenPlaceholder => "a placeholder &{ has no closing brace".to_owned(),
            Self::UnknownWrapper(wrap) => format!("the wrapper {wrap} is not supported"),
            Self::Encrypted => {
                "the value is encrypted with IDM's own key, which the router does not have".to_owned()
            }
            Self::NotLatin1(what) => format!("the {what} has characters that Basic credentials cannot carry"),
            Self::BadName(name) => format!("{name:?} cannot be used as a name"),
            Self::BadHost(host) => format!("{host:?} is not a host name or address"),
            Self::BadPath(path) => format!("{path:?} cannot be the path of a request"),
            Self::PrincipalWithColon => "a principal cannot hold a colon".to_owned(),
            Self::TwoMembers { name, first } => format!("{name:?} is already the name of {first}"),
            Self::TwoGroups { name, first } => {
                format!("{first} is a group of the same name {name:?}, with other contents")
            }
            Self::GroupAndMember { name, first } => {
                format!("the group has the name {name:?}, and so has the member {first}")
            }
            Self::UnknownType(found) => format!("unknown type {found:?}"),
            Self::WrongPlace { found, belongs } => format!("a {found} belongs in {belongs}"),
            Self::UnknownAlgorithm(found) => format!("unknown algorithm {found:?}"),
            Self::EmptyGroup => "the group lists no servers".to_owned(),
            Self::ListedTwice(name) => format!("{name:?} is listed twice in this group"),
            Self::NoMemberLeft { group } => {
                format!(
                    "none of the servers that group {group:?} lists is in this document: its calls will be refused"
                )
            }
            Self::TooMany { what, found, max } => format!("{found} {what}, but at most {max} are allowed"),
            Self::NothingToRoute => {
                "the document has no servers, clients or groups (IDM's own document is empty until a server is added)".to_owned()
            }
            Self::OtherDocument(id) => format!("this is the document {id:?}"),
            Self::Misspelled { found, meant } => format!("unknown field {found:?}, probably {meant:?} misspelt"),
            Self::SampleHost(host) => format!("{host:?} is a placeholder of an example, not a host"),
            Self::NoAddress(host) => format!("{host:?} looks like an IP address, but is none"),
            Self::NotFlag(found) => format!("must be true or false, but is {found:?}"),
            Self::UnknownField => "the router does not know this field and ignores it".to_owned(),
            Self::FieldTwice => "given twice; the last one counts".to_owned(),
            Self::Dangling { group, name } => {
                format!(
                    "group {group:?} lists {name:?}, which is not in this document; the group's other members \
                    serve without it"
                )
            }
            Self::OddName { name, pattern } => format!("the name {name:?} does not match {pattern}"),
            Self::ClientUseSsl => "useSSL has no meaning in client mode and is ignored".to_owned(),
            Self::GroupInMemberArray { belongs } => {
                format!("used as a group here; IDM 8.1.1 reads groups only from the top-level {belongs}")
            }
            Self::OtherProtocol(found) => {
                format!("protocol {found:?} is not supported; the router uses WebSockets")
            }
            Self::ProxyIgnored => {
                "this version does not dial through HTTP proxies; the server is dialled directly".to_owned()
            }
            Self::TokenInClear => {
                "an OAuth2 token would be sent in clear, because the connection to this server is not encrypted (ws)"
                    .to_owned()
            }
            Self::TokenIgnored => {
                "this version has no OAuth2: the router proves itself to the server with the key alone".to_owned()
            }
            Self::UsesAgent => {
                "useAgent: the router treats this address as the address of a server".to_owned()
            }
            Self::DefaultKey => "the key is the well-known default of connector servers".to_owned(),
            Self::TemplateKey => "the key is that of IDM's template, which matches no server".to_owned(),
            Self::SampleKey => "the key is the placeholder of an example".to_owned(),
            Self::SameAddress { address, first } => {
                format!("{address} is the address of {first} too: the same server under two names gets the share of two")
            }
            Self::GroupDisabled(name) => {
                format!("enabled is false: the group {name:?} is not served, and callers that ask for it are refused")
            }
            Self::NoUsableMember(group) => {
                format!("no server of group {group:?} can get calls: all are disabled")
            }
            Self::ProviderDisabled => "enabled is false: no server of this document is used".to_owned(),
            Self::MoreFindings(n) => format!("{n} more findings are not shown"),
            Self::IntervalNotUsed => {
                "the router has its own, shorter interval and does not use this one".to_owned()
            }
            Self::PingIntervalTooLong { seconds } => format!(
                "{seconds} s is longer than the router's own interval: the router pings every {} s",
                PING_INTERVAL.as_secs_f64()
            ),
        }
    }

    /// What to do, a sentence.
    pub fn fix(&self) -> String {
        match self {
            Self::DocumentTooLong { .. } => {
                "Check that this is the provider document; if it is, split it over \
            several routers."
                    .to_owned()
            }
            Self::Syntax(_) => {
                "Correct the document at this line and column. It must be IDM's provisioner.openicf.connectorinfoprovider, in JSON."
                    .to_owned()
            }
            Self::Empty => {
                "Write IDM's document provisioner.openicf.connectorinfoprovider as JSON: \
                {\"remoteConnectorServers\": [{\"name\": \"n1\", \"host\": \"HOST\", \"port\": 8759, \"key\": \"KEY\"}]}."
                    .to_owned()
            }
            Self::WrongType { expected, .. } => match *expected {
                "an object" => "Write an object, as {\"name\": \"n1\", ...}.".to_owned(),
                "an array" => "Write an array, with [ and ] around its entries.".to_owned(),
                "a text" => "Write a text, in quotes.".to_owned(),
                other => format!("Write {other}."),
            },
            Self::Missing(key) => format!("Add {key}."),
            Self::NotInRange { .. } => "Write a number in this range.".to_owned(),
            Self::Unresolved(name) => {
                format!(
                    "Set {name} in the router's environment, or write &{{{name}|default}} or the \
                value itself."
                )
            }
            Self::OpenPlaceholder => "Write &{NAME} or &{NAME|default}.".to_owned(),
            Self::UnknownWrapper(_) => "Write the value itself, or $int, $bool or $string.".to_owned(),
            Self::Encrypted => {
                "IDM never gives out another form. Leave the document as it is, write the clear key into a file, and name the file in \
                the router's configuration file: key_file = \"FILE\" in [members] or [member.NAME]. Or write the clear key, or a \
                placeholder such as &{RCS_KEY}, into the router's copy of the document."
                    .to_owned()
            }
            Self::NotLatin1(_) => "Use characters of ISO-8859-1 only.".to_owned(),
            Self::BadName(_) => format!(
                "Use 1 to {NAME_BYTES_MAX} bytes without '/', ':', '?', '#', '%', control characters, \
                and spaces at its ends."
            ),
            Self::BadHost(_) => {
                "Write the host alone: no scheme, no path, no spaces, the port in the field port, names in ASCII letters (xn--... for \
                others), IPv6 addresses with or without brackets."
                    .to_owned()
            }
            Self::BadPath(_) => "Write a path such as /openicf, in visible ASCII characters.".to_owned(),
            Self::PrincipalWithColon => "Choose a principal without ':'.".to_owned(),
            Self::TwoMembers { .. } | Self::GroupAndMember { .. } => "Rename one of the two.".to_owned(),
            Self::TwoGroups { .. } => "Rename one of the two, or make them equal.".to_owned(),
            Self::UnknownType(_) => {
                "Use remoteConnectorServer, remoteConnectorServersGroup, remoteConnectorClient or \
                remoteConnectorClientsGroup."
                    .to_owned()
            }
            Self::WrongPlace { belongs, .. } => format!("Move it to {belongs}, or correct its type."),
            Self::UnknownAlgorithm(_) => {
                format!("Use {}.", Policy::ALL.map(|p| format!("{:?}", p.name())).join(" or "))
            }
            Self::EmptyGroup => {
                "List at least one server, as {\"name\": \"...\"}, or remove the group.".to_owned()
            }
            Self::ListedTwice(_) => "Remove one of the two.".to_owned(),
            Self::NoMemberLeft { .. } => "Add the servers to this document, or remove the group.".to_owned(),
            Self::TooMany { .. } => "Split the document over several routers.".to_owned(),
            Self::NothingToRoute => {
                "Add a server to remoteConnectorServers: {\"name\": \"n1\", \"host\": \"HOST\", \"port\": 8759, \"key\": \"KEY\"}."
                    .to_owned()
            }
            Self::OtherDocument(_) => format!("Check that it is IDM's {}.", super::DOCUMENT_ID),
            Self::Misspelled { meant, .. } => {
                format!("Write {meant:?}. Upper and lower case count: IDM, too, ignores the field as it stands.")
            }
            Self::SampleHost(_) => "Write the name or address of the server.".to_owned(),
            Self::NoAddress(_) => "Write a whole address such as 10.0.0.7, or a name.".to_owned(),
            Self::NotFlag(_) => "Write true or false.".to_owned(),
            Self::UnknownField => "Check its spelling.".to_owned(),
            Self::FieldTwice => "Remove one of the two.".to_owned(),
            Self::Dangling { .. } => "Add the server, or remove it from the list.".to_owned(),
            Self::OddName { .. } => "IDM may refuse such a name; the router uses it as it is.".to_owned(),
            Self::ClientUseSsl => {
                "Remove useSSL; ws or wss in the server's URL decides about TLS.".to_owned()
            }
            Self::GroupInMemberArray { belongs } => format!("List it in {belongs}, or in both places."),
            Self::OtherProtocol(_) => "The server must be of version 1.5 or later; write \
            \"websocket\"."
                .to_owned(),
            Self::ProxyIgnored => {
                "Make sure that the router can reach the server without a proxy.".to_owned()
            }
            Self::TokenInClear => {
                "Set useSSL to true, or remove tokenEndpoint, scope, clientId and clientSecret: this version has no OAuth2 and proves \
                itself to the server with the key."
                    .to_owned()
            }
            Self::TokenIgnored => "Make sure that the server accepts the key.".to_owned(),
            Self::UsesAgent => "The router replaces the agent: write the server's own host and \
            port."
                .to_owned(),
            Self::DefaultKey => "Set another key with the server's setKey, and write it here.".to_owned(),
            Self::TemplateKey => "Write the key that was set with the server's setKey.".to_owned(),
            Self::SampleKey => "Write the key that was set with the server's setKey.".to_owned(),
            Self::SameAddress { .. } => "Remove one of the two, unless a port forwarder makes two servers of it.".to_owned(),
            Self::GroupDisabled(_) => "Set enabled to true, or remove the group.".to_owned(),
            Self::NoUsableMember(_) => {
                "Enable a server, or remove the group.".to_owned()
            }
            Self::ProviderDisabled => "Set enabled to true to use its servers.".to_owned(),
            Self::MoreFindings(_) => "Correct the findings that are shown first.".to_owned(),
            Self::IntervalNotUsed => "Nothing needs to be done.".to_owned(),
            Self::PingIntervalTooLong { .. } => {
                "A frozen server would be found too late with a longer one; 0 turns pings off.".to_owned()
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}. {}", self.problem.what(), self.problem.fix())
    }
}
