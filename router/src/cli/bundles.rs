//! `rcs-router bundles`: shows and changes the bundle sets of a group, and shows which members differ.

use clap::{Args, Subcommand};
use rcs_cli::Failure;
use serde_json::Value;

use super::asked::{AskError, Asked, tell};
use super::client::segment;
use super::output::{Shown, Width, table, text};

/// Show and change the bundle sets of groups: the connectors and files that their members must have.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the sets of a group and the state of each member.
    Status(Look),
    /// Show how members differ from their group's set, a line for each connector or file.
    Diff(Look),
    /// Begin a rolling upgrade: members with the proposed set serve too.
    Propose(Propose),
    /// End a rolling upgrade: members must have the proposed set from now on; the others are quarantined.
    Commit(Group),
    /// Undo a proposal: members must have the accepted set; the others are quarantined.
    Abort(Group),
    /// Set the accepted set at once, even if no member has it now.
    Pin(Pin),
    /// Let versions of connectors run each other's calls, also while an upgrade is under way.
    StandIns(Rules),
}

#[derive(Debug, Args)]
struct Change {
    /// Make the change even if callers use a connector version that no member would have any more.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
struct Rules {
    /// The group, or a server that belongs to no group.
    group: String,
    /// Connectors whose versions within the range may run each other's calls: BUNDLE/[1.0.0.0,1.1.0.0) or
    /// BUNDLE/[1.0.0.0,1.1.0.0)/CONNECTOR.
    #[arg(value_name = "CONNECTORS", required_unless_present = "replace")]
    rules: Vec<String>,
    /// End the rules that hold now; without CONNECTORS no rule is left.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
struct Look {
    /// The group, or a server that belongs to no group.
    group: String,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
struct Group {
    /// The group, or a server that belongs to no group.
    group: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
struct Propose {
    /// The group, or a server that belongs to no group.
    group: String,
    #[command(flatten)]
    set: WhichSet,
    /// Connectors whose versions within the range may run each other's calls: BUNDLE/[1.0.0.0,1.1.0.0) or
    /// BUNDLE/[1.0.0.0,1.1.0.0)/CONNECTOR. May be repeated. Replaces the rules that hold now.
    #[arg(long = "stand-ins", value_name = "CONNECTORS")]
    stand_ins: Vec<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichSet {
    /// The set with this digest, as `bundles status` shows it.
    #[arg(long, value_name = "DIGEST")]
    set: Option<String>,
    /// The set that this member has now.
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
}

#[derive(Debug, Args)]
struct Pin {
    /// The group, or a server that belongs to no group.
    group: String,
    /// The set with this digest, as `bundles status` shows it.
    #[arg(required_unless_present = "member", conflicts_with = "member")]
    digest: Option<String>,
    /// The set that this member has now.
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let outcome = match &arguments.command {
        Command::Status(look) => show(asked, look, status),
        Command::Diff(look) => show(asked, look, differences),
        Command::Propose(Propose { group, set, stand_ins, change: how }) => {
            let options = which(set.set.as_deref(), set.member.as_deref()).chain(each(stand_ins));
            change(asked, group, "propose", how, options)
        }
        Command::Commit(Group { group, change: how }) => change(asked, group, "commit", how, []),
        Command::Abort(Group { group, change: how }) => change(asked, group, "abort", how, []),
        Command::Pin(Pin { group, digest, member, change: how }) => {
            change(asked, group, "pin", how, which(digest.as_deref(), member.as_deref()))
        }
        Command::StandIns(Rules { group, rules, replace, change: how }) => {
            let replace = replace.then_some(("replace", "true"));
            change(asked, group, "stand-ins", how, each(rules).chain(replace))
        }
    };
    tell(outcome, AskError::exit)
}

fn which<'a>(set: Option<&'a str>, member: Option<&'a str>) -> impl Iterator<Item = (&'static str, &'a str)> {
    set.map(|set| ("set", set)).into_iter().chain(member.map(|member| ("member", member)))
}

fn each(rules: &[String]) -> impl Iterator<Item = (&'static str, &str)> {
    rules.iter().map(|rule| ("stand_in", rule.as_str()))
}

fn show(
    asked: &Asked,
    look: &Look,
    table: fn(&Value, Width) -> Result<String, AskError>,
) -> Result<String, AskError> {
    let path = format!("/v1/groups/{}/bundles", segment(&look.group));
    look.shown.format.show(asked.text(&path)?, table)
}

fn change<'a>(
    asked: &Asked,
    group: &str,
    word: &str,
    how: &Change,
    options: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> Result<String, AskError> {
    let force = how.force.then_some(("force", "true"));
    let options: Vec<String> =
        options.into_iter().chain(force).map(|(name, value)| format!("{name}={}", segment(value))).collect();
    let path = format!("/v1/groups/{}/bundles/{word}?{}", segment(group), options.join("&"));
    how.shown.format.show(asked.changed_text(&path)?, status)
}

/// The sets, a table of the members, and a line for each member that does not match; in the wide form whole digests, and a line for each
/// member.
fn status(row: &Value, width: Width) -> Result<String, AskError> {
    let mut lines = vec![format!(
        "{}: {} of {} members may serve, {} of them may be taken down now for an upgrade",
        text(row, "group"),
        text(row, "serving"),
        members(row).len(),
        text(row, "spare")
    )];
    let mut fact = |name: &str, value: String| lines.push(format!("  {name:10}{value}"));
    match row["origin"].as_str() {
        Some(origin) => fact("accepted", format!("{} ({origin})", text(row, "accepted"))),
        None => fact(
            "accepted",
            "none yet: the set of the first member that connects will be accepted".to_owned(),
        ),
    }
    for name in ["next", "alarm"] {
        if row[name].is_string() {
            fact(name, text(row, name));
        }
    }
    if row["pinned_by_settings"].is_string() {
        let word = match row["pinned_by_settings"] == row["accepted"] {
            true => "the accepted set",
            false => {
                "differs from the accepted set; the next restart would enforce it again: update bundles.pinned in the \
                 configuration file"
            }
        };
        fact("settings", format!("{} ({word})", text(row, "pinned_by_settings")));
    }
    fact(
        "policy",
        ["reports", "none_left", "serving_min"].map(|key| format!("{key} {}", text(row, key))).join(", "),
    );
    for (name, key) in [("stand-ins", "stand_ins"), ("servers", "servers")] {
        let all: Vec<&str> = row[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !all.is_empty() {
            fact(name, all.join(", "));
        }
    }
    for used in row["in_use"].as_array().into_iter().flatten() {
        fact("in use", in_use(used));
    }
    if let Some(behind) = row["callers_behind"].as_u64().filter(|behind| *behind > 0) {
        fact("callers", format!("{behind} still use an older list of connectors, until their next session"));
    }
    let cells = members(row).iter().map(|member| {
        let serves = if member["serves"] == true { "yes" } else { "no" };
        let found = match width {
            Width::Narrow => member["found"].as_str().map_or("-".to_owned(), short),
            Width::Wide => text(member, "found"),
        };
        [text(member, "name"), text(member, "standing"), serves.to_owned(), text(member, "server"), found]
    });
    lines.push(table(["MEMBER", "STANDING", "SERVES", "SERVER", "SET"], cells));
    let is_told = |member: &&Value| {
        width == Width::Wide || !matches!(member["standing"].as_str(), Some("matching" | "matching_next"))
    };
    lines.extend(
        members(row)
            .iter()
            .filter(is_told)
            .map(|member| format!("{} {}", text(member, "name"), text(member, "text"))),
    );
    Ok(lines.join("\n"))
}

/// A connector that callers use, with the members that run their calls.
fn in_use(used: &Value) -> String {
    let list = |key: &str| {
        let all: Vec<&str> = used[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        all.join(", ")
    };
    let by = match used["members"].as_array().map_or(0, Vec::len) {
        1 => format!("only {} has it", list("members")),
        _ => list("members"),
    };
    let [bundle, version, connector] = ["bundle", "version", "connector"].map(|key| text(used, key));
    let callers = text(used, "callers");
    let word = if callers == "1" { "caller" } else { "callers" };
    format!("{bundle}/{version}/{connector}: {callers} {word} ({}); {by}", list("principals"))
}

/// How each member differs from the set with which it is compared.
fn differences(row: &Value, _: Width) -> Result<String, AskError> {
    let mut lines = Vec::new();
    for member in members(row).iter().filter(|member| !member["cause"].is_null()) {
        let (name, standing) = (text(member, "name"), text(member, "standing"));
        let items = member["difference"].as_array().map_or(&[][..], Vec::as_slice);
        if items.is_empty() {
            lines.push(format!("{name} {}", text(member, "text")));
            continue;
        }
        lines.push(format!("{name} ({standing}), compared with the {} set:", text(member, "against")));
        lines.extend(items.iter().map(|item| format!("  {}", text(item, "text"))));
        if let Some(more) = member["difference_more"].as_u64().filter(|more| *more > 0) {
            lines.push(format!("  and {more} more"));
        }
    }
    if lines.is_empty() {
        let unknown = members(row).iter().filter(|member| member["standing"] == "unknown").count();
        lines.push(match unknown {
            0 => format!("no member of {} differs", text(row, "group")),
            _ => format!(
                "no member of {} differs; the sets of {unknown} members are not known yet",
                text(row, "group")
            ),
        });
    }
    Ok(lines.join("\n"))
}

fn members(row: &Value) -> &[Value] {
    row["members"].as_array().map_or(&[], Vec::as_slice)
}

/// The beginning of each digest of a set: enough to tell sets apart.
fn short(set: &str) -> String {
    set.split('+').map(|digest| digest.get(..12).unwrap_or(digest)).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group() -> Value {
        let (old, new) = ("a".repeat(64), format!("{}+{}", "b".repeat(64), "c".repeat(64)));
        json!({
            "group": "hr", "accepted": old, "origin": "first_use", "next": null, "pinned_by_settings": null,
            "reports": "wire_only", "none_left": "keep_last", "serving_min": 1, "stand_ins": [],
            "serving": 1, "spare": 0, "alarm": null,
            "in_use": [{"bundle": "b", "version": "1.0", "connector": "C", "callers": 2, "principals": ["anonymous", "idm"],
                        "members": ["n1"]},
                       {"bundle": "b", "version": "1.1", "connector": "C", "callers": 1, "principals": ["idm"],
                        "members": ["n1", "n2-long"]}], "servers": ["java"], "callers_behind": 2,
            "members": [
                {"name": "n1", "standing": "matching", "serves": true, "cause": null, "text": "may serve",
                 "found": old, "server": "java", "against": null, "difference": [], "difference_more": 0},
                {"name": "n2-long", "standing": "quarantined", "serves": false, "cause": "differs",
                 "text": "is quarantined: it differs", "found": new, "server": null, "against": "accepted",
                 "difference": [{"text": "changed file lib/a.groovy (1 -> 2)"}, {"text": "added file lib/b (3)"}],
                 "difference_more": 7},
                {"name": "n3", "standing": "unknown", "serves": false, "cause": null,
                 "text": "has not reported its bundle set yet", "found": null, "server": null, "against": null,
                 "difference": [], "difference_more": 0},
            ],
        })
    }

    fn narrow(row: &Value) -> String {
        status(row, Width::Narrow).unwrap()
    }

    fn told(row: &Value) -> String {
        differences(row, Width::Narrow).unwrap()
    }

    #[test]
    fn a_wide_status_has_whole_digests_and_a_line_for_each_member() {
        let wide = status(&group(), Width::Wide).unwrap();
        assert!(
            wide.contains(&format!("java    {}", "a".repeat(64))) && wide.contains("\nn1 may serve"),
            "{wide}"
        );
    }

    #[test]
    fn a_status_has_sets_members_and_reasons() {
        let accepted = "a".repeat(64);
        assert_eq!(
            narrow(&group()),
            format!(
                "hr: 1 of 3 members may serve, 0 of them may be taken down now for an upgrade\n  \
                 accepted  {accepted} (first_use)\n  \
                 policy    reports wire_only, none_left keep_last, serving_min 1\n  \
                 servers   java\n  \
                 in use    b/1.0/C: 2 callers (anonymous, idm); only n1 has it\n  \
                 in use    b/1.1/C: 1 caller (idm); n1, n2-long\n  \
                 callers   2 still use an older list of connectors, until their next session\n\
                 MEMBER   STANDING     SERVES  SERVER  SET\n\
                 n1       matching     yes     java    aaaaaaaaaaaa\n\
                 n2-long  quarantined  no      -       bbbbbbbbbbbb+cccccccccccc\n\
                 n3       unknown      no      -       -\n\
                 n2-long is quarantined: it differs\n\
                 n3 has not reported its bundle set yet"
            )
        );
    }

    #[test]
    fn a_set_that_the_settings_pin_is_told_beside_another_one() {
        let mut row = group();
        row["pinned_by_settings"] = json!("d".repeat(64));
        assert!(narrow(&row).contains("  settings  ddd") && narrow(&row).contains("update bundles.pinned"));
        row["pinned_by_settings"] = row["accepted"].clone();
        assert!(narrow(&row).contains("(the accepted set)"), "{}", narrow(&row));
    }

    #[test]
    fn a_difference_has_a_line_for_each_item() {
        assert_eq!(
            told(&group()),
            "n2-long (quarantined), compared with the accepted set:\n  changed file lib/a.groovy (1 -> 2)\n  \
             added file lib/b (3)\n  and 7 more"
        );
        let mut silent = group();
        silent["members"][1]["difference"] = json!([]);
        silent["members"][1]["text"] = json!("is quarantined: there is no report");
        assert_eq!(told(&silent), "n2-long is quarantined: there is no report");
        silent["members"][1]["cause"] = json!(null);
        assert_eq!(told(&silent), "no member of hr differs; the sets of 1 members are not known yet");
    }
}
