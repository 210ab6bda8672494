//! A router of a cluster that has not caught up: a group or member that it does not find may be there all the same. A router that has just
//! started knows nothing yet.

use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::Response;
use rcs_core::agreed::{Authority, Document};

use super::{Admin, refusal};
use crate::cluster::Cluster;

/// What a request that found no such group or member is told: 404 if there is none, or 503 if this router cannot know.
pub(super) async fn not_found(
    admin: &Admin,
    (group, member): (&str, Option<&str>),
    refused: impl Display,
) -> Response {
    let Some(cluster) = &admin.cluster else { return refusal(StatusCode::NOT_FOUND, refused) };
    match cluster.read_barrier().await {
        Ok(_) if may_be_there(cluster, group, member) => {
            later("the cluster has more than this router follows yet")
        }
        Ok(_) => refusal(StatusCode::NOT_FOUND, refused),
        Err(why) => later(why),
    }
}

fn later(why: impl Display) -> Response {
    let sentence =
        format!("this router has not caught up with its cluster ({why}): repeat the request in a second");
    refusal(StatusCode::SERVICE_UNAVAILABLE, sentence)
}

/// Whether the cluster has the group, with the member in it. As long as no files are agreed, the group may be in them.
fn may_be_there(cluster: &Cluster, group: &str, member: Option<&str>) -> bool {
    let look = cluster.look(|state| {
        let document = state.agreed().document();
        // The first revision belongs to the seed, and the next one to the files.
        let is_unset =
            document.members.is_empty() && (state.authority() == Authority::File || state.revision() <= 1);
        is_unset || has(document, group, member)
    });
    look.unwrap_or(true)
}

fn has(document: &Document, group: &str, member: Option<&str>) -> bool {
    // The second process of a name is `NAME@2`.
    let member = member.map(|member| member.split('@').next().unwrap_or(member));
    let in_list =
        |members: &[String]| member.is_none_or(|member| members.iter().any(|known| known == member));
    let listed = document.groups.iter().find(|known| known.name == group);
    match listed {
        Some(listed) => in_list(&listed.members),
        None => {
            document.members.iter().any(|known| known.name == group)
                && member.is_none_or(|member| member == group)
        }
    }
}
