//! New connections at all addresses, of callers and of members in client mode. Credentials are checked first, then the group of a caller.
//! Then the owner gets the connection.

use std::sync::Arc;

use rcs_core::engine::{Selector, select};
use rcs_core::ids::MemberId;
use rcs_core::view::{Transport, View};
use rcs_proto::driver::accept::{AcceptError, Refusal, RefusalStatus, UpgradeRequest};
use rcs_proto::driver::descriptors::Descriptors;
use rcs_proto::driver::listen::{self, Arrival, Intake};
use rcs_proto::driver::refusals::Refusals;
use rcs_proto::driver::tls::ListenTls;
use rcs_proto::manifest::Shown;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::access::{Access, Role};
use crate::control::{Control, Request};
use crate::limits::REQUEST_QUEUE_MAX;
use crate::listeners::{self, Bound};

/// What an accepted request told of its sender.
#[derive(Debug)]
enum Sender {
    Caller { selector: Selector, principal: Arc<str> },
    Member(MemberId),
}

/// Accepts callers for ever; dropping the future closes the listeners and ends the upgrades under way.
pub(crate) async fn serve(
    bound: Vec<Bound>,
    access: Access,
    view: watch::Receiver<Arc<View>>,
    descriptors: Descriptors,
    tls: Option<ListenTls>,
    control: Control,
) {
    let (arrivals, arrived) = mpsc::channel(REQUEST_QUEUE_MAX);
    let intake = Arc::new(Intake::new(descriptors));
    let views = view.clone();
    let serve = move |listener: TcpListener, transport: Transport, own: Option<Arc<str>>| {
        let tls = tls.clone().filter(|_| transport == Transport::Tls);
        let (access, settings, view) = (access.clone(), views.clone(), views.clone());
        let pace = move || settings.borrow().router().accepts_per_second;
        let decide = move |request: &UpgradeRequest| judge(request, &access, &view.borrow(), own.as_deref());
        let listening =
            listen::serve_at_pace(listener, tls, Arc::clone(&intake), pace, decide, arrivals.clone());
        tokio::spawn(listening)
    };
    tokio::join!(listeners::follow(bound, view, serve), hand_over(arrived, control));
}

/// `own` is the group of the address that was dialled, if the address belongs to a group.
fn judge(
    request: &UpgradeRequest,
    access: &Access,
    view: &View,
    own: Option<&str>,
) -> Result<Sender, Refusal> {
    let principal = match access.judge(&request.authorization, view)? {
        Role::Member(member) => return Ok(Sender::Member(member)),
        Role::Caller { principal } => principal,
    };
    let selector = select(view, own, &request.path, &principal)
        .map_err(|refusal| Refusal::new(RefusalStatus::NotFound, refusal.to_string()))?;
    Ok(Sender::Caller { selector, principal })
}

async fn hand_over(mut arrived: mpsc::Receiver<Arrival<Sender>>, control: Control) {
    let mut refusals = Refusals::default();
    loop {
        let arrival = tokio::select! {
            arrival = arrived.recv() => arrival,
            () = refusals.log_due() => continue,
        };
        let Some(Arrival { peer, outcome, unproven }) = arrival else { return };
        match outcome {
            Ok((socket, _, Sender::Caller { selector, principal })) => {
                tracing::debug!(%peer, principal = %Shown::new(&principal), ?selector, "a caller's connection was accepted");
                control.send(Request::Accepted { socket, unproven, selector, principal }).await;
            }
            Ok((socket, _, Sender::Member(member))) => {
                tracing::debug!(%peer, ?member, "a member in client mode opened a connection");
                control.send(Request::Joined { socket, unproven, member }).await;
            }
            // Port scanners and TCP health checks do this all day.
            Err(AcceptError::Closed | AcceptError::Io(_)) => {
                tracing::trace!(%peer, "a connection closed without a request")
            }
            Err(error) => refusals.log(peer, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcs_proto::driver::accept::{Authorization, Credentials};
    use rcs_proto::icf::Secret;

    use super::*;
    use crate::access::Mode;

    fn request(path: &str, authorization: Authorization) -> UpgradeRequest {
        let peer = ([127, 0, 0, 1], 1).into();
        UpgradeRequest {
            path: path.to_owned(),
            authorization,
            subprotocols: Vec::new(),
            peer,
            client_certificate: None,
        }
    }

    #[test]
    fn credentials_are_judged_before_the_path() {
        let access = Access::load(None, Mode::Development).unwrap();
        let with = |key: &str| {
            let (principal, secret) = ("anonymous".to_owned(), Secret::new(key.to_owned()));
            Authorization::Basic(Credentials { principal, secret })
        };
        let view = View::default();
        for (path, authorization, status) in [
            ("/openicf/nobody", Authorization::Absent, Some(RefusalStatus::Unauthorized)),
            ("/openicf/nobody", with("wrong"), Some(RefusalStatus::Forbidden)),
            ("/openicf/nobody", with("changeit"), Some(RefusalStatus::NotFound)),
            ("/elsewhere", with("changeit"), Some(RefusalStatus::NotFound)),
            ("/openicf", with("changeit"), None),
        ] {
            let answer = judge(&request(path, authorization), &access, &view, None);
            assert_eq!(answer.err().map(|refusal| refusal.status), status, "{path}");
        }
    }
}
