//! Whether the members of a group have the same connectors (P2): a member that differs gets no calls.

use std::collections::BTreeMap;

use rcs_cli::doctor::Finding;
use rcs_core::agreed::Document;
use rcs_core::bundles::wire::WireManifest;
use rcs_core::view::GroupSpec;
use rcs_proto::icf::ConnectorKey;

use super::members::Reached;

/// Connectors that a finding names.
const NAMED_MAX: usize = 3;

/// A finding for each group of which two members or more told their connectors.
pub(super) fn compare(document: &Document, reached: &[Reached]) -> Vec<Finding> {
    let told: BTreeMap<&str, &WireManifest> =
        reached.iter().filter_map(|member| Some((member.name.as_str(), member.wire()?))).collect();
    document.groups.iter().filter_map(|group| of_group(group, &told)).collect()
}

fn of_group(group: &GroupSpec, told: &BTreeMap<&str, &WireManifest>) -> Option<Finding> {
    let members: Vec<(&str, &WireManifest)> = group
        .members
        .iter()
        .filter_map(|name| told.get_key_value(name.as_str()).map(|(name, wire)| (*name, *wire)))
        .collect();
    let ((first, accepted), others) = members.split_first()?;
    if others.is_empty() {
        return None;
    }
    let subject = format!("group {}", group.name);
    let differing: Vec<String> = others
        .iter()
        .filter(|(_, wire)| wire.digest() != accepted.digest())
        .map(|(name, wire)| format!("{name} {}", difference(accepted, wire)))
        .collect();
    Some(match differing.is_empty() {
        true => {
            let text = format!("the {} members that answer have the same connectors", members.len());
            Finding::ok(subject, text)
        }
        false => {
            let text = format!(
                "not all members have the connectors of {first}: {}. Put the same bundles on all of them, or propose the new set \
                 (`rcs-router bundles propose`)",
                differing.join("; ")
            );
            Finding::failed(subject, text)
        }
    })
}

fn difference(accepted: &WireManifest, found: &WireManifest) -> String {
    let only = |of: &WireManifest, than: &WireManifest| -> Vec<ConnectorKey> {
        of.connectors().keys().filter(|key| !than.connectors().contains_key(key)).cloned().collect()
    };
    let mut parts = Vec::new();
    for (word, keys) in [("lacks", only(accepted, found)), ("has also", only(found, accepted))] {
        if keys.is_empty() {
            continue;
        }
        let named: Vec<String> = keys.iter().take(NAMED_MAX).map(ConnectorKey::to_string).collect();
        let more = keys.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("{word} {}{more}", named.join(", ")));
    }
    match parts.is_empty() {
        true => "describes the same connectors in another way".to_owned(),
        false => parts.join(" and "),
    }
}
