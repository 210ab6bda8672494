//! From settings to [`NodeConfig`].

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rcs_proto::icf::Secret;

use super::keys::Scope;
use super::settings::{Setting, Settings};
use super::{
    ConfigError, Dial, HttpProxy, Listen, Mode, NodeConfig, Origin, Override, Problem, StoreFile,
    TokenClient, Transport,
};
use crate::key::{DEFAULT_KEY_TEXT, SharedKey};
use crate::properties;

const DEFAULT_PORT: u16 = 8759;
const DEFAULT_PROXY_PORT: u16 = 8080;
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(300);

pub(super) fn read(bytes: &[u8], path: &Path, overrides: &[Override]) -> Result<NodeConfig, ConfigError> {
    let document = properties::parse(bytes)?;
    let mut reader = Reader {
        settings: Settings::of(&document, overrides),
        problems: Vec::new(),
        install_root: install_root(path),
    };
    let config = reader.config();
    match config {
        Some(config) if reader.problems.is_empty() => {
            Ok(NodeConfig { notices: reader.settings.into_notices(), ..config })
        }
        _ => Err(ConfigError::Problems(reader.problems)),
    }
}

/// The folder above the file's `conf`, or the file's own (P27, P28: paths are relative to the install root).
pub(super) fn install_root(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let in_conf = folder.file_name().is_some_and(|name| name == "conf");
    match folder.parent() {
        Some(above) if in_conf && !above.as_os_str().is_empty() => above.to_path_buf(),
        Some(_) if in_conf => PathBuf::from("."),
        _ => folder.to_path_buf(),
    }
}

struct Reader<'a> {
    settings: Settings<'a>,
    problems: Vec<Problem>,
    install_root: PathBuf,
}

impl<'a> Reader<'a> {
    /// `None` only together with a problem.
    fn config(&mut self) -> Option<NodeConfig> {
        let key_store = self.store("keyStoreFile", "keyStoreType", "keyStorePass");
        let trust_store = self.store("trustStoreFile", "trustStoreType", "trustStorePass");
        self.note_key_pass();
        if let Some(setting) = self.settings.get("loggerClass") {
            let notice =
                setting.notice("is ignored: this node has no Java logger and logs to standard error");
            self.settings.notice(notice);
        }
        let ping_interval = self.number("pingPongInterval", Duration::from_secs);
        let mode = if self.settings.get("url").is_some() {
            self.settings.name_misplaced(Scope::Client);
            self.dial().map(|dial| Mode::Client(Box::new(dial)))
        } else {
            self.settings.name_misplaced(Scope::Server);
            self.listen(key_store.is_some()).map(Mode::Server)
        };
        Some(NodeConfig {
            mode: mode?,
            ping_interval: Some(ping_interval.unwrap_or(DEFAULT_PING_INTERVAL))
                .filter(|time| !time.is_zero()),
            bundle_dir: self.path("bundleDir", "connectors"),
            lib_dir: self.path("libDir", "lib"),
            install_root: self.install_root.clone(),
            key_store,
            trust_store,
            principal: self.text("principal"),
            password: self.secret("password"),
            notices: Vec::new(),
        })
    }

    fn listen(&mut self, has_key_store: bool) -> Option<Listen> {
        let transport = self.transport();
        if transport == Transport::Tls && !has_key_store {
            let what =
                "is needed with useSSL=true: name a PKCS12 store with the server's key and certificate";
            self.problems.push(Problem {
                origin: Origin::Missing,
                key: "keyStoreFile",
                what: what.to_owned(),
            });
        }
        let key = match self.settings.get("key") {
            None => Ok(SharedKey::of_text(DEFAULT_KEY_TEXT)),
            Some(setting) => {
                SharedKey::from_base64(setting.trimmed()).map_err(|no| setting.problem(no.to_string()))
            }
        };
        Some(Listen {
            address: self.address()?,
            port: self.number("port", |port: u16| port).unwrap_or(DEFAULT_PORT),
            key: key.map_err(|problem| self.problems.push(problem)).ok()?,
            transport,
        })
    }

    fn address(&mut self) -> Option<IpAddr> {
        let both = [self.settings.get("address"), self.settings.get("ifaddress")];
        let [address, ifaddress] = both.map(|setting| setting.map(|s| (s, s.trimmed().parse::<IpAddr>())));
        match (address, ifaddress) {
            (None, None) => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            (Some((_, Ok(one))), Some((second, Ok(other)))) if one != other => {
                let problem = second.problem("differs from connectorserver.address; keep one of the two");
                self.problems.push(problem);
                None
            }
            (Some((_, Ok(one))), None | Some((_, Ok(_)))) | (None, Some((_, Ok(one)))) => Some(one),
            (Some((setting, Err(_))), _) | (_, Some((setting, Err(_)))) => {
                self.problems
                    .push(setting.problem("is not an IP address; use 0.0.0.0 or :: for all interfaces"));
                None
            }
        }
    }

    /// Either spelling (P32); a file that uses both must not contradict itself.
    fn transport(&mut self) -> Transport {
        let both = [self.settings.get("useSSL"), self.settings.get("usessl")];
        let [upper, lower] = both.map(|setting| setting.and_then(|s| Some((s, self.boolean(s)?))));
        match (upper, lower) {
            (Some((_, one)), Some((second, other))) if one != other => {
                let problem = second.problem("contradicts connectorserver.useSSL; keep one of the two");
                self.problems.push(problem);
                one
            }
            (Some((_, transport)), _) | (None, Some((_, transport))) => transport,
            (None, None) => Transport::Plain,
        }
    }

    fn boolean(&mut self, setting: Setting<'_>) -> Option<Transport> {
        match setting.trimmed().to_ascii_lowercase().as_str() {
            "true" => Some(Transport::Tls),
            "false" => Some(Transport::Plain),
            _ => {
                self.problems.push(setting.problem("is neither true nor false; write one of them"));
                None
            }
        }
    }

    fn dial(&mut self) -> Option<Dial> {
        let urls = self.urls()?;
        let server_name = self.server_name()?;
        Some(Dial {
            urls,
            server_name,
            host_id: self.text("hostId"),
            proxy: self.proxy(),
            housekeeping_interval: self.number("housekeepingInterval", Duration::from_secs),
            group_check_interval: self.number("groupCheckInterval", Duration::from_secs),
            sockets: self.number("webSocketConnections", |count: u16| count),
            max_sockets: self.number("maxWebSocketConnections", |count: u16| count),
            connection_ttl: self.number("connectionTtl", Duration::from_secs),
            new_connections_interval: self.number("newConnectionsInterval", Duration::from_secs),
            token: self.text("tokenEndpoint").map(|endpoint| TokenClient {
                endpoint,
                scope: self.text("scope"),
                client_id: self.text("clientId"),
                client_secret: self.secret("clientSecret"),
            }),
        })
    }

    /// Several URLs stand with blanks between them, or commas, as on the Java server's command line (P02, P40).
    fn urls(&mut self) -> Option<Vec<String>> {
        let setting = self.settings.get("url")?;
        let urls: Vec<String> = setting
            .trimmed()
            .split([' ', ',', '\t'])
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect();
        let is_websocket = |url: &String| {
            let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']))
        };
        if urls.is_empty() || !urls.iter().all(is_websocket) {
            self.problems.push(setting.problem("must hold ws:// or wss:// URLs, with blanks between them"));
            return None;
        }
        Some(urls)
    }

    fn server_name(&mut self) -> Option<String> {
        let Some(setting) = self.settings.get("connectorServerName") else {
            let what = "is needed with url: add the name of this server in the IDM".to_owned();
            self.problems.push(Problem { origin: Origin::Missing, key: "connectorServerName", what });
            return None;
        };
        let name = setting.trimmed();
        // The sample file itself breaks the rule, so it is a notice, and the name stays (P01, P39, W01).
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            let notice = setting
                .notice("should have lower-case letters and digits only; an IDM may not find another name");
            self.settings.notice(notice);
        }
        Some(name.to_owned())
    }

    fn proxy(&mut self) -> Option<HttpProxy> {
        Some(HttpProxy {
            host: self.text("proxyHost")?,
            port: self.number("proxyPort", |port: u16| port).unwrap_or(DEFAULT_PROXY_PORT),
            principal: self.text("proxyPrincipal"),
            password: self.secret("proxyPassword"),
        })
    }

    fn store(&mut self, file: &'static str, kind: &'static str, password: &'static str) -> Option<StoreFile> {
        if let Some(setting) = self.settings.get(kind)
            && !setting.trimmed().eq_ignore_ascii_case("PKCS12")
        {
            self.problems.push(setting.problem(
                "must be PKCS12; `keytool -importkeystore -deststoretype PKCS12` converts other stores",
            ));
        }
        self.settings.get(file)?;
        let password = self.secret(password).unwrap_or(Secret::new(String::new()));
        Some(StoreFile { path: self.path(file, ""), password })
    }

    /// A PKCS12 store that keytool made has one password, so a `keyPass` of its own (P26) can only be a mistake.
    fn note_key_pass(&mut self) {
        let (Some(key), Some(store)) = (self.settings.get("keyPass"), self.settings.get("keyStorePass"))
        else {
            return;
        };
        if key.raw() != store.raw() {
            let notice = key
                .notice("differs from keyStorePass; a PKCS12 store has one password, keyStorePass is used");
            self.settings.notice(notice);
        }
    }

    fn path(&self, name: &'static str, default: &str) -> PathBuf {
        self.install_root.join(self.settings.get(name).map_or(default, |setting| setting.trimmed()))
    }

    fn text(&self, name: &'static str) -> Option<String> {
        self.settings.get(name).map(|setting| setting.trimmed().to_owned())
    }

    fn secret(&self, name: &'static str) -> Option<Secret<String>> {
        self.settings.get(name).map(|setting| Secret::new(setting.raw().to_owned()))
    }

    fn number<N: Bounded, T>(&mut self, name: &'static str, make: impl FnOnce(N) -> T) -> Option<T> {
        let setting: Setting<'a> = self.settings.get(name)?;
        match setting.trimmed().parse::<N>() {
            Ok(number) if number.in_bounds() => Some(make(number)),
            _ => {
                self.problems.push(setting.problem(format!("must be a whole number from 0 to {}", N::LAST)));
                None
            }
        }
    }
}

/// Numbers of the file and the largest that makes sense.
trait Bounded: FromStr {
    const LAST: u64;
    fn in_bounds(&self) -> bool;
}

impl Bounded for u16 {
    const LAST: u64 = u16::MAX as u64;
    fn in_bounds(&self) -> bool {
        true
    }
}

/// Seconds; Java holds them in an int.
impl Bounded for u64 {
    const LAST: u64 = i32::MAX as u64;
    fn in_bounds(&self) -> bool {
        *self <= Self::LAST
    }
}
