//! Which connectors, in which versions, callers of a group use; and what a change would take away from these callers (P5, B03).

use std::fmt;

use rcs_proto::icf::ConnectorKey;

use super::printable::Printable;
use super::range::{StandIns, Version};
use super::wire::WireManifest;
use crate::limits::{IN_USE_SHOWN_MAX, VERSIONS_SHOWN_MAX};

/// A connector that connected callers use, with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The connector, as the callers' calls name it.
    pub connector: ConnectorKey,
    /// How many callers use it.
    pub callers: usize,
    /// The principals of these callers, each once, in order; at most [`IN_USE_SHOWN_MAX`].
    pub principals: Vec<String>,
    /// The names of the members that run these callers' calls now, in list order.
    pub members: Vec<String>,
}

/// Versions of connectors that callers use and no member would run any more. The text goes on after "because" or a colon, and says what to
/// do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The group.
    pub group: String,
    /// The versions that are lost; never empty.
    pub connectors: Vec<InUse>,
    /// A stand-in rule that would keep the first lost version served, if the remaining members have another version of its connector.
    pub rule: Option<String>,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callers = if self.callers == 1 { "caller" } else { "callers" };
        write!(f, "{} ({} {callers}", Printable(&self.connector.to_string()), self.callers)?;
        for (at, principal) in self.principals.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { ": " } else { ", " }, Printable(principal))?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no member of group {:?} would be left for what connected callers use: ", self.group)?;
        for (at, connector) in self.connectors.iter().take(IN_USE_SHOWN_MAX).enumerate() {
            write!(f, "{}{connector}", if at == 0 { "" } else { ", " })?;
        }
        if let Some(more) = self.connectors.len().checked_sub(IN_USE_SHOWN_MAX).filter(|more| *more > 0) {
            write!(f, " and {more} more")?;
        }
        f.write_str(". Their calls would fail. Move these callers to another version first, ")?;
        if let Some(rule) = &self.rule {
            let group = Printable(&self.group);
            write!(
                f,
                "or let another version run their calls (rcs-router bundles stand-ins {group} '{rule}'), "
            )?;
        }
        f.write_str("or go on all the same with --force (in the API: ?force=true)")
    }
}

/// The connectors of a list that are the connector asked for, in any version.
pub fn keys_of<'a>(wire: &'a WireManifest, asked: &ConnectorKey) -> impl Iterator<Item = &'a ConnectorKey> {
    let name = asked.connector_name.clone();
    wire.of_bundle(&asked.bundle_name).filter(move |key| key.connector_name == name)
}

/// The sentence for a caller whose call names a version that no member has. `versions` are the versions that members have.
pub fn sentence(asked: &ConnectorKey, versions: &[String]) -> String {
    let shown: Vec<String> =
        versions.iter().take(VERSIONS_SHOWN_MAX).map(|version| Printable(version).to_string()).collect();
    let (bundle, version) = (Printable(&asked.bundle_name), Printable(&asked.bundle_version));
    match shown.join(", ").as_str() {
        "" => format!(
            "It asks for version {version} of {bundle}, and no member that serves has this connector in any version."
        ),
        there => format!(
            "It asks for version {version} of {bundle}; the members that serve have {there}. Ask for a version that is there, \
             or let one run such calls with `rcs-router bundles stand-ins`."
        ),
    }
}

/// The connector of this list that runs calls for `asked`.
pub fn taken_by<'a>(
    wire: &'a WireManifest,
    asked: &ConnectorKey,
    stand_ins: &StandIns,
) -> Option<&'a ConnectorKey> {
    stand_ins.satisfying(asked, wire.of_bundle(&asked.bundle_name))
}

/// The rule by which another version of a bundle runs calls that ask for this version. Its range goes from the lower version to the higher
/// one. `None` if a version is not valid, or the two are equal.
pub fn rule(asked: &ConnectorKey, other: &str) -> Option<String> {
    let (asked_version, other): (Version, Version) =
        (asked.bundle_version.parse().ok()?, other.parse().ok()?);
    let (low, high) = if asked_version < other { (asked_version, other) } else { (other, asked_version) };
    // A name with one of these cannot be written as a reference.
    let is_plain = !asked.bundle_name.contains(['/', '*', '\'']) && !asked.bundle_name.trim().is_empty();
    (low != high && is_plain).then(|| format!("{}/[{low},{high}]", Printable(&asked.bundle_name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundles::range::ConnectorRef;
    use crate::bundles::samples::{key, rig_at};

    fn used(callers: usize, principals: &[&str]) -> InUse {
        InUse {
            connector: key("rig.connector", "1.0.0.0", "rig.RigConnector"),
            callers,
            principals: principals.iter().map(|name| (*name).to_owned()).collect(),
            members: Vec::new(),
        }
    }

    #[test]
    fn what_is_lost_names_versions_callers_and_the_ways_out() {
        let lost = Lost {
            group: "hr".to_owned(),
            connectors: vec![used(2, &["anonymous", "idm\u{1b}"])],
            rule: rule(&used(1, &[]).connector, "1.0.0.1"),
        };
        assert_eq!(
            lost.to_string(),
            "no member of group \"hr\" would be left for what connected callers use: \
             rig.connector/1.0.0.0/rig.RigConnector (2 callers: anonymous, idm\\u{1b}). Their calls would fail. Move these \
             callers to another version first, or let another version run their calls (rcs-router bundles stand-ins hr \
             'rig.connector/[1.0.0.0,1.0.0.1]'), or go on all the same with --force (in the API: ?force=true)"
        );
        let many = Lost { connectors: vec![used(1, &["a"]); IN_USE_SHOWN_MAX + 2], rule: None, ..lost };
        assert!(
            many.to_string().contains(" and 2 more. Their calls") && !many.to_string().contains("stand-ins")
        );
    }

    #[test]
    fn the_rule_holds_both_versions_and_can_be_read() {
        let asked = key("b", "1.1", "C");
        for (other, expected) in
            [("1.0", Some("b/[1.0,1.1]")), ("2.0", Some("b/[1.1,2.0]")), ("1.1", None), ("x", None)]
        {
            let rule = rule(&asked, other);
            assert_eq!(rule.as_deref(), expected);
            let Some(rule) = rule else { continue };
            let rule: ConnectorRef = rule.parse().unwrap();
            assert!(rule.matches(&asked) && rule.matches(&key("b", other, "C")));
        }
        assert_eq!(super::rule(&key("b/c", "1.0", "C"), "2.0"), None);
    }

    #[test]
    fn a_caller_is_told_the_versions_that_are_there() {
        let asked = key("b", "1.0", "C");
        let many: Vec<String> = (0..2 * VERSIONS_SHOWN_MAX).map(|number| format!("v{number}")).collect();
        assert!(
            sentence(&asked, &many[..2])
                .starts_with("It asks for version 1.0 of b; the members that serve have v0, v1. ")
        );
        assert!(!sentence(&asked, &many).contains(&many[VERSIONS_SHOWN_MAX]));
        assert!(sentence(&asked, &[]).contains("in any version"));
    }

    #[test]
    fn a_list_is_asked_for_one_bundle_only() {
        let wire = WireManifest::of(&rig_at("1.0.0.1")).unwrap();
        let asked = key("rig.connector", "1.0.0.0", "rig.RigConnector");
        assert_eq!(keys_of(&wire, &asked).map(|key| &key.bundle_version).collect::<Vec<_>>(), ["1.0.0.1"]);
        assert_eq!(taken_by(&wire, &asked, &StandIns::default()), None);
        let rules = StandIns(vec!["rig.connector/[1.0.0.0,1.0.0.1]".parse().unwrap()]);
        assert_eq!(taken_by(&wire, &asked, &rules).unwrap().bundle_version, "1.0.0.1");
        assert_eq!(keys_of(&wire, &key("rig", "1.0.0.0", "rig.RigConnector")).count(), 0);
    }
}
