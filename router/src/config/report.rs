//! Shows the settings in force, for `rcs-router check`.

use std::fmt::{self, Display, Formatter};

use rcs_core::agreed::Document;
use rcs_core::settings::{GroupSettings, RouterSettings, Settings};

use super::idms::{IDM, Idm};
use super::keys::{GROUP, Key, OWN_GROUP, ROUTER};
use super::{HOSTS_NOT_USED, dialled_hosts, unknown_groups};
use crate::app::DialledIdms;

/// The settings in force, per group; groups with equal settings are shown together. A setting that differs from its default has
/// a star.
pub struct Effective<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The groups.
    pub document: &'a Document,
    /// The IDMs that the router dials.
    pub idms: &'a DialledIdms,
}

impl Display for Effective<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { settings, document, idms } = self;
        writeln!(f, "Settings of the router (* differs from the default)")?;
        show(f, ROUTER, &settings.router, &RouterSettings::default())?;
        for (group, names) in self.alike() {
            writeln!(f, "Settings of {}", names.join(", "))?;
            show(f, OWN_GROUP, group, &GroupSettings::default())?;
            show(f, GROUP, group, &GroupSettings::default())?;
        }
        for (name, idm) in idms.0.all() {
            writeln!(f, "The router dials the IDM {name}")?;
            show(f, IDM, idm, &Idm::default())?;
            if let Some(group) =
                idm.group.as_ref().filter(|group| !document.addresses().any(|name| name == *group))
            {
                writeln!(
                    f,
                    "Warning: idm.{name}.group: the provider file has no group or server named {group:?}; the IDM is not dialled until it has."
                )?;
            }
        }
        for name in unknown_groups(settings, document) {
            writeln!(
                f,
                "Warning: there are settings for the group {name:?}, but the provider file has no group of this name."
            )?;
        }
        for name in dialled_hosts(settings, document) {
            writeln!(f, "Warning: member {name:?}: {HOSTS_NOT_USED}.")?;
        }
        Ok(())
    }
}

impl<'a> Effective<'a> {
    fn alike(&self) -> Vec<(&'a GroupSettings, Vec<&'a str>)> {
        let mut kinds: Vec<(&GroupSettings, Vec<&str>)> = Vec::new();
        for name in self.document.group_names() {
            let settings = self.settings.group(name);
            match kinds.iter_mut().find(|(of, _)| *of == settings) {
                Some((_, names)) => names.push(name),
                None => kinds.push((settings, vec![name])),
            }
        }
        kinds
    }
}

fn show<S: Clone>(f: &mut Formatter<'_>, keys: &[Key<S>], now: &S, default: &S) -> fmt::Result {
    for key in keys {
        let (value, default) = (key.shown(now), key.shown(default));
        match value == default {
            true => writeln!(f, "    {} = {value}", key.name)?,
            false => writeln!(f, "  * {} = {value}    (default {default}): {}", key.name, key.about)?,
        }
    }
    Ok(())
}
