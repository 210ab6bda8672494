//! `GET /v1/groups/GROUP/bundles` and `POST /v1/groups/GROUP/bundles/propose` (commit, abort, pin, stand-ins): the bundle sets of a
//! group.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rcs_core::agreed::marks::LastMember;
use rcs_core::agreed::sets::{BundleChange, BundleRefusal, PresentRules, ProposedSet};
use rcs_core::bundles::diff::{Change, Item, Side, Subject};
use rcs_core::bundles::group::{Against, Alarm, Cause, SetDigest};
use rcs_core::bundles::in_use::InUse;
use rcs_core::bundles::range::{ConnectorRef, StandIns};
use rcs_core::engine::{BundlesReport, MemberBundles};
use rcs_core::view::NotListed;
use serde::Serialize;

use super::json::Json;
use super::parts::Path;
use super::{Admin, behind, no_answer, refusal};
use crate::config::{NONE_LEFT, REPORTS, word_of};
use crate::control::Origin;
use crate::limits::CONNECTOR_REFERENCES_MAX;

/// The bundle sets of one group.
#[derive(Debug, Serialize)]
struct Row<'a> {
    group: &'a str,
    /// The accepted set; null until the first member has reported its set.
    accepted: Option<String>,
    /// How the accepted set came to be accepted.
    origin: Option<&'static str>,
    /// The next set, during a rolling upgrade.
    next: Option<String>,
    /// The set pinned in the configuration file.
    pinned_by_settings: Option<String>,
    reports: &'static str,
    none_left: &'static str,
    serving_min: usize,
    /// Connectors whose versions within a range may run each other's calls.
    stand_ins: Vec<String>,
    /// Members whose sets allow them to serve.
    serving: usize,
    /// How many of these may be taken down now for an upgrade.
    spare: usize,
    /// The connectors that connected callers use.
    in_use: Vec<Used<'a>>,
    /// Why the operator must act.
    alarm: Option<&'static str>,
    /// The products and versions of the members' servers; more than one is skew.
    servers: Vec<String>,
    /// Callers that use an older list of connectors, until their next session.
    callers_behind: usize,
    members: Vec<Member<'a>>,
}

/// A connector that callers use.
#[derive(Debug, Serialize)]
struct Used<'a> {
    bundle: &'a str,
    version: &'a str,
    connector: &'a str,
    /// How many callers use it.
    callers: usize,
    /// Some of their principals.
    principals: &'a [String],
    /// The members that run these callers' calls now.
    members: &'a [String],
}

/// One member of the group.
#[derive(Debug, Serialize)]
struct Member<'a> {
    name: &'a str,
    standing: &'static str,
    /// Whether the member's set allows it to get calls.
    serves: bool,
    /// Why the member should not serve.
    cause: Option<&'static str>,
    /// Standing and cause as the predicate of a sentence about the member.
    text: String,
    /// The member's set, as far as it is known.
    found: Option<String>,
    server: Option<String>,
    /// The set of the group with which the member's set is compared.
    against: Option<&'static str>,
    /// How the member's set differs from that set.
    difference: Vec<Differs<'a>>,
    /// Differences that are left out of the list.
    difference_more: usize,
}

/// One thing that differs.
#[derive(Debug, Serialize)]
struct Differs<'a> {
    change: &'static str,
    #[serde(flatten)]
    subject: Of<'a>,
    old: Option<Has<'a>>,
    new: Option<Has<'a>>,
    /// The difference as one line of text.
    text: String,
}

#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
enum Of<'a> {
    Connector { bundle: &'a str, connector: &'a str },
    File { root: &'static str, path: &'a str },
}

#[derive(Debug, Serialize)]
struct Has<'a> {
    version: Option<&'a str>,
    digest: Option<String>,
    /// What is there in place of a regular file.
    odd: Option<&'static str>,
    /// The path, if it differs from the path above.
    path: Option<&'a str>,
}

pub(super) async fn show(State(admin): State<Admin>, Path(group): Path<String>) -> Response {
    match admin.control.bundles(&group).await {
        Err(_) => no_answer(),
        Ok(Some(report)) => Json(row(&report)).into_response(),
        Ok(None) => {
            let why = BundleRefusal::from(NotListed::NoGroup(group.clone()));
            behind::not_found(&admin, (&group, None), why).await
        }
    }
}

pub(super) async fn change(
    State(admin): State<Admin>,
    origin: Origin,
    Path((group, change)): Path<(String, String)>,
    options: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let options = options.map(|Query(options)| options).unwrap_or_default();
    let (change, last) = match parse(&change, &options) {
        Ok(parsed) => parsed,
        Err(NoChange::Unknown) => {
            let sentence = format!(
                "{change:?} is not a change of bundle sets: use propose, commit, abort, pin or stand-ins"
            );
            return refusal(StatusCode::NOT_FOUND, sentence);
        }
        Err(NoChange::Options(sentence)) => return refusal(StatusCode::BAD_REQUEST, sentence),
    };
    match admin.control.change_bundles(&group, change, last, origin).await {
        Err(_) => no_answer(),
        // The member of a change is one that reports its set, which another router need not have.
        Ok(Err(why @ BundleRefusal::NotListed(NotListed::NoGroup(_)))) => {
            behind::not_found(&admin, (&group, None), why).await
        }
        Ok(Err(why)) => refused(&why),
        Ok(Ok(report)) => Json(row(&report)).into_response(),
    }
}

fn refused(why: &BundleRefusal) -> Response {
    let status = match why {
        BundleRefusal::NotListed(_) => StatusCode::NOT_FOUND,
        BundleRefusal::NotAgreed(_) => StatusCode::SERVICE_UNAVAILABLE,
        BundleRefusal::Refused(_) | BundleRefusal::Lost(_) => StatusCode::CONFLICT,
    };
    refusal(status, why)
}

/// Why a path and its query parameters are not a change of bundle sets.
#[derive(Debug, PartialEq, Eq)]
enum NoChange {
    Unknown,
    Options(String),
}

fn parse(word: &str, options: &[(String, String)]) -> Result<(BundleChange, LastMember), NoChange> {
    let known: &[&str] = match word {
        "propose" => &["set", "member", "stand_in", "force"],
        "pin" => &["set", "member", "force"],
        "stand-ins" => &["stand_in", "replace", "force"],
        "commit" | "abort" => &["force"],
        _ => return Err(NoChange::Unknown),
    };
    let change = match word {
        "propose" => BundleChange::Propose { what: which_set(options)?, stand_ins: stand_ins(options)? },
        "pin" => BundleChange::Pin(which_set(options)?),
        "commit" => BundleChange::Commit,
        "abort" => BundleChange::Abort,
        _ => rules(options)?,
    };
    only(options, known)?;
    let last = if flag(options, "force")? { LastMember::Released } else { LastMember::Kept };
    Ok((change, last))
}

fn rules(options: &[(String, String)]) -> Result<BundleChange, NoChange> {
    let given = stand_ins(options)?;
    match (given, flag(options, "replace")?) {
        (Some(rules), false) => Ok(BundleChange::StandIns { rules, present: PresentRules::Kept }),
        (rules, true) => {
            let rules = rules.unwrap_or_default();
            Ok(BundleChange::StandIns { rules, present: PresentRules::Replaced })
        }
        (None, false) => Err(NoChange::Options(
            "say which versions may run each other's calls: stand_in=BUNDLE/RANGE, once for each; with replace=true the present \
             rules end"
                .to_owned(),
        )),
    }
}

/// A query parameter that is true or false; false without it.
fn flag(options: &[(String, String)], name: &str) -> Result<bool, NoChange> {
    match &*values(options, name) {
        [] | ["false"] => Ok(false),
        ["true"] => Ok(true),
        _ => Err(NoChange::Options(format!("{name}: use {name}=true or {name}=false"))),
    }
}

/// All values of one option.
fn values<'a>(options: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    options.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
}

fn which_set(options: &[(String, String)]) -> Result<ProposedSet, NoChange> {
    match (&*values(options, "set"), &*values(options, "member")) {
        ([set], []) => {
            // A + that was not escaped arrives as a blank.
            let set = set.replace(' ', "+").parse().map(ProposedSet::Digest);
            set.map_err(|error| NoChange::Options(format!("set: {error}, or as two of them with a + between")))
        }
        ([], [member]) => Ok(ProposedSet::Of((*member).to_owned())),
        _ => Err(NoChange::Options(
            "say which set is meant, with one query parameter: set=DIGEST (as GET /v1/groups/GROUP/bundles shows it), or \
             member=NAME for the set that this member has now"
                .to_owned(),
        )),
    }
}

fn stand_ins(options: &[(String, String)]) -> Result<Option<StandIns>, NoChange> {
    let texts = values(options, "stand_in");
    if texts.len() > CONNECTOR_REFERENCES_MAX {
        return Err(NoChange::Options(format!(
            "at most {CONNECTOR_REFERENCES_MAX} stand_in parameters are allowed"
        )));
    }
    let references: Result<Vec<ConnectorRef>, _> = texts.into_iter().map(str::parse).collect();
    let references = references.map_err(|error| NoChange::Options(format!("stand_in: {error}")))?;
    Ok((!references.is_empty()).then_some(StandIns(references)))
}

fn only(options: &[(String, String)], known: &[&str]) -> Result<(), NoChange> {
    match options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(_) => {
            Err(NoChange::Options(format!("unknown query parameter: allowed are {}", known.join(", "))))
        }
    }
}

fn row(report: &BundlesReport) -> Row<'_> {
    let text = |set: &SetDigest| set.to_string();
    Row {
        group: &report.group,
        accepted: report.accepted.as_ref().map(|(set, _)| text(set)),
        origin: report.accepted.map(|(_, origin)| origin.label()),
        next: report.next.as_ref().map(text),
        pinned_by_settings: report.pinned_by_settings.as_ref().map(text),
        reports: word_of(REPORTS, report.policy.reports),
        none_left: word_of(NONE_LEFT, report.policy.none_left),
        serving_min: report.policy.serving_min,
        stand_ins: report.stand_ins.0.iter().map(ToString::to_string).collect(),
        serving: report.serving,
        spare: report.spare,
        in_use: report.in_use.iter().map(used).collect(),
        alarm: report.alarm.map(Alarm::label),
        servers: report.servers.iter().map(ToString::to_string).collect(),
        callers_behind: report.callers_behind,
        members: report.members.iter().map(member).collect(),
    }
}

fn used(row: &InUse) -> Used<'_> {
    Used {
        bundle: &row.connector.bundle_name,
        version: &row.connector.bundle_version,
        connector: &row.connector.connector_name,
        callers: row.callers,
        principals: &row.principals,
        members: &row.members,
    }
}

fn member(member: &MemberBundles) -> Member<'_> {
    let cause = member.standing.cause();
    let difference = member.difference();
    Member {
        name: &member.name,
        standing: member.standing.label(),
        serves: member.standing.serves(),
        cause: cause.map(Cause::label),
        text: member.standing.to_string(),
        found: member.found.as_ref().map(ToString::to_string),
        server: member.server.as_ref().map(ToString::to_string),
        against: cause.and_then(|cause| match cause {
            Cause::Differs { against: Against::Accepted, .. } => Some("accepted"),
            Cause::Differs { against: Against::Next, .. } => Some("next"),
            _ => None,
        }),
        difference: difference.into_iter().flat_map(|all| all.items()).map(differs).collect(),
        difference_more: difference.map_or(0, |all| all.more()),
    }
}

fn differs(item: &Item) -> Differs<'_> {
    let (old, new) = match &item.change {
        Change::Missing(old) => (Some(old), None),
        Change::Added(new) => (None, Some(new)),
        Change::Changed { old, new, .. } => (Some(old), Some(new)),
    };
    let subject = match &item.subject {
        Subject::Connector { bundle, connector } => Of::Connector { bundle, connector },
        Subject::File { root, path } => Of::File { root: root.name(), path },
    };
    let (change, text) = (item.change.label(), item.to_string());
    Differs { change, subject, old: old.map(has), new: new.map(has), text }
}

fn has(side: &Side) -> Has<'_> {
    Has {
        version: side.version.as_deref(),
        digest: side.digest.map(|digest| digest.to_string()),
        odd: side.oddity,
        path: side.path.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed_whole(word: &str, options: &[(&str, &str)]) -> Result<(BundleChange, LastMember), NoChange> {
        let options: Vec<_> =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        parse(word, &options)
    }

    fn parsed(word: &str, options: &[(&str, &str)]) -> Result<BundleChange, NoChange> {
        parsed_whole(word, options).map(|(change, _)| change)
    }

    #[test]
    fn stand_ins_are_added_or_replaced_and_a_change_can_be_forced() {
        let rules = |options: &[(&str, &str)]| match parsed("stand-ins", options) {
            Ok(BundleChange::StandIns { rules, present }) => Ok((rules.0.len(), present)),
            Ok(other) => panic!("{other:?}"),
            Err(why) => Err(why),
        };
        assert_eq!(rules(&[("stand_in", "a/[1.0,2.0)")]), Ok((1, PresentRules::Kept)));
        assert_eq!(rules(&[("stand_in", "a"), ("replace", "true")]), Ok((1, PresentRules::Replaced)));
        assert_eq!(rules(&[("replace", "true")]), Ok((0, PresentRules::Replaced)));
        assert!(rules(&[]).is_err() && rules(&[("replace", "1")]).is_err());
        for (options, last) in [
            (&[][..], LastMember::Kept),
            (&[("force", "false")], LastMember::Kept),
            (&[("force", "true")], LastMember::Released),
        ] {
            assert_eq!(parsed_whole("commit", options), Ok((BundleChange::Commit, last)));
        }
    }

    #[test]
    fn a_change_says_which_set_it_means_and_nothing_else() {
        let (wire, both) = ("a".repeat(64), format!("{} {}", "a".repeat(64), "b".repeat(64)));
        let digest = |text: &str| ProposedSet::Digest(text.replace(' ', "+").parse().unwrap());
        let propose = |what| Ok(BundleChange::Propose { what, stand_ins: None });
        let n1 = || ProposedSet::Of("n1".to_owned());
        assert_eq!(parsed("propose", &[("set", &wire)]), propose(digest(&wire)));
        assert_eq!(parsed("propose", &[("set", &both)]), propose(digest(&both)));
        assert_eq!(parsed("propose", &[("member", "n1")]), propose(n1()));
        assert_eq!(parsed("pin", &[("member", "n1")]), Ok(BundleChange::Pin(n1())));
        assert_eq!(parsed("commit", &[]), Ok(BundleChange::Commit));
        assert_eq!(parsed("abort", &[]), Ok(BundleChange::Abort));
        let rules = [("member", "n1"), ("stand_in", "a/[1.0,2.0)"), ("stand_in", "b")];
        let Ok(BundleChange::Propose { stand_ins: Some(StandIns(rules)), .. }) = parsed("propose", &rules)
        else {
            panic!("a proposal with stand-ins")
        };
        assert_eq!(rules.len(), 2);
        assert_eq!(parsed("explode", &[]), Err(NoChange::Unknown));
        let too_many = vec![("stand_in", "a"); CONNECTOR_REFERENCES_MAX + 1];
        for (word, options, part) in [
            ("propose", &[][..], "say which set"),
            ("propose", &[("set", wire.as_str()), ("member", "n1")], "say which set"),
            ("propose", &[("set", &wire), ("set", &wire)], "say which set"),
            ("pin", &[("set", "abc")], "64 digits"),
            ("pin", &[("member", "n1"), ("stand_in", "a")], "allowed are set, member, force"),
            ("propose", &[("member", "n1"), ("stand_in", "a/[1")], "range"),
            ("propose", &[[("member", "n1")].as_slice(), &too_many].concat(), "at most"),
            ("commit", &[("force", "yes")], "force=true or force=false"),
            ("commit", &[("set", "x")], "allowed are force"),
        ] {
            let Err(NoChange::Options(sentence)) = parsed(word, options) else {
                panic!("{word} {options:?} is no change")
            };
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
