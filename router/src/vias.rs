//! Ways between routers (`via`): another router of the cluster uses a member in client mode that is connected to this router. The other router
//! dials the cluster address, shows its certificate, and asks for the WebSocket `/openicf/via/MEMBER`.

use std::sync::Arc;

use rcs_consensus::transport::{Arriving, Upgrading};
use rcs_core::engine::Selector;
use rcs_core::ids::MemberId;
use rcs_core::view::{Link, View};
use rcs_proto::driver::accept::{AcceptError, Refusal, RefusalStatus, accept};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::control::{Control, Request};
use crate::limits::VIA_UPGRADES_MAX;

/// The path before the name of the member.
const PATH: &str = "/openicf/via/";

/// The path of a request for this member.
pub(crate) fn path(member: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut path = PATH.to_owned();
    for byte in member.bytes() {
        match plain(byte) {
            true => path.push(char::from(byte)),
            false => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

/// Takes connections of other routers in, for ever.
pub(crate) async fn serve(
    mut arriving: mpsc::Receiver<Arriving>,
    view: watch::Receiver<Arc<View>>,
    control: Control,
) {
    let mut upgrades = JoinSet::new();
    while let Some(next) = arriving.recv().await {
        while upgrades.try_join_next().is_some() {}
        if upgrades.len() >= VIA_UPGRADES_MAX {
            // Each upgrade ends by its deadline.
            upgrades.join_next().await;
        }
        upgrades.spawn(upgrade(next, view.clone(), control.clone()));
    }
}

async fn upgrade(arriving: Arriving, view: watch::Receiver<Arc<View>>, control: Control) {
    let Some(Upgrading { stream, router, address }) = arriving.shake_hands().await else { return };
    let decide = |path: &str| member(&view.borrow(), path);
    match accept(stream, address, |request| decide(&request.path)).await {
        Ok((socket, _, member)) => {
            tracing::debug!(%address, router, ?member, "another router uses a member through this one");
            let selector = Selector::Via(member);
            control.send(Request::Forwarding { socket, selector, router }).await;
        }
        Err(AcceptError::Closed | AcceptError::Io(_)) => {
            tracing::trace!(%address, router, "a router closed its connection without a request");
        }
        Err(error) => tracing::info!(%address, router, "a connection of another router was refused: {error}"),
    }
}

/// The member that the path names.
fn member(view: &View, path: &str) -> Result<MemberId, Refusal> {
    let not_found = |sentence: String| Refusal::new(RefusalStatus::NotFound, sentence);
    let name =
        path.strip_prefix(PATH).ok_or_else(|| not_found(format!("routers ask for {PATH}MEMBER here")))?;
    let found = view.member_named(name).filter(|member| member.spec.link == Link::Accept);
    let missing = || not_found(format!("this router knows no member in client mode named {name:?}"));
    found.map(|member| member.id).ok_or_else(missing)
}
