//! What the agent needs of a properties file. It may be a Java server's with features that this node lacks (another type of key
//! store, client mode), so nothing else of it is judged.

use std::path::{Path, PathBuf};

use rcs_proto::icf::Secret;

use super::read::install_root;
use super::settings::Settings;
use super::{ConfigError, Override};
use crate::key::{DEFAULT_KEY_TEXT, SharedKey};
use crate::properties;

/// Where an RCS has its files, and who it is.
#[derive(Clone, Debug)]
pub struct Beside {
    /// `bundleDir`, as [`NodeConfig::bundle_dir`](super::NodeConfig::bundle_dir).
    pub bundle_dir: PathBuf,
    /// `libDir`, as [`NodeConfig::lib_dir`](super::NodeConfig::lib_dir).
    pub lib_dir: PathBuf,
    /// `connectorServerName` (P01), if it says.
    pub server_name: Option<String>,
    /// The hash of the key that the RCS and its router share, as `connectorserver.key` has it (P35): that property, or of
    /// `password` in client mode, where there is no such property; else of `changeit`.
    pub key_hash: Secret<String>,
}

impl Beside {
    /// Reads a file's bytes; `path` gives the install root, `overrides` win over the file (P40).
    ///
    /// # Errors
    /// [`ConfigError`] for what is no properties file, or has a key that is no hash.
    pub fn read(bytes: &[u8], path: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let document = properties::parse(bytes)?;
        let settings = Settings::of(&document, overrides);
        let root = install_root(path);
        let folder =
            |name, default: &str| root.join(settings.get(name).map_or(default, |setting| setting.trimmed()));
        let key = match (settings.get("url"), settings.get("key"), settings.get("password")) {
            (Some(_), _, Some(password)) => SharedKey::of_text(password.raw()),
            (_, Some(key), _) => SharedKey::from_base64(key.trimmed())
                .map_err(|no| ConfigError::Problems(vec![key.problem(no.to_string())]))?,
            _ => SharedKey::of_text(DEFAULT_KEY_TEXT),
        };
        Ok(Self {
            bundle_dir: folder("bundleDir", "connectors"),
            lib_dir: folder("libDir", "lib"),
            server_name: settings.get("connectorServerName").map(|name| name.trimmed().to_owned()),
            key_hash: Secret::new(key.to_base64()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Beside {
        Beside::read(text.as_bytes(), Path::new("/opt/openicf/conf/ConnectorServer.properties"), &[]).unwrap()
    }

    fn hash_of(key: &str) -> Secret<String> {
        Secret::new(SharedKey::of_text(key).to_base64())
    }

    /// P27, P28, P35, P39.
    #[test]
    fn the_vendors_samples_tell_what_is_needed() {
        let server = read(include_str!("../../tests/data/server.properties"));
        assert_eq!(server.bundle_dir, Path::new("/opt/openicf/connectors"));
        assert_eq!(server.lib_dir, Path::new("/opt/openicf/lib"));
        assert!(server.key_hash == hash_of("changeit") && server.server_name.is_none());
        let client = read(include_str!("../../tests/data/client.properties"));
        assert_eq!(client.server_name.as_deref(), Some("myConnectorServer"));
    }

    #[test]
    fn whatever_else_a_java_server_reads_does_not_matter() {
        let beside = read(
            "connectorserver.useSSL=true\nconnectorserver.keyStoreType=JKS\nconnectorserver.port=x\n\
             connectorserver.bundleDir=/srv/bundles\nconnectorserver.key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\=\n",
        );
        assert_eq!(beside.bundle_dir, Path::new("/srv/bundles"));
        assert!(beside.key_hash == hash_of("Passw0rd"));
        let client = read("connectorserver.url=ws://a/openicf\nconnectorserver.password= p \n");
        assert!(client.key_hash == hash_of("p "), "blanks at the end belong to a password");
        let clear = b"connectorserver.key=Passw0rd";
        let error = Beside::read(clear, Path::new("a"), &[]).expect_err("a key in clear").to_string();
        assert!(error.contains("set-key") && !error.contains("Passw0rd"), "{error}");
        assert!(!format!("{beside:?}").contains("xOS4"));
    }
}
