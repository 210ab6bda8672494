//! Looks at an operator's files as [`serve`](crate::app::serve) would, without binding or dialling anything: `rcs-router check`.

use std::path::Path;
use std::sync::Arc;

use rcs_core::agreed::Document;
use rcs_core::provider::Reading;
use rcs_core::settings::Settings;
use rcs_core::view::{AdminState, Link, Transport};
use rcs_proto::driver::tls::Pins;

use crate::access::{Access, KeyFiles, Mode};
use crate::admin::AdminAt;
use crate::app::{AppError, exposed, open_document, tokens_in_clear};
use crate::config::{ConfigFile, Idms};
use crate::doctor::Dialling;
use crate::identity::TlsFiles;
use crate::upstream::OwnTrust;
use crate::{idms, trust};

/// What [`check`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The provider file.
    pub provider: &'a Path,
    /// The configuration file.
    pub config: Option<&'a Path>,
    /// File with the callers' key.
    pub caller_key: Option<&'a Path>,
    /// File with the credentials of callers and of members in client mode.
    pub credentials: Option<&'a Path>,
    /// Certificates that members may show.
    pub trust_store: Option<&'a Path>,
    /// The router's certificate.
    pub tls: Option<&'a TlsFiles>,
    /// The admin address.
    pub admin: Option<AdminAt>,
}

/// What [`check`] found.
#[derive(Debug)]
pub struct Checkup {
    /// All there is to say about the provider file, if it could be read.
    pub reading: Option<Reading>,
    /// What is set for whom, if both files are good and there is a configuration file.
    pub effective: Option<(Settings, Arc<Document>)>,
    /// What the configuration file says of IDMs that the router dials.
    pub idms: DialledIdms,
    /// What peers must trust, if the router has a certificate: a sentence without full stop.
    pub own_certificate: Option<String>,
    /// What an operator should know of the other files.
    pub warnings: Vec<String>,
    /// What would keep [`serve`](crate::app::serve) from running.
    pub problems: Vec<AppError>,
    /// What members are dialled with, if the provider file can be used.
    pub(crate) dialling: Option<Dialling>,
    /// Who may connect, if there are files that say so and they can be used.
    pub(crate) access: Option<Access>,
}

/// The IDMs that the router dials, as the configuration file has them.
#[derive(Clone, Debug, Default)]
pub struct DialledIdms(pub(crate) Idms);

/// Looks at files without binding or dialling anything. The files with callers' keys are checked if there are any.
pub fn check(files: &Files<'_>, mode: Mode) -> Checkup {
    let (warnings, problems, idms) = (Vec::new(), Vec::new(), DialledIdms::default());
    let (reading, effective, own_certificate) = (None, None, None);
    let (dialling, access) = (None, None);
    let mut checkup =
        Checkup { reading, effective, idms, own_certificate, warnings, problems, dialling, access };
    let mut own_trust = OwnTrust::new();
    let mut config = files.config.map(ConfigFile::new);
    let settings = config.as_mut().and_then(ConfigFile::reload).transpose();
    let mut document = open_document(files.provider, files.trust_store.is_some());
    if let (Some(config), Ok(_)) = (&config, &settings) {
        match config.members().read() {
            Ok(found) => {
                document.beside(&found.keys, found.trust.keys().cloned().collect());
                checkup.warnings.extend(found.warnings);
                own_trust = found.trust;
            }
            Err(faults) => checkup.problems.push(config.faulty(faults).into()),
        }
        let of_all = files.trust_store.and_then(|path| trust::load(path, Pins::ForNamesItHas).ok());
        match idms::check(config.idms(), of_all.map(|trusted| trusted.config), tokens_in_clear(mode)) {
            Ok(warnings) => checkup.warnings.extend(warnings),
            Err(faults) => checkup.problems.push(config.faulty(faults).into()),
        }
        checkup.idms = DialledIdms(config.idms().clone());
    }
    let loaded = document.load();
    checkup.reading = document.reading().cloned();
    checkup.dialling = loaded.as_ref().ok().map(|document| Dialling {
        document: Arc::clone(document),
        trust: None,
        own_trust,
        identity: None,
    });
    match (loaded, &settings) {
        (Ok(document), Ok(_)) => {
            checkup.effective = config.map(|config| (config.settings().clone(), document));
        }
        (Ok(_), Err(_)) => {}
        (Err(error), _) => checkup.problems.push(error.into()),
    }
    match files.trust_store.map(|path| trust::load(path, Pins::ForNamesItHas)) {
        None => {}
        Some(Ok(trusted)) => {
            checkup.warnings.extend(trusted.warnings.iter().map(|w| format!("the trust store: {w}")));
            if let Some(dialling) = &mut checkup.dialling {
                dialling.trust = Some(trusted.config);
            }
        }
        Some(Err(error)) => checkup.problems.push(error.into()),
    }
    match files.tls.map(TlsFiles::check) {
        None => {}
        Some(Ok((identity, warnings))) => {
            checkup.warnings.extend(warnings);
            let subject = &identity.certificate().subject;
            checkup.own_certificate = Some(format!(
                "The router's certificate {subject:?} has {}. Peers must trust {}",
                identity.key(),
                identity.trust()
            ));
            if let Some(dialling) = &mut checkup.dialling {
                dialling.identity = Some(identity);
            }
        }
        Some(Err(error)) => checkup.problems.push(error.into()),
    }
    if let Some(admin) = files.admin {
        checkup.warnings.extend(admin.is_exposed().then(|| exposed(admin)));
        if admin.transport == Transport::Tls && files.tls.is_none() {
            checkup.problems.push(AppError::NoAdminCertificate(admin));
        }
    }
    checkup.problems.extend(settings.err().map(AppError::from));
    let keys = KeyFiles { shared: files.caller_key, named: files.credentials };
    if keys.shared.is_some() || keys.named.is_some() {
        match Access::open(keys, mode) {
            Ok((access, followed)) => {
                checkup.warnings.extend(followed.warnings());
                checkup.warnings.extend(access.certificates_not_asked_for(files.tls));
                checkup.access = Some(access);
            }
            Err(error) => checkup.problems.push(error.into()),
        }
    }
    let (document, access) = (checkup.dialling.as_ref().map(|dialling| &dialling.document), &checkup.access);
    if let Some(document) = document.filter(|_| mode == Mode::Production) {
        checkup.warnings.extend(nobodys(document, access.as_ref()));
    }
    checkup
}

/// A sentence without full stop if servers in client mode have no credentials, so that none of them can connect (A01).
fn nobodys(document: &Document, access: Option<&Access>) -> Option<String> {
    let waited_for = document.members.iter().filter(|member| {
        member.link == Link::Accept
            && member.admin == AdminState::Enabled
            && !access.is_some_and(|access| access.knows_member(&member.name))
    });
    let names: Vec<&str> = waited_for.map(|member| member.name.as_str()).collect();
    let (first, more) = (names.first()?, names.len() - 1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "no server can connect as {first:?}{more}, because no file of credentials has an entry [member.{first}]: write the entry, with hashes or \
         token, and name the file with --credentials"
    ))
}
