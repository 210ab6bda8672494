//! `/v1/groups`: groups are listed, made of a name, an algorithm and members (G14), changed and deleted.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use rcs_core::agreed::{Action, Edit};
use rcs_core::balance::Policy;
use rcs_core::view::GroupSpec;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::json::Json;
use super::parts::Path;
use super::problem::Problem;
use super::provider::whole;
use super::wish::{Known, Present, Wish};

/// A group, as requests and answers have it.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    algorithm: &'static str,
    /// In the order of priority.
    servers: &'a [String],
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The name of the path, or nothing.
    name: Option<String>,
    #[serde(default)]
    algorithm: Option<String>,
    servers: Vec<String>,
}

fn row(group: &GroupSpec) -> Row<'_> {
    Row { name: &group.name, algorithm: group.policy.name(), servers: &group.members }
}

pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Problem> {
    let present = Present::known(&admin)?;
    let rows: Vec<Row<'_>> = present.document.groups.iter().map(row).collect();
    Ok((present.tag(), Json(rows)).into_response())
}

pub(super) async fn show(State(admin): State<Admin>, Path(name): Path<String>) -> Result<Response, Problem> {
    let present = Present::known(&admin)?;
    let found = present.document.groups.iter().find(|group| group.name == name);
    let group = found.ok_or_else(|| {
        Problem::unknown("no_group", &format!("there is no group named {name:?}: see GET /v1/groups"))
    })?;
    Ok((present.tag(), Json(row(group))).into_response())
}

pub(super) async fn put(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    wish: Wish,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = whole(body)?;
    let (group, wish) = (parse(name, &body)?, wish.of(&body));
    let present = match wish.present(&admin).await? {
        Known::Present(present) => present,
        Known::Answered(answer) => return Ok(*answer),
    };
    let is_there = present.document.groups.iter().any(|known| known.name == group.name);
    let edit =
        if is_there && !wish.is_new_only { Edit::ReplaceGroup(group) } else { Edit::CreateGroup(group) };
    wish.carry_out(&admin, &present, Action::Edit(edit), Vec::new()).await
}

pub(super) async fn delete(
    State(admin): State<Admin>,
    Path(group): Path<String>,
    wish: Wish,
) -> Result<Response, Problem> {
    match wish.present(&admin).await? {
        Known::Present(present) => {
            let action = Action::Edit(Edit::DeleteGroup { group });
            wish.carry_out(&admin, &present, action, Vec::new()).await
        }
        Known::Answered(answer) => Ok(*answer),
    }
}

const FORM: &str =
    "send {\"algorithm\": \"failover\", \"servers\": [\"n1\", \"n2\"]}; roundrobin is the other algorithm";

fn parse(name: String, body: &[u8]) -> Result<GroupSpec, Problem> {
    let wanted: Wanted = serde_json::from_slice(body)
        .map_err(|error| Problem::request(format!("the body describes no group: {error}"), FORM))?;
    if wanted.name.is_some_and(|other| other != name) {
        return Err(Problem::request(
            "the path and the body have different names",
            "leave out the name in the body",
        ));
    }
    if wanted.servers.is_empty() {
        return Err(Problem::request("the group lists no servers", FORM));
    }
    let policy = match wanted.algorithm {
        None => Policy::default(),
        Some(algorithm) => Policy::from_name(&algorithm)
            .ok_or_else(|| Problem::request("there is no such algorithm", "use failover or roundrobin"))?,
    };
    Ok(GroupSpec { name, policy, members: wanted.servers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_an_algorithm_and_servers() {
        for (body, expected) in [
            (r#"{"servers": ["a", "b"]}"#, Some(Policy::Failover)),
            (r#"{"name": "g", "algorithm": "roundRobin", "servers": ["a", "b"]}"#, Some(Policy::RoundRobin)),
            (r#"{"name": "h", "servers": ["a"]}"#, None),
            (r#"{"algorithm": "random", "servers": ["a"]}"#, None),
            (r#"{"servers": []}"#, None),
            (r#"{"servers": ["a"], "server": 1}"#, None),
            ("", None),
        ] {
            let parsed = parse("g".to_owned(), body.as_bytes()).ok();
            let expected = expected.map(|policy| GroupSpec {
                name: "g".into(),
                policy,
                members: vec!["a".into(), "b".into()],
            });
            assert_eq!(parsed, expected, "{body}");
        }
    }
}
