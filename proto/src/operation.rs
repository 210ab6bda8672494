//! The operations of the protocol, by their field numbers in requests and responses (WIRE 3.2).

use std::fmt;

/// One operation of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Checks a user's password.
    Authenticate,
    /// Creates an object.
    Create,
    /// Subscribes to changes of objects.
    ConnectorEventSubscription,
    /// Deletes an object.
    Delete,
    /// Reads one object by its uid.
    Get,
    /// Finds a uid by user name.
    ResolveUsername,
    /// Reads the schema.
    Schema,
    /// Runs a script in the connector.
    ScriptOnConnector,
    /// Runs a script on the resource.
    ScriptOnResource,
    /// Streams the objects that a filter chooses.
    Search,
    /// Streams the changes since a token.
    Sync,
    /// Reads the newest sync token.
    LatestSyncToken,
    /// Subscribes to changes since a token.
    SyncEventSubscription,
    /// Asks whether the resource can be reached.
    Test,
    /// Changes an object.
    Update,
    /// Checks the configuration.
    Validate,
    /// Says that a connector changed its configuration; sent by executors, never answered.
    ConfigurationChange,
    /// Runs several changes, or asks how they went.
    Batch,
    /// None of the above.
    Unknown,
}

impl Operation {
    /// Every operation that a caller can send.
    pub const CALLS: [Operation; 17] = [
        Operation::Authenticate,
        Operation::Create,
        Operation::ConnectorEventSubscription,
        Operation::Delete,
        Operation::Get,
        Operation::ResolveUsername,
        Operation::Schema,
        Operation::ScriptOnConnector,
        Operation::ScriptOnResource,
        Operation::Search,
        Operation::Sync,
        Operation::LatestSyncToken,
        Operation::SyncEventSubscription,
        Operation::Test,
        Operation::Update,
        Operation::Validate,
        Operation::Batch,
    ];

    /// The operation whose request has this field number in `OperationRequest`. 14 is `Sync` here: whether it is
    /// the question for the latest token shows only inside.
    pub fn of_request(number: u32) -> Option<Self> {
        Some(match number {
            4 => Self::Authenticate,
            5 => Self::Create,
            6 => Self::ConnectorEventSubscription,
            7 => Self::Delete,
            8 => Self::Get,
            9 => Self::ResolveUsername,
            10 => Self::Schema,
            11 => Self::ScriptOnConnector,
            12 => Self::ScriptOnResource,
            13 => Self::Search,
            14 => Self::Sync,
            15 => Self::SyncEventSubscription,
            16 => Self::Test,
            17 => Self::Update,
            18 => Self::Validate,
            19 => Self::ConfigurationChange,
            20 => Self::Batch,
            _ => return None,
        })
    }

    /// The operation whose answer has this field number in `OperationResponse`.
    pub fn of_response(number: u32) -> Option<Self> {
        match number {
            1..=15 => Self::of_request(number + 3),
            16 => Some(Self::Batch),
            _ => None,
        }
    }

    /// The operation that this class name of a configuration's maps stands for (LEGACY section 3). A sync's class stands for
    /// the question for the latest token as well.
    pub fn of_api_class(name: &str) -> Option<Self> {
        Some(match name {
            "AuthenticationApiOp" => Self::Authenticate,
            "CreateApiOp" => Self::Create,
            "ConnectorEventSubscriptionApiOp" => Self::ConnectorEventSubscription,
            "DeleteApiOp" => Self::Delete,
            "GetApiOp" => Self::Get,
            "ResolveUsernameApiOp" => Self::ResolveUsername,
            "SchemaApiOp" => Self::Schema,
            "ScriptOnConnectorApiOp" => Self::ScriptOnConnector,
            "ScriptOnResourceApiOp" => Self::ScriptOnResource,
            "SearchApiOp" => Self::Search,
            "SyncApiOp" => Self::Sync,
            "SyncEventSubscriptionApiOp" => Self::SyncEventSubscription,
            "TestApiOp" => Self::Test,
            "UpdateApiOp" => Self::Update,
            "ValidateApiOp" => Self::Validate,
            "BatchApiOp" => Self::Batch,
            _ => return None,
        })
    }

    /// Where Java looks for it if a request holds several: the lowest wins (WIRE section 2).
    pub(crate) fn java_rank(self) -> u32 {
        match self {
            Self::ConfigurationChange => 0,
            Self::Batch => 1,
            other => 2 + other as u32,
        }
    }

    /// Whether it stays open until somebody ends it.
    pub const fn is_subscription(self) -> bool {
        matches!(self, Self::ConnectorEventSubscription | Self::SyncEventSubscription)
    }

    /// Metric label and log word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Create => "create",
            Self::ConnectorEventSubscription => "subscribe",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::ResolveUsername => "resolve_username",
            Self::Schema => "schema",
            Self::ScriptOnConnector => "script_on_connector",
            Self::ScriptOnResource => "script_on_resource",
            Self::Search => "search",
            Self::Sync => "sync",
            Self::LatestSyncToken => "latest_sync_token",
            Self::SyncEventSubscription => "subscribe_sync",
            Self::Test => "test",
            Self::Update => "update",
            Self::Validate => "validate",
            Self::ConfigurationChange => "configuration_change",
            Self::Batch => "batch",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
