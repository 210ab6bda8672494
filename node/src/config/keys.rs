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
    /// Whether the value is a secret, or a hash of one.
    pub(super) secrecy: Secrecy,
}

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// In any message.
    Open,
    /// In no message.
    Secret,
}

/// The most mistakes with which a misspelt name is still recognized.
const MISTAKES_MAX: usize = 2;

impl Key {
    /// The known property of that name, compared as Java does: case counts.
    pub(super) fn find(name: &str) -> Option<&'static Key> {
        ALL.iter().find(|key| key.name == name)
    }

    /// The most similar known name, which may differ in case only, or by a letter or two.
    pub(super) fn similar(name: &str) -> Option<&'static Key> {
        let lower = name.to_ascii_lowercase();
        let near = |key: &&Key| mistakes(&lower, &key.name.to_ascii_lowercase());
        // With two mistakes, a short word may be another word.
        let most = if name.len() < 6 { 1 } else { MISTAKES_MAX };
        ALL.iter().min_by_key(near).filter(|key| near(key) <= most)
    }
}

/// All of them. `usessl` is the spelling that the open server reads (P32). The following are in no page of the vendor: `address`,
/// `ifaddress`, which the open server knows, `clientSecretFile` and `tokenEnd`.
pub(super) const ALL: &[Key] = &[
    client("connectorServerName"),
    client("url"),
    client("hostId"),
    client("proxyHost"),
    client("proxyPort"),
    client("proxyPrincipal"),
    secret(client("proxyPassword")),
    client("housekeepingInterval"),
    client("groupCheckInterval"),
    client("webSocketConnections"),
    client("maxWebSocketConnections"),
    client("connectionTtl"),
    client("newConnectionsInterval"),
    client("tokenEndpoint"),
    client("scope"),
    client("clientId"),
    secret(client("clientSecret")),
    client("clientSecretFile"),
    client("tokenEnd"),
    both("pingPongInterval"),
    both("trustStoreFile"),
    both("trustStoreType"),
    secret(both("trustStorePass")),
    both("keyStoreFile"),
    both("keyStoreType"),
    secret(both("keyStorePass")),
    secret(both("keyPass")),
    both("libDir"),
    both("bundleDir"),
    both("loggerClass"),
    both("loggingConfigFile"),
    both("principal"),
    secret(both("password")),
    server("useSSL"),
    server("usessl"),
    server("port"),
    secret(server("key")),
    server("address"),
    server("ifaddress"),
];

const fn client(name: &'static str) -> Key {
    Key { name, scope: Scope::Client, secrecy: Secrecy::Open }
}

const fn server(name: &'static str) -> Key {
    Key { name, scope: Scope::Server, secrecy: Secrecy::Open }
}

const fn both(name: &'static str) -> Key {
    Key { name, scope: Scope::Both, secrecy: Secrecy::Open }
}

const fn secret(key: Key) -> Key {
    Key { secrecy: Secrecy::Secret, ..key }
}

/// The number of letters that must be added, left out, replaced or swapped with their neighbours to make one word of the other. For words
/// that differ more, a number beyond [`MISTAKES_MAX`].
fn mistakes(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > MISTAKES_MAX {
        return MISTAKES_MAX + 1;
    }
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=other.len()).collect());
    for (row, letter) in one.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let replaced = last.get(column).map_or(usize::MAX, |count| count + usize::from(letter != wanted));
            let added = now.last().map_or(usize::MAX, |count| count + 1);
            let left_out = last.get(column + 1).map_or(usize::MAX, |count| count + 1);
            let swaps = row > 0
                && column > 0
                && one.get(row - 1) == Some(wanted)
                && other.get(column - 1) == Some(letter);
            let swapped =
                before.get(column.wrapping_sub(1)).filter(|_| swaps).map_or(usize::MAX, |count| count + 1);
            now.push(replaced.min(added).min(left_out).min(swapped));
        }
        before = std::mem::replace(&mut last, now);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_guessed_and_another_word_is_not() {
        for (name, guess) in [
            ("Port", Some("port")),
            ("prot", Some("port")),
            ("USESSL", Some("useSSL")),
            ("userSSL", Some("useSSL")),
            ("keystoreFile", Some("keyStoreFile")),
            ("keyStoreFiel", Some("keyStoreFile")),
            ("keyStorePasswd", Some("keyStorePass")),
            ("ifAddres", Some("ifaddress")),
            ("nonsense", None),
            ("part", Some("port")),
            ("keyboard", None),
            ("", None),
        ] {
            assert_eq!(Key::similar(name).map(|key| key.name), guess, "{name}");
        }
    }
}
