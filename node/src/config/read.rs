//! From settings to [`NodeConfig`].

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rcs_proto::icf::Secret;

use super::keys::Scope;
use super::settings::{Setting, Settings};
use super::{
    Examined, Listen, ListenHost, Mode, NodeConfig, Origin, Override, Problem, StoreFile, Transport,
};
use crate::key::{DEFAULT_KEY_TEXT, SharedKey};
use crate::properties;

/// The properties that examples fill with placeholders.
const PLACEHOLDERS: [&str; 6] =
    ["url", "connectorServerName", "hostId", "tokenEndpoint", "clientId", "clientSecret"];
const DEFAULT_PORT: u16 = 8759;
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(300);

pub(super) fn read(bytes: &[u8], path: &Path, overrides: &[Override]) -> Examined {
    let (document, syntax) = properties::examine(bytes);
    let mut settings = Settings::of(&document, overrides);
    let problems = settings.take_problems();
    let mut reader = Reader { settings, problems, install_root: install_root(path) };
    let config = reader.config();
    let Reader { settings, problems, .. } = reader;
    let config = config.map(|config| NodeConfig { notices: settings.into_notices(), ..config });
    Examined { config, syntax, problems }
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

pub(super) struct Reader<'a> {
    pub(super) settings: Settings<'a>,
    pub(super) problems: Vec<Problem>,
    install_root: PathBuf,
}

impl<'a> Reader<'a> {
    /// `None` only together with a problem.
    fn config(&mut self) -> Option<NodeConfig> {
        let key_store = self.store("keyStoreFile", "keyStoreType", "keyStorePass");
        let trust_store = self.store("trustStoreFile", "trustStoreType", "trustStorePass");
        self.note_key_pass();
        for (file, rest) in [
            ("keyStoreFile", &["keyStoreType", "keyStorePass", "keyPass"][..]),
            ("trustStoreFile", &["trustStoreType", "trustStorePass"]),
        ] {
            if self.settings.get(file).is_none() {
                self.note_alone(rest, file);
            }
        }
        for name in ["loggerClass", "loggingConfigFile"] {
            if let Some(setting) = self.settings.get(name) {
                let notice = setting.notice(
                    "has no effect: it is for a Java logger. This node logs to standard error, and RCS_LOG sets the level",
                );
                self.settings.notice(notice);
            }
        }
        self.note_placeholders();
        let ping_interval = self.number("pingPongInterval", Duration::from_secs);
        let mut ping_interval =
            Some(ping_interval.unwrap_or(DEFAULT_PING_INTERVAL)).filter(|time| !time.is_zero());
        let mode = if self.settings.get("url").is_some() {
            self.settings.name_misplaced(Scope::Client);
            let dial = self.dial();
            if let Some(dial) = &dial {
                // Dead sockets are found by pings; without pings, TCP itself finds them.
                ping_interval = ping_interval.map(|time| time.min(dial.rhythm.housekeeping_interval));
            }
            dial.map(|dial| Mode::Client(Box::new(dial)))
        } else {
            self.settings.name_misplaced(Scope::Server);
            self.note_unused_user(
                "in server mode: any user name is let in, and connectorserver.key is compared",
            );
            Some(Mode::Server(self.listen(key_store.is_some())))
        };
        Some(NodeConfig {
            mode: mode?,
            ping_interval,
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

    fn listen(&mut self, has_key_store: bool) -> Listen {
        let transport = self.transport();
        if transport == Transport::Tls && !has_key_store {
            let what =
                "is needed with useSSL=true: name a PKCS12 store with the server's key and certificate";
            self.missing("keyStoreFile", what);
        }
        if let (Transport::Plain, Some(setting)) = (transport, self.settings.get("keyStoreFile")) {
            let notice = setting
                .notice("has no effect without connectorserver.useSSL=true: callers connect without TLS");
            self.settings.notice(notice);
        }
        let key = match self.settings.get("key") {
            None => SharedKey::of_text(DEFAULT_KEY_TEXT),
            Some(setting) => SharedKey::from_base64(setting.trimmed()).unwrap_or_else(|no| {
                self.problems.push(setting.problem(no.to_string()));
                SharedKey::nobodys()
            }),
        };
        let (host_key, host) = self.host();
        let port = self.number("port", |port: u16| port).unwrap_or(DEFAULT_PORT);
        Listen { host, host_key, port, key, transport }
    }

    /// The host, and the property that named it.
    fn host(&mut self) -> (&'static str, ListenHost) {
        let mut named: Option<(&'static str, ListenHost)> = None;
        for name in ["address", "ifaddress"] {
            let Some(setting) = self.settings.get(name) else { continue };
            match (ListenHost::parse(setting.trimmed()), &named) {
                (None, _) => self.problems.push(setting.problem(
                    "is neither an IP address nor a host name; use 0.0.0.0 or :: for all interfaces, and connectorserver.port for the port",
                )),
                (Some(host), Some((_, before))) if host != *before => {
                    self.problems.push(setting.problem("differs from connectorserver.address; keep one of the two"));
                }
                (Some(host), None) => named = Some((name, host)),
                (Some(_), Some(_)) => {}
            }
        }
        named.unwrap_or(("address", ListenHost::all()))
    }

    pub(super) fn missing(&mut self, key: &'static str, what: &str) {
        self.problems.push(Problem { origin: Origin::Missing, key, value: None, what: what.to_owned() });
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

    fn store(&mut self, file: &'static str, kind: &'static str, password: &'static str) -> Option<StoreFile> {
        if let Some(setting) = self.settings.get(kind)
            && !setting.trimmed().eq_ignore_ascii_case("PKCS12")
            && !(kind == "trustStoreType" && setting.trimmed().eq_ignore_ascii_case("PEM"))
        {
            self.problems.push(setting.problem(
                "must be PKCS12; convert the store with `keytool -importkeystore -srckeystore OLD -destkeystore NEW.p12 -deststoretype PKCS12`",
            ));
        }
        self.settings.get(file)?;
        let password = self.secret(password).unwrap_or(Secret::new(String::new()));
        Some(StoreFile { path: self.path(file, ""), password })
    }

    /// A PKCS12 store that keytool made has one password, so a `keyPass` of its own (P26) can only be a mistake.
    fn note_key_pass(&mut self) {
        let Some(key) = self.settings.get("keyPass").filter(|_| self.settings.get("keyStoreFile").is_some())
        else {
            return;
        };
        let notice = match self.settings.get("keyStorePass") {
            Some(store) if store.raw() == key.raw() => return,
            Some(_) => "differs from keyStorePass; a PKCS12 store has one password, keyStorePass is used",
            None => "has no effect: a PKCS12 store has one password; set connectorserver.keyStorePass",
        };
        let notice = key.notice(notice);
        self.settings.notice(notice);
    }

    /// Names user and password where something else proves who calls or dials (P30, P31). `why` goes on after "has no effect".
    pub(super) fn note_unused_user(&mut self, why: &str) {
        for name in ["principal", "password"] {
            if let Some(setting) = self.settings.get(name) {
                let notice = setting.notice(&format!("has no effect {why}"));
                self.settings.notice(notice);
            }
        }
    }

    /// Names values that examples of the vendor have in the place of real ones.
    fn note_placeholders(&mut self) {
        for name in PLACEHOLDERS {
            let Some(setting) = self.settings.get(name) else { continue };
            let value = setting.trimmed();
            let is_marked = value.contains('<') && value.contains('>');
            if is_marked
                || ["my-", "MY_"].iter().any(|start| value.starts_with(start))
                || value.contains("//my-tenant.")
            {
                let notice =
                    setting.notice("is the placeholder of an example; write the value of your installation");
                self.settings.notice(notice);
            }
        }
    }

    pub(super) fn path(&self, name: &'static str, default: &str) -> PathBuf {
        self.install_root.join(self.settings.get(name).map_or(default, |setting| setting.trimmed()))
    }

    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.settings.get(name).map(|setting| setting.trimmed().to_owned())
    }

    pub(super) fn secret(&self, name: &'static str) -> Option<Secret<String>> {
        self.settings.get(name).map(|setting| Secret::new(setting.raw().to_owned()))
    }

    pub(super) fn number<N: Bounded, T>(
        &mut self,
        name: &'static str,
        make: impl FnOnce(N) -> T,
    ) -> Option<T> {
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
pub(super) trait Bounded: FromStr {
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
