//! The configuration file (TOML): what an operator may set in addition to IDM's document. The file is read as a whole, and
//! every fault is reported at once with its line; nothing of a file with a fault is used.

mod idms;
mod keys;
#[cfg(test)]
mod manual;
mod meant;
mod members;
mod report;
pub(crate) mod time;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rcs_core::agreed::Document;
use rcs_core::bundles::group::Reports;
use rcs_core::limits::{CONFIG_BYTES_MAX, CONFIG_FAULTS_MAX, MEMBERS_MAX};
use rcs_core::settings::{GroupSettings, Settings};
use rcs_core::slip;
use rcs_core::view::{Link, is_usable_name};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::idms::IDM;
pub(crate) use self::idms::{Idm, Idms, ReadIdm, SYSTEM};
use self::keys::{GROUP, Key, OWN_GROUP, ROUTER, Value};
pub(crate) use self::keys::{NONE_LEFT, REPORTS, word_of};
pub(crate) use self::members::Members;
use self::members::{MEMBER, MEMBERS, MemberFiles};
pub use self::report::Effective;
use crate::document::Faults;
use crate::file::Content;
use crate::limits::{IDM_SOCKETS_MAX, IDMS_MAX, LISTENERS_MAX};

/// The configuration file, and what is remembered of it.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// What was there when it was last looked at, good or bad.
    seen: Option<Content>,
    /// What its last good version says.
    parsed: Parsed,
}

/// The contents of a configuration file.
#[derive(Clone, Debug, Default)]
struct Parsed {
    settings: Settings,
    members: Members,
    idms: Idms,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It has faults.
    #[error("the configuration file {path} cannot be used:\n{faults}")]
    Faulty {
        /// The file.
        path: PathBuf,
        /// Each fault with its line, its key, and what to do.
        faults: Faults,
    },
}

impl ConfigFile {
    /// Names a file; nothing is read yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None, parsed: Parsed::default() }
    }

    /// What its last good version says.
    pub(crate) fn settings(&self) -> &Settings {
        &self.parsed.settings
    }

    /// The last good version's tables of single members.
    pub(crate) fn members(&self) -> &Members {
        &self.parsed.members
    }

    /// The last good version's tables of IDMs that the router dials.
    pub(crate) fn idms(&self) -> &Idms {
        &self.parsed.idms
    }

    /// The faults of this file as an error.
    pub(crate) fn faulty(&self, faults: Vec<String>) -> ConfigError {
        ConfigError::Faulty { path: self.path.clone(), faults: Faults(faults) }
    }

    /// Reads the file; `None` if the file did not change. A bad file leaves the settings as they are.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub(crate) fn reload(&mut self) -> Option<Result<(), ConfigError>> {
        let content = Content::read(&self.path, CONFIG_BYTES_MAX);
        if self.seen.as_ref() == Some(&content) {
            return None;
        }
        let outcome = self.judge(&content);
        self.seen = Some(content);
        Some(outcome.map(|parsed| self.parsed = parsed))
    }

    fn judge(&self, content: &Content) -> Result<Parsed, ConfigError> {
        let path = self.path.clone();
        let text = match content {
            Content::Unreadable(reason) => {
                return Err(ConfigError::Unreadable { path, reason: reason.clone() });
            }
            Content::Text(text) => text,
        };
        parse(text).map_err(|faults| ConfigError::Faulty { path, faults: Faults(faults) })
    }
}

/// Tables for groups that the document does not have: a typing error, or a group that is added later.
pub(crate) fn unknown_groups<'a>(settings: &'a Settings, document: &Document) -> Vec<&'a str> {
    let is_known = |wanted: &String| document.addresses().any(|name| name == wanted);
    settings.groups.keys().filter(|name| !is_known(name)).map(String::as_str).collect()
}

/// What is said of [`dialled_hosts`].
pub(crate) const HOSTS_NOT_USED: &str = "hosts is for servers in client mode, and the router dials this server; hosts is not used. List each \
                                         server with a name of its own";

/// Servers with several hosts that the router dials.
pub(crate) fn dialled_hosts<'a>(settings: &'a Settings, document: &Document) -> Vec<&'a str> {
    let is_dialled = |name: &str| {
        let member = document.members.iter().find(|member| member.name == name);
        member.is_some_and(|member| matches!(member.link, Link::Dial(_)))
    };
    settings.hosts.keys().map(String::as_str).filter(|name| is_dialled(name)).collect()
}

/// Reads a text. Faults are in the order of their lines.
fn parse(text: &[u8]) -> Result<Parsed, Vec<String>> {
    if text.len() > CONFIG_BYTES_MAX {
        return Err(vec![format!(
            "the file is longer than {CONFIG_BYTES_MAX} bytes. Use fewer groups or comments"
        )]);
    }
    let Ok(text) = str::from_utf8(text) else {
        return Err(vec!["the file is not UTF-8 text. Save it as UTF-8".to_owned()]);
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, faults: Vec::new() };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.fault(at, format!("not valid TOML: {}", error.message()));
    }
    // What is said of the rest of a file that is no TOML would be guesses.
    let parsed = if reader.faults.is_empty() { reader.parsed(root.get_ref()) } else { Parsed::default() };
    match reader.faults.is_empty() {
        true => Ok(parsed),
        false => Err(reader.told()),
    }
}

/// The names of all tables, and how each is written.
const TABLES: [(&str, &str); 6] = [
    ("router", "[router]"),
    ("defaults", "[defaults]"),
    ("group", "[group.NAME]"),
    ("members", "[members]"),
    ("member", "[member.NAME]"),
    ("idm", "[idm.NAME]"),
];

/// Characters of one fault: the longest of our own sentences with a key of ordinary length.
const FAULT_CHARS_MAX: usize = 800;

/// Walks over a parsed file and collects faults.
struct Reader<'a> {
    text: &'a str,
    /// Where, and what.
    faults: Vec<(usize, String)>,
}

type Entry<'a, 'b> = (&'b Spanned<std::borrow::Cow<'a, str>>, &'b Spanned<DeValue<'a>>);

impl Reader<'_> {
    fn parsed(&mut self, root: &DeTable<'_>) -> Parsed {
        let Parsed { mut settings, mut members, mut idms } = Parsed::default();
        // Groups inherit, so what they inherit comes first.
        if let Some((_, defaults)) = root.iter().find(|(key, _)| key.get_ref() == "defaults") {
            self.table("defaults", defaults, &[GROUP], &mut settings.defaults);
            self.relations("defaults", defaults, &settings.defaults);
        }
        for (key, value) in root {
            match key.get_ref().as_ref() {
                "defaults" => {}
                "router" => self.table("router", value, &[ROUTER], &mut settings.router),
                "group" => self.groups(value, &mut settings),
                "members" => {
                    self.table("members", value, &[MEMBERS], &mut members.others);
                    self.one_place("members", value, &members.others);
                }
                "member" => self.members(value, &mut members, &mut settings),
                "idm" => self.idms(value, &mut idms),
                other => {
                    let guess = match slip::meant(other, TABLES.iter().map(|(name, _)| *name)) {
                        Some(name) => {
                            TABLES.iter().filter(|(known, _)| *known == name).map(|(_, form)| *form).collect()
                        }
                        None => String::new(),
                    };
                    let what = match guess.is_empty() {
                        false => format!("{other}: unknown table. Did you mean {guess}?"),
                        true => format!(
                            "{other}: unknown table. Use [router], [defaults], [group.NAME], [members], [member.NAME] or [idm.NAME]"
                        ),
                    };
                    self.fault(key.span().start, what);
                }
            }
        }
        Parsed { settings, members, idms }
    }

    fn idms(&mut self, value: &Spanned<DeValue<'_>>, idms: &mut Idms) {
        let Some(named) = value.get_ref().as_table() else {
            return self.fault(value.span().start, "idm: it must be a table: [idm.NAME]".to_owned());
        };
        let mut sockets = 0;
        for (name, value) in named {
            let path = format!("idm.{}", name.get_ref());
            if !is_usable_name(name.get_ref()) || idms.0.len() >= IDMS_MAX {
                self.fault(
                    name.span().start,
                    format!(
                        "{path}: not a valid name, or more than {IDMS_MAX} IDMs. Use the connectorServerName that the IDM has for the router"
                    ),
                );
                continue;
            }
            let mut idm = Idm::default();
            let before = self.faults.len();
            self.table(&path, value, &[IDM], &mut idm);
            // A key with a fault is neither missing nor without a meaning.
            if self.faults.len() == before {
                for what in idm.faults() {
                    self.fault(value.span().start, format!("{path}: {what}"));
                }
            }
            sockets += idm.urls.len() * (idm.connections + 1);
            if sockets > IDM_SOCKETS_MAX {
                self.fault(
                    value.span().start,
                    format!(
                        "{path}: more than {IDM_SOCKETS_MAX} connections to all IDMs together. Lower connections, or list fewer URLs"
                    ),
                );
            }
            idms.0.insert(name.get_ref().to_string(), idm);
        }
    }

    fn members(&mut self, value: &Spanned<DeValue<'_>>, members: &mut Members, settings: &mut Settings) {
        let Some(named) = value.get_ref().as_table() else {
            return self.fault(value.span().start, "member: it must be a table: [member.NAME]".to_owned());
        };
        for (name, value) in named {
            let path = format!("member.{}", name.get_ref());
            if !is_usable_name(name.get_ref()) || members.named.len() >= MEMBERS_MAX {
                self.fault(
                    name.span().start,
                    format!("{path}: not a valid server name. Use the name of a server in the provider file"),
                );
                continue;
            }
            let mut files = MemberFiles::default();
            self.table(&path, value, &[MEMBER], &mut files);
            self.one_place(&path, value, &files);
            if files.hosts > 1 {
                settings.hosts.insert(name.get_ref().to_string(), files.hosts);
            }
            members.named.insert(name.get_ref().to_string(), files);
        }
    }

    fn one_place(&mut self, path: &str, value: &Spanned<DeValue<'_>>, files: &MemberFiles) {
        if files.key_file.is_some() && files.key_variable.is_some() {
            self.fault(
                value.span().start,
                format!("{path}: the key is in key_file and in key_variable. Remove one of the two"),
            );
        }
    }

    fn groups(&mut self, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let Some(groups) = value.get_ref().as_table() else {
            return self.fault(value.span().start, "group: it must be a table: [group.NAME]".to_owned());
        };
        let mut addresses: BTreeMap<SocketAddr, &str> = BTreeMap::new();
        for (name, value) in groups {
            let path = format!("group.{}", name.get_ref());
            if !is_usable_name(name.get_ref()) {
                self.fault(
                    name.span().start,
                    format!("{path}: not a valid group name. Use the name of a group in the provider file"),
                );
            }
            let mut group: GroupSettings = settings.defaults.clone();
            self.table(&path, value, &[GROUP, OWN_GROUP], &mut group);
            self.relations(&path, value, &group);
            if let Some(address) = group.listen {
                let other = addresses.insert(address, name.get_ref());
                if let Some(other) = other {
                    self.fault(
                        value.span().start,
                        format!("{path}.listen: \"{address}\" is the address of the group {other:?} too. Choose another port"),
                    );
                }
                if addresses.len() > LISTENERS_MAX {
                    self.fault(
                        value.span().start,
                        format!("{path}.listen: at most {LISTENERS_MAX} groups may have an address of their own. Use paths for the others"),
                    );
                }
            }
            settings.groups.insert(name.get_ref().to_string(), group);
        }
    }

    fn table<S: Clone>(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        keys: &[&[Key<S>]],
        into: &mut S,
    ) {
        let Some(table) = value.get_ref().as_table() else {
            return self.fault(value.span().start, format!("{path}: it must be a table: [{path}]"));
        };
        for entry in table {
            self.entry(path, "", entry, keys, into);
        }
    }

    /// One key; `within` is the table inside the table that it is in, with its dot.
    fn entry<S: Clone>(
        &mut self,
        path: &str,
        within: &str,
        (key, value): Entry<'_, '_>,
        keys: &[&[Key<S>]],
        into: &mut S,
    ) {
        let known = || keys.iter().copied().flatten();
        let name = format!("{within}{}", key.get_ref());
        let prefix = format!("{name}.");
        if known().any(|key| key.name.starts_with(&prefix)) {
            match value.get_ref().as_table() {
                Some(table) => {
                    for entry in table {
                        self.entry(path, &prefix, entry, keys, into);
                    }
                }
                None => self.fault(
                    value.span().start,
                    format!("{path}.{name}: it must be a table: {prefix}KEY = VALUE"),
                ),
            }
            return;
        }
        let Some(found) = known().find(|key| key.name == name) else {
            let like: Vec<&str> = known().map(|key| key.name).collect();
            let what = match (meant::key(&name, &like), meant::home_of(&name)) {
                (Some(meant), _) => format!("unknown key. Did you mean {meant}?"),
                (None, Some(home)) => format!("this key belongs in {home}. Move it there"),
                (None, None) => format!("unknown key. {path} may have: {}", like.join(", ")),
            };
            return self.fault(key.span().start, format!("{path}.{name}: {what}"));
        };
        if let Err(why) = found.set(into, plain(value.get_ref())) {
            let at = value.span();
            let given = self.text.get(at.clone()).unwrap_or_default();
            let given: String = given.chars().take(40).collect();
            let form = match found.is_time() {
                true => format!("; a time is {}", time::FORM),
                false => String::new(),
            };
            self.fault(
                at.start,
                match why {
                    Some(why) => format!("{path}.{name}: {given} is not valid: {why}"),
                    None => format!("{path}.{name}: {given} is not valid. Use {}{form}", found.choice()),
                },
            );
        }
    }

    fn relations(&mut self, path: &str, value: &Spanned<DeValue<'_>>, group: &GroupSettings) {
        if group.ejection.base > group.ejection.cap {
            self.fault(
                value.span().start,
                format!("{path}.ejection: base is longer than cap. Lower base or raise cap"),
            );
        }
        let has_files = group.pinned.is_some_and(|set| set.files.is_some());
        if has_files && group.bundles.reports == Reports::WireOnly {
            self.fault(
                value.span().start,
                format!(
                    "{path}.bundles: pinned has a digest of files (after the +), but reports is wire_only, which ignores \
                     files. Remove the + and what follows, or set reports to require_agent"
                ),
            );
        }
    }

    fn fault(&mut self, at: usize, what: String) {
        if self.faults.len() < CONFIG_FAULTS_MAX {
            // One line each, whatever its keys and values hold.
            let line = what.chars().take(FAULT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c });
            self.faults.push((at, line.collect()));
        }
    }

    fn told(mut self) -> Vec<String> {
        self.faults.sort();
        let line = |at: usize| self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let stop = |what: &str| if what.ends_with('?') { "" } else { "." };
        self.faults.iter().map(|(at, what)| format!("line {}: {what}{}", line(*at), stop(what))).collect()
    }
}

/// The value as the keys know it. Numbers with signs, fractions or other bases are none.
fn plain<'a>(value: &'a DeValue<'_>) -> Value<'a> {
    match value {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) if number.radix() == 10 => {
            number.as_str().parse().map_or(Value::Other, Value::Integer)
        }
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str());
            texts.collect::<Option<_>>().map_or(Value::Other, Value::Texts)
        }
        _ => Value::Other,
    }
}

#[cfg(test)]
mod tests;
