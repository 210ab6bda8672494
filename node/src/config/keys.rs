//! The properties that a ConnectorServer.properties file may hold (docs/promises.md, section P): name, and the mode in which it means something.

/// What every name begins with in the file.
pub const PREFIX: &str = "connectorserver.";

/// The mode in which a property means something (P38).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The server listens for callers.
    Server,
    /// The server dials its callers.
    Client,
    /// Either.
    Both,
}

/// One known property, without [`PREFIX`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// Where it counts.
    pub(super) scope: Scope,
}

impl Key {
    /// The known property of that name, compared as Java does: case counts.
    pub(super) fn find(name: &str) -> Option<&'static Key> {
        ALL.iter().find(|key| key.name == name)
    }

    /// A known name that differs in case only.
    pub(super) fn similar(name: &str) -> Option<&'static Key> {
        ALL.iter().find(|key| key.name.eq_ignore_ascii_case(name))
    }
}

/// All of them. `usessl` is the spelling that the open server reads (P32); `address` and `ifaddress` are in no page of the
/// vendor: the open server knows the second.
pub(super) const ALL: &[Key] = &[
    client("connectorServerName"),
    client("url"),
    client("hostId"),
    client("proxyHost"),
    client("proxyPort"),
    client("proxyPrincipal"),
    client("proxyPassword"),
    client("housekeepingInterval"),
    client("groupCheckInterval"),
    client("webSocketConnections"),
    client("maxWebSocketConnections"),
    client("connectionTtl"),
    client("newConnectionsInterval"),
    client("tokenEndpoint"),
    client("scope"),
    client("clientId"),
    client("clientSecret"),
    both("pingPongInterval"),
    both("trustStoreFile"),
    both("trustStoreType"),
    both("trustStorePass"),
    both("keyStoreFile"),
    both("keyStoreType"),
    both("keyStorePass"),
    both("keyPass"),
    both("libDir"),
    both("bundleDir"),
    both("loggerClass"),
    both("principal"),
    both("password"),
    server("useSSL"),
    server("usessl"),
    server("port"),
    server("key"),
    server("address"),
    server("ifaddress"),
];

const fn client(name: &'static str) -> Key {
    Key { name, scope: Scope::Client }
}

const fn server(name: &'static str) -> Key {
    Key { name, scope: Scope::Server }
}

const fn both(name: &'static str) -> Key {
    Key { name, scope: Scope::Both }
}
