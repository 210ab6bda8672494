//! The file of credentials: who may call, which groups each caller may use, which members may dial the router, and whose tokens count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rcs_core::agreed::At;
use rcs_core::engine::Allowed;
use rcs_core::view::is_usable_name;
use rcs_proto::driver::tls::ClientCertificate;
use rcs_proto::manifest::Shown;
use toml::de::{DeTable, DeValue};

use super::beside::Beside;
use super::certificates::{CertificateName, Proving};
use super::fields::Fields;
use super::hash::{Hash, Memory};
use super::tokens::{Issuer, Issuers};
use super::{KNOWN_KEYS, Mode, Proved};
use crate::clock::wall;
use crate::limits::{
    CERTIFICATES_PER_ENTRY_MAX, CREDENTIAL_GROUPS_MAX, CREDENTIALS_MAX, HASHES_COMPARED_MAX, HASHES_MAX,
    OWNED_MEMBERS_MAX, PRINCIPAL_BYTES_MAX,
};

/// In the list of groups of a caller: every group.
const ALL_GROUPS: &str = "*";

/// What a credential is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// Its holder sends calls.
    Caller {
        /// The groups that the caller may use.
        allowed: Allowed,
        /// From when on the credential is refused.
        expires: Option<At>,
    },
    /// Its holder is one of these members: the one that the connection names, else the only one, else the one of the credential's own name.
    Member { owns: Arc<[String]> },
}

/// The credential of one name.
#[derive(Debug)]
pub(super) struct Credential {
    /// The hashes of the keys that prove the name; none if only tokens or certificates prove the name.
    pub(super) hashes: Vec<Arc<Hash>>,
    /// The certificates that prove the name.
    pub(super) certificates: Vec<CertificateName>,
    /// The issuer whose tokens prove the name.
    pub(super) token: Option<Arc<Issuer>>,
    pub(super) grant: Grant,
}

impl Credential {
    /// What the credential proves under its name.
    ///
    /// # Errors
    /// The credential expired at this moment.
    pub(super) fn proves(&self, name: &str) -> Result<Proved, At> {
        match &self.grant {
            Grant::Member { owns } => Ok(Proved::Member { name: name.into(), owns: Arc::clone(owns) }),
            Grant::Caller { expires: Some(at), .. } if *at <= wall() => Err(*at),
            Grant::Caller { allowed, .. } => {
                Ok(Proved::Caller { principal: name.into(), allowed: allowed.clone() })
            }
        }
    }
}

/// The content of a file. A name is that of a caller or that of a member, never of both.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: BTreeMap<String, Credential>,
    issuers: Issuers,
    /// The same certificates the other way round.
    proving: Proving,
}

impl Table {
    /// Reads a file, and the files that it names. Hashes and issuers that `before` has too keep what is known of them.
    ///
    /// # Errors
    /// The first fault: where it is, what is wrong, and what to do. Never contains a value of the file.
    pub(super) fn parse(
        bytes: &[u8],
        before: &Self,
        mode: Mode,
        beside: &mut Beside,
    ) -> Result<Self, String> {
        let text =
            str::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text: save it as UTF-8".to_owned())?;
        let root = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line} is not valid TOML, or repeats a name: write [caller.NAME], [member.NAME] and [issuer.NAME] tables")
        })?;
        let mut known = BTreeMap::new();
        for hash in before.names.values().flat_map(|credential| &credential.hashes) {
            known.insert(hash.text(), hash);
        }
        let mut kinds = BTreeMap::new();
        for (kind, value) in root.get_ref() {
            let kind: &str = kind.get_ref();
            if !matches!(kind, "caller" | "member" | "issuer") {
                return Err(format!(
                    "{} is unknown: use [caller.NAME], [member.NAME] and [issuer.NAME]",
                    Shown::new(kind)
                ));
            }
            let DeValue::Table(entries) = value.get_ref() else {
                return Err(format!("{kind} is not a table: write [{kind}.NAME]"));
            };
            kinds.insert(kind, entries);
        }
        let mut issuers = Issuers::default();
        for (name, entry) in kinds.remove("issuer").into_iter().flatten() {
            let name: &str = name.get_ref();
            let told = |why: String| format!("issuer.{} {why}", Shown::new(name));
            issuers.add(name, entry.get_ref(), &before.issuers, mode, beside).map_err(told)?;
        }
        let mut all = BTreeMap::new();
        for (kind, entries) in kinds {
            for (name, entry) in entries {
                let name: &str = name.get_ref();
                let place = format!("{kind}.{}", Shown::new(name));
                let told = |why: String| format!("{place} {why}");
                let read = match kind {
                    "caller" => caller(name, entry.get_ref(), &known, &issuers),
                    _ => member(name, entry.get_ref(), &known, &issuers),
                };
                if all.insert(name.to_owned(), read.map_err(told)?).is_some() {
                    return Err(format!("{place} is a caller and a member: give one of them another name"));
                }
                if all.len() > CREDENTIALS_MAX {
                    return Err(format!(
                        "it has more than {CREDENTIALS_MAX} callers and members: remove some"
                    ));
                }
            }
        }
        let mut proving = Proving::default();
        for (name, credential) in &all {
            credential.certificates.iter().for_each(|certificate| proving.add(certificate.clone(), name));
        }
        Ok(Self { names: all, issuers, proving })
    }

    /// The names that this certificate proves.
    pub(super) fn proved_by(&self, certificate: &ClientCertificate) -> BTreeSet<&str> {
        self.proving.by(certificate)
    }

    /// Whether a credential is for connections of this member in client mode.
    pub(super) fn has_member(&self, name: &str) -> bool {
        let owns_it = |credential: &Credential| matches!(&credential.grant, Grant::Member { owns } if owns.iter().any(|own| own == name));
        self.names.values().any(owns_it)
    }

    /// Whether a certificate proves any name.
    pub(super) fn has_certificates(&self) -> bool {
        !self.proving.is_empty()
    }

    /// The issuers of tokens.
    pub(super) fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// The credential of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Credential> {
        self.names.get(name)
    }

    /// The numbers of callers and of members.
    pub(super) fn counts(&self) -> (usize, usize) {
        let is_member = |credential: &&Credential| matches!(credential.grant, Grant::Member { .. });
        let members = self.names.values().filter(is_member).count();
        (self.names.len() - members, members)
    }

    /// Refuses hashes of keys that everybody knows, among the hashes that `before` does not have. This takes some milliseconds for each.
    ///
    /// # Errors
    /// Whose hash it is, and what to do.
    pub(super) fn refuse_known_keys(&self, before: &Self) -> Result<(), String> {
        let mut memory = Memory::new();
        let is_new = |hash: &Arc<Hash>| {
            !before.names.values().flat_map(|known| &known.hashes).any(|known| Arc::ptr_eq(known, hash))
        };
        let all = self.names.iter().flat_map(|(name, of)| of.hashes.iter().map(move |hash| (name, hash)));
        for (name, hash) in all.filter(|(_, hash)| is_new(hash)).take(HASHES_COMPARED_MAX) {
            if KNOWN_KEYS.iter().any(|key| hash.verify(key, &mut memory)) {
                return Err(format!(
                    "{} has the hash of a key that everybody knows: choose another key, such as the output of `openssl rand -base64 33`, \
                     and hash it with `rcs-router hash-key`; or start with --dev",
                    Shown::new(name)
                ));
            }
        }
        Ok(())
    }
}

type KnownHashes<'a> = BTreeMap<&'a str, &'a Arc<Hash>>;

fn caller(
    name: &str,
    entry: &DeValue<'_>,
    known: &KnownHashes<'_>,
    issuers: &Issuers,
) -> Result<Credential, String> {
    let is_usable = !name.is_empty()
        && name.len() <= PRINCIPAL_BYTES_MAX
        && name.chars().all(|c| c != ':' && !c.is_control() && u32::from(c) <= 0xFF);
    if !is_usable {
        return Err(format!(
            "cannot be a principal: use 1 to {PRINCIPAL_BYTES_MAX} bytes of ISO-8859-1 without colons and control characters"
        ));
    }
    let fields = Fields::of(entry, &["hashes", "token", "certificates", "groups", "expires"])?;
    let (hashes, token) = (hashes(&fields, known)?, token(&fields, issuers)?);
    let certificates = certificates(&fields)?;
    let groups = fields.texts("groups", CREDENTIAL_GROUPS_MAX)?;
    let allowed = match &*groups {
        [all] if *all == ALL_GROUPS => Allowed::All,
        some => {
            if some.iter().any(|group| !is_usable_name(group)) {
                return Err(format!(
                    "has a name in groups that no group can have: name groups of the provider file, or [\"{ALL_GROUPS}\"] alone for every group"
                ));
            }
            Allowed::only(some.iter().copied())
        }
    };
    let expires = fields.moment("expires")?;
    Ok(Credential { hashes, certificates, token, grant: Grant::Caller { allowed, expires } })
}

fn member(
    name: &str,
    entry: &DeValue<'_>,
    known: &KnownHashes<'_>,
    issuers: &Issuers,
) -> Result<Credential, String> {
    if !is_usable_name(name) {
        return Err(
            "cannot be the name of a member: use the name of the server in remoteConnectorClients".to_owned()
        );
    }
    let fields = Fields::of(entry, &["hashes", "token", "certificates", "members"])?;
    let (hashes, token) = (hashes(&fields, known)?, token(&fields, issuers)?);
    let certificates = certificates(&fields)?;
    let owns: Arc<[String]> = match fields.has("members") {
        false => [name.to_owned()].into(),
        true => {
            let names = fields.texts("members", OWNED_MEMBERS_MAX)?;
            if names.iter().any(|name| !is_usable_name(name)) {
                return Err(
                    "has a name in members that no server can have: use names of remoteConnectorClients"
                        .to_owned(),
                );
            }
            names.into_iter().map(str::to_owned).collect()
        }
    };
    Ok(Credential { hashes, certificates, token, grant: Grant::Member { owns } })
}

fn hashes(fields: &Fields<'_, '_>, known: &KnownHashes<'_>) -> Result<Vec<Arc<Hash>>, String> {
    // An entry that is proved by a token or a certificate needs no hash.
    if (fields.has("token") || fields.has("certificates")) && !fields.has("hashes") {
        return Ok(Vec::new());
    }
    let texts = fields.texts("hashes", HASHES_MAX)?;
    let read = |(at, text): (usize, &str)| match known.get(text).copied() {
        Some(hash) => Ok(Arc::clone(hash)),
        None => Hash::parse(text).map(Arc::new).map_err(|why| format!("hashes: number {} {why}", at + 1)),
    };
    texts.into_iter().enumerate().map(read).collect()
}

/// The certificates that prove the name of the entry.
fn certificates(fields: &Fields<'_, '_>) -> Result<Vec<CertificateName>, String> {
    if !fields.has("certificates") {
        return Ok(Vec::new());
    }
    let texts = fields.texts("certificates", CERTIFICATES_PER_ENTRY_MAX)?;
    let read = |(at, text): (usize, &str)| {
        CertificateName::parse(text).map_err(|why| format!("certificates: number {} {why}", at + 1))
    };
    texts.into_iter().enumerate().map(read).collect()
}

/// The issuer whose tokens prove the name of the entry.
fn token(fields: &Fields<'_, '_>, issuers: &Issuers) -> Result<Option<Arc<Issuer>>, String> {
    let Some(name) = fields.text("token")? else { return Ok(None) };
    match issuers.named(name) {
        Some(issuer) => Ok(Some(Arc::clone(issuer))),
        None => Err("names an issuer in token that the file does not have: add [issuer.NAME] of this name, with the address of its \
                     introspection endpoint or key set"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table, String> {
        after(text, &Table::default())
    }

    fn after(text: &str, before: &Table) -> Result<Table, String> {
        Table::parse(text.as_bytes(), before, Mode::Production, &mut Beside::default())
    }

    #[test]
    fn callers_have_groups_and_members_have_their_names() {
        let (one, two) = (Hash::of("one", [1; 16]), Hash::of("two", [2; 16]));
        let text = format!(
            "[caller.idm]\nhashes = [\"{0}\", \"{1}\"]\ngroups = [\"hr\", \"crm\"]\nexpires = 2027-01-31T01:00:00+01:00\n\
             [caller.\"all of it\"]\nhashes = ['{0}']\ngroups = [\"*\"]\nexpires = 2027-01-31\n[member.n1]\nhashes = ['{1}']\n",
            one.text(),
            two.text()
        );
        let table = parse(&text).unwrap();
        let grant = |name: &str| &table.get(name).unwrap().grant;
        let expires = Some(At(1_801_353_600_000));
        assert_eq!(*grant("idm"), Grant::Caller { allowed: Allowed::only(["crm", "hr"]), expires });
        assert_eq!(*grant("all of it"), Grant::Caller { allowed: Allowed::All, expires });
        assert_eq!(*grant("n1"), Grant::Member { owns: ["n1".to_owned()].into() });
        assert_eq!((table.counts(), table.get("idm").unwrap().hashes.len()), ((2, 1), 2));
        let more = parse("[member.rcs]\ncertificates = ['cn:a', 'dns:b']\nmembers = ['n1', 'n2']\n").unwrap();
        assert_eq!(
            more.get("rcs").unwrap().grant,
            Grant::Member { owns: ["n1".to_owned(), "n2".to_owned()].into() }
        );
        assert!(more.has_certificates() && more.get("rcs").unwrap().hashes.is_empty());
        let again = after(&text.replace("\"crm\"", "\"other\""), &table).unwrap();
        let hash = |table: &Table| Arc::clone(&table.get("idm").unwrap().hashes[0]);
        assert!(Arc::ptr_eq(&hash(&table), &hash(&again)), "keys that were verified stay verified");
        assert!(again.refuse_known_keys(&table).is_ok());
        assert!(parse("").is_ok(), "nobody is let in");
    }

    /// P9: whoever writes a key into the file by mistake does not find the key in the log.
    #[test]
    fn faults_name_their_place_and_never_a_value() {
        let hash = Hash::of("k", [1; 16]);
        let good = hash.text();
        for (text, part) in [
            ("[caller.idm\nhashes = ['s3cr3t']".to_owned(), "line 1 is not valid TOML"),
            ("[caller.idm]\nhashes = s3cr3t".to_owned(), "line 2 is not valid TOML"),
            ("[callers.idm]\n".to_owned(), "callers is unknown: use [caller.NAME]"),
            ("caller = 's3cr3t'".to_owned(), "caller is not a table"),
            ("caller.idm = 's3cr3t'".to_owned(), "caller.idm is not a table"),
            ("[caller.idm]\ngroups = ['*']".to_owned(), "caller.idm needs hashes"),
            (
                "[caller.idm]\nhashes = ['s3cr3t']\ngroups = ['*']".to_owned(),
                "caller.idm hashes: number 1 is not a hash",
            ),
            (format!("[caller.idm]\nhashes = '{good}'\ngroups = ['*']"), "needs hashes"),
            (format!("[caller.idm]\nhashes = ['{good}']"), "needs groups"),
            (format!("[caller.idm]\nhashes = ['{good}']\ngroups = []"), "needs groups"),
            (format!("[caller.idm]\nhashes = ['{good}']\ngroups = ['a', '*/']"), "no group can have"),
            (
                format!("[caller.idm]\nhashes = ['{good}']\ngroups = ['*']\nkey = 's3cr3t'"),
                "has key, which is unknown",
            ),
            (format!("[caller.idm]\nhashes = ['{good}']\ngroups = ['*']\nexpires = '2027'"), "expires"),
            (
                format!("[caller.idm]\nhashes = ['{good}']\ngroups = ['*']\nexpires = 2027-01-31T00:00:00"),
                "expires",
            ),
            (
                format!("[caller.'a:b']\nhashes = ['{good}']\ngroups = ['*']"),
                "caller.a:b cannot be a principal",
            ),
            (format!("[member.n1]\nhashes = ['{good}']\ngroups = ['*']"), "has groups, which is unknown"),
            (format!("[member.'a/b']\nhashes = ['{good}']"), "cannot be the name of a member"),
            (format!("[member.n1]\nhashes = ['{good}']\nmembers = ['s3cr3t/']"), "no server can have"),
            (format!("[member.n1]\nhashes = ['{good}']\nmembers = []"), "needs members"),
            ("[member.n1]\ncertificates = []".to_owned(), "needs certificates"),
            (
                "[member.n1]\ncertificates = ['cn:a', 's3cr3t']".to_owned(),
                "certificates: number 2 cannot be read",
            ),
            (
                format!("[member.n1]\nhashes = ['{good}']\n[caller.n1]\nhashes = ['{good}']\ngroups = ['*']"),
                "a caller and a member",
            ),
        ] {
            let why = parse(&text).unwrap_err();
            assert!(why.contains(part) && !why.contains("s3cr3t"), "{text}\n{why}");
        }
    }

    #[test]
    fn the_hash_of_a_key_that_everybody_knows_is_found() {
        let hash = Hash::of("changeit", [1; 16]);
        let table = parse(&format!("[member.n1]\nhashes = ['{}']", hash.text())).unwrap();
        let why = table.refuse_known_keys(&Table::default()).unwrap_err();
        assert!(why.starts_with("n1 has the hash of a key that everybody knows"), "{why}");
        assert!(table.refuse_known_keys(&table).is_ok(), "each hash is compared once");
    }
}
