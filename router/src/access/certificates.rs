//! Certificates that prove names: how an entry of the file of credentials names a certificate, and what a connection with a certificate is
//! told. Whether a certificate is good at all was judged in the TLS handshake, by the file of client authorities.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use rcs_proto::driver::accept::{Refusal, RefusalStatus};
use rcs_proto::driver::tls::ClientCertificate;
use rcs_proto::manifest::Shown;

/// The user name of a Java peer that was given none.
pub(super) const NO_NAME: &str = "anonymous";

/// How an entry names a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CertificateName {
    /// SHA-256 of the certificate.
    Certificate([u8; 32]),
    /// SHA-256 of its public key.
    Key([u8; 32]),
    /// The distinguished name of its subject.
    Subject(String),
    /// The common name of its subject.
    Common(String),
    /// One of its alternative names, as [`ClientCertificate::names`] has it; host names in small letters.
    Alternative(String),
}

impl CertificateName {
    /// Reads what an entry says.
    ///
    /// # Errors
    /// A sentence that goes on after the number of the text. Never contains the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form = || {
            "cannot be read: write sha256:HEX, key-sha256:HEX, dns:NAME, ip:ADDRESS, email:ADDRESS, uri:URI, cn:NAME or subject:NAME"
                .to_owned()
        };
        let (kind, value) = text.split_once(':').ok_or_else(form)?;
        let value = value.trim();
        if value.is_empty() || value.contains(char::is_control) {
            return Err(form());
        }
        match kind {
            "sha256" => fingerprint(value).map(Self::Certificate),
            "key-sha256" => fingerprint(value).map(Self::Key),
            "subject" => Ok(Self::Subject(value.to_owned())),
            "cn" => Ok(Self::Common(value.to_owned())),
            "ip" => match value.parse::<IpAddr>() {
                Ok(address) => Ok(Self::Alternative(format!("ip:{address}"))),
                Err(_) => Err("is no IP address: write ip:ADDRESS, without a port".to_owned()),
            },
            "dns" | "email" | "uri" => Ok(Self::alternative(text)),
            _ => Err(form()),
        }
    }

    fn alternative(name: &str) -> Self {
        match name.split_once(':') {
            Some(("dns", host)) => Self::Alternative(format!("dns:{}", host.trim().to_ascii_lowercase())),
            Some((kind, value)) => Self::Alternative(format!("{kind}:{}", value.trim())),
            None => Self::Alternative(name.to_owned()),
        }
    }

    /// All that an entry may call this certificate.
    fn all_of(certificate: &ClientCertificate) -> impl Iterator<Item = Self> + '_ {
        let own = [Self::Certificate(certificate.fingerprint), Self::Key(certificate.key_fingerprint)];
        let subject = certificate.subject.clone().map(Self::Subject);
        let common = certificate.common_name.clone().map(Self::Common);
        let others = certificate.names.iter().map(|name| Self::alternative(name));
        own.into_iter().chain(subject).chain(common).chain(others)
    }
}

/// 32 bytes in hexadecimal digits, with or without colons.
fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let wrong =
        || "needs the 64 hexadecimal digits of a SHA-256 fingerprint, with or without colons".to_owned();
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| (byte << 4) | u8::try_from(*digit).unwrap_or_default());
    }
    Ok(bytes)
}

/// Which names a certificate may prove.
#[derive(Debug, Default)]
pub(super) struct Proving(BTreeMap<CertificateName, Vec<String>>);

impl Proving {
    /// The certificate of this name proves the name of this entry.
    pub(super) fn add(&mut self, certificate: CertificateName, entry: &str) {
        self.0.entry(certificate).or_default().push(entry.to_owned());
    }

    /// The names of the entries that have this certificate.
    pub(super) fn by(&self, certificate: &ClientCertificate) -> BTreeSet<&str> {
        if self.0.is_empty() {
            return BTreeSet::new();
        }
        let entries = CertificateName::all_of(certificate).filter_map(|name| self.0.get(&name));
        entries.flatten().map(String::as_str).collect()
    }

    /// Whether any entry has a certificate.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A certificate as a sentence names it: nothing of it is secret.
pub(super) fn shown(certificate: &ClientCertificate) -> String {
    let mut text = match &certificate.subject {
        Some(subject) => format!("\"{}\", ", Shown::new(subject)),
        None => String::new(),
    };
    text.push_str("sha256:");
    for byte in certificate.fingerprint {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The name of an entry that only certificates prove was said, and the connection has none of these certificates.
pub(super) fn not_by_this(name: &str, certificate: Option<&ClientCertificate>) -> Refusal {
    let name = Shown::new(name);
    let sentence = match certificate {
        Some(certificate) => format!(
            "the name {name} is not proved by this certificate ({}): use the certificate of {name}, or add this one to certificates of the entry",
            shown(certificate)
        ),
        None => format!(
            "the name {name} is proved by a certificate, and none came: connect by wss with a key store, to a router that asks for certificates \
             (--client-ca)"
        ),
    };
    Refusal::new(RefusalStatus::NotAllowed, sentence)
}

/// The certificate is that of one name, and the credentials say another name.
pub(super) fn other_name(owners: &BTreeSet<&str>, said: &str) -> Refusal {
    let sentence = format!(
        "the certificate is that of {}, but the credentials name {}: send one name, or add the certificate to the entry of {}",
        listed(owners),
        Shown::new(said),
        Shown::new(said)
    );
    Refusal::new(RefusalStatus::NotAllowed, sentence)
}

/// The certificate is that of several names, and the connection says none of them.
pub(super) fn which(owners: &BTreeSet<&str>) -> Refusal {
    let sentence =
        format!("the certificate is that of {}: send the one that is meant as user name", listed(owners));
    Refusal::new(RefusalStatus::NotAllowed, sentence)
}

fn listed(names: &BTreeSet<&str>) -> String {
    let some: Vec<String> = names.iter().take(3).map(|name| Shown::new(name).to_string()).collect();
    let more = names.len().saturating_sub(some.len());
    match more {
        0 => some.join(" and "),
        _ => format!("{} and {more} more", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> ClientCertificate {
        ClientCertificate {
            subject: Some("CN=idm1, O=Example".to_owned()),
            common_name: Some("idm1".to_owned()),
            names: vec![
                "dns:IDM1.example".to_owned(),
                "ip:10.0.0.1".to_owned(),
                "uri:spiffe://a/b".to_owned(),
            ],
            fingerprint: [0xA1; 32],
            key_fingerprint: [0xB2; 32],
        }
    }

    #[test]
    fn an_entry_names_a_certificate_by_fingerprint_or_by_a_name() {
        let (colons, plain) = (["A1"; 32].join(":"), "b2".repeat(32));
        for text in [
            &*format!("sha256:{colons}"),
            &*format!("key-sha256:{plain}"),
            "dns:idm1.EXAMPLE",
            "ip:10.0.0.1",
            "uri:spiffe://a/b",
            "cn:idm1",
            "subject:CN=idm1, O=Example",
        ] {
            let mut proving = Proving::default();
            proving.add(CertificateName::parse(text).unwrap(), "idm");
            assert_eq!(proving.by(&certificate()), BTreeSet::from(["idm"]), "{text}");
        }
        for text in [
            &*format!("key-sha256:{colons}"),
            &*format!("sha256:{plain}"),
            "dns:example",
            "dns:1.example",
            "cn:idm",
            "cn:IDM1",
            "subject:CN=idm1",
            "ip:10.0.0.2",
        ] {
            let mut proving = Proving::default();
            proving.add(CertificateName::parse(text).unwrap(), "idm");
            assert!(proving.by(&certificate()).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_names_no_certificate_is_refused_without_its_value() {
        for text in ["s3cr3t", "sha256:s3cr3t", "sha256:", "dns:", "ip:s3cr3t", "s3cr3t:x", "sha256:a1a1"] {
            let why = CertificateName::parse(text).unwrap_err();
            assert!(!why.contains("s3cr3t") && !why.is_empty(), "{text}: {why}");
        }
    }

    #[test]
    fn a_peer_is_told_what_it_showed() {
        let told = not_by_this("idm", Some(&certificate())).sentence;
        assert!(told.contains("CN=idm1, O=Example") && told.contains("sha256:a1a1"), "{told}");
        assert!(not_by_this("idm", None).sentence.contains("--client-ca"));
        let owners = BTreeSet::from(["a", "b", "c", "d"]);
        assert!(which(&owners).sentence.contains("a, b, c and 1 more"));
    }
}
