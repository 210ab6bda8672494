//! What an unknown key of the configuration file was meant to be: a key that is written almost the same, or a key of another table.

use rcs_core::slip;

use super::idms::IDM;
use super::keys::{GROUP, OWN_GROUP, ROUTER};
use super::members::MEMBER;

/// The key of a table that was meant by an unknown name, or the table inside it (`deadlines`) that was meant by one.
pub(super) fn key<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let tables = known.iter().filter_map(|key| key.split_once('.').map(|(table, _)| table));
    slip::meant(name, known.iter().copied().chain(tables))
}

/// The tables that a key may stand in.
pub(super) fn home_of(name: &str) -> Option<&'static str> {
    let is_of = |names: &[&str]| names.contains(&name);
    if is_of(&ROUTER.iter().map(|key| key.name).collect::<Vec<_>>()) {
        return Some("[router]");
    }
    if is_of(&OWN_GROUP.iter().map(|key| key.name).collect::<Vec<_>>()) {
        return Some("[group.NAME]");
    }
    let prefix = format!("{name}.");
    if GROUP.iter().any(|key| key.name == name || key.name.starts_with(&prefix)) {
        return Some("[defaults], for all groups, or in [group.NAME]");
    }
    if MEMBER.iter().any(|key| key.name == name) {
        return Some("[member.NAME]");
    }
    IDM.iter().any(|key| key.name == name || key.name.starts_with(&prefix)).then_some("[idm.NAME]")
}
