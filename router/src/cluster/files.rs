//! The files of this router, offered to the cluster. The leader's files count: it offers what changed in them. A file that is merely
//! different is not offered, because it may be an old one: in Kubernetes a changed ConfigMap reaches the routers at different moments,
//! and a router that becomes the leader must not bring back what another one had replaced.

use std::path::{Path, PathBuf};

use rcs_consensus::{NotApplied, Role};
use rcs_core::agreed::Action;
use rcs_core::agreed::Author;
use rcs_core::agreed::{Authority, FilesState};
use rcs_core::agreed::{CommandResult, Outcome};
use rcs_proto::manifest::Digest;
use tokio::time::{MissedTickBehavior, interval};

use super::{Cluster, new_request};
use crate::control::{Configuration, Origin};
use crate::limits::OFFER_EVERY;

/// Where a router remembers which files it saw last, in its data directory.
const SEEN: &str = "cluster.files";

/// What the files of a router say.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    /// Their content.
    pub(crate) configuration: Configuration,
    /// SHA-256 of that content.
    pub(crate) digest: Digest,
}

/// Offers changed files for ever, while this router leads. While it follows, it notes which files the cluster has from it or another router.
pub(super) async fn offer(cluster: Cluster, directory: PathBuf, authority: Option<Authority>) {
    let mut files = cluster.0.configuration.subscribe();
    let mut seen = read_seen(&directory);
    let mut said = None;
    let mut ticks = interval(OFFER_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = files.changed() => if changed.is_err() { return },
        }
        let leads = cluster.status().borrow().role == Role::Leader;
        if leads {
            settle_authority(&cluster, authority).await;
            set_seed(&cluster).await;
        }
        let Some(offered) = files.borrow().clone() else { continue };
        let known = cluster.look(|state| {
            let document = state.agreed().document();
            let is_empty = document.members.is_empty() && document.groups.is_empty();
            (is_empty, state.files().map(|files| (files.digest, files.state)))
        });
        let Some((is_empty, known)) = known else { continue };
        let is_known = known.is_some_and(|(digest, _)| digest == offered.digest);
        // A router that follows notes its files too: if it leads one day with the same files, they are old ones.
        if is_known || (!leads && !is_empty && seen.is_none()) {
            remember(&directory, &mut seen, offered.digest);
        }
        if !leads {
            continue;
        }
        let is_changed = seen != Some(offered.digest);
        if is_known || !(is_empty || is_changed) {
            if !is_known && said != Some(offered.digest) {
                said = Some(offered.digest);
                tracing::warn!(
                    "the files of this router differ from what the cluster has in force, and have not changed since this router saw them \
                     last: they are taken for old ones and not used. Give all routers the files that are wanted; a changed content at \
                     the leader comes into force"
                );
            }
            continue;
        }
        match propose(&cluster, &offered).await {
            Ok(outcome) => {
                remember(&directory, &mut seen, offered.digest);
                tell(&cluster, &outcome);
            }
            Err(error) => {
                tracing::debug!(%error, "the changed files could not be offered to the cluster; they are offered again");
            }
        }
    }
}

async fn propose(cluster: &Cluster, offered: &Offered) -> Result<Outcome, NotApplied> {
    let action = Action::Configure {
        document: Some(offered.configuration.document.as_ref().clone()),
        settings: offered.configuration.settings.clone(),
        digest: offered.digest,
    };
    let origin = Origin { who: "files".to_owned(), from: cluster.0.from.clone() };
    cluster.change(new_request(), None, Author::Files, &origin, action).await
}

/// The cluster is told who decides, as this router's options say; the first leader's options count until they change.
async fn settle_authority(cluster: &Cluster, wanted: Option<Authority>) {
    let Some(wanted) = wanted else { return };
    if cluster.look(|state| state.authority() == wanted).unwrap_or(true) {
        return;
    }
    let origin = Origin { who: "options".to_owned(), from: cluster.0.from.clone() };
    let action = Action::Authority(wanted);
    match cluster.change(new_request(), None, Author::Files, &origin, action).await {
        Ok(_) => tracing::info!(authority = wanted.label(), "who decides members and groups has changed"),
        Err(error) => tracing::debug!(%error, "the authority could not be changed; it is tried again"),
    }
}

/// The first leader has its seed agreed, so that the callers' sessions keep their identities even if the cluster gets another id.
async fn set_seed(cluster: &Cluster) {
    if cluster.look(|state| state.seed().is_some()).unwrap_or(true) {
        return;
    }
    let action = Action::Seed(cluster.own_seed().into());
    if let Err(error) = cluster.change(new_request(), None, Author::Router, &cluster.origin(), action).await {
        tracing::debug!(%error, "the seed could not be agreed; it is tried again");
    }
}

fn tell(cluster: &Cluster, outcome: &Outcome) {
    let state = cluster.look(|state| state.files().map(|files| files.state)).flatten();
    match (&outcome.result, state) {
        (CommandResult::Refused { sentence, .. }, _) => {
            tracing::error!("the changed files cannot be used, and nothing was changed: {sentence}");
        }
        (_, Some(FilesState::Differ)) => tracing::warn!(
            "the files of this router differ from what the cluster has in force, and the cluster decides: use `rcs-router diff` and \
             `rcs-router apply`"
        ),
        (CommandResult::Changed, _) => {
            tracing::info!(revision = outcome.revision, "the changed files are in force in the cluster");
        }
        (CommandResult::Unchanged, _) => {}
    }
}

fn read_seen(directory: &Path) -> Option<Digest> {
    std::fs::read_to_string(directory.join(SEEN)).ok()?.trim().parse().ok()
}

/// Remembers which files were offered last. If that is lost, the files are offered once more than needed.
fn remember(directory: &Path, seen: &mut Option<Digest>, digest: Digest) {
    if *seen == Some(digest) {
        return;
    }
    *seen = Some(digest);
    if let Err(error) = std::fs::write(directory.join(SEEN), format!("{digest}\n")) {
        tracing::warn!(%error, "it could not be noted in the data directory which files were seen last");
    }
}
