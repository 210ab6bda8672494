//! New connections at all addresses, of callers and of members in client mode. Credentials are checked first, then the group of a caller.
//! Then the owner gets the connection.

use std::sync::Arc;

use rcs_core::engine::{Allowed, DialOrigin, Refusal as NoSession, Selector, select};
use rcs_core::ids::MemberId;
use rcs_core::view::{AdminState, Transport, View};
use rcs_proto::driver::accept::{AcceptError, Refusal, RefusalStatus, UpgradeRequest};
use rcs_proto::driver::listen::{self, Arrival, Decide, Intake};
use rcs_proto::driver::refusals::Refusals;
use rcs_proto::driver::tls::ListenTls;
use rcs_proto::manifest::Shown;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::access::{Access, Carried, Lease, Role, Shows};
use crate::control::{Control, Request};
use crate::limits::REQUEST_QUEUE_MAX;
use crate::listeners::{self, Bound};
use crate::strangers::{AsWhat, Presented};

/// What an accepted request told of its sender.
#[derive(Debug)]
enum Sender {
    Caller { selector: Selector, principal: Arc<str>, allowed: Allowed },
    Member { member: MemberId, name: Arc<str>, origin: DialOrigin },
}

/// A sender, and the lease of the connection if a token let it in.
type LetIn = (Sender, Option<Lease>);

/// Accepts callers for ever; dropping the future closes the listeners and ends the upgrades under way.
pub(crate) async fn serve(
    bound: Vec<Bound>,
    access: Access,
    view: watch::Receiver<Arc<View>>,
    intake: Arc<Intake>,
    tls: Option<ListenTls>,
    control: Control,
) {
    let (arrivals, arrived) = mpsc::channel(REQUEST_QUEUE_MAX);
    let (views, access_watched) = (view.clone(), access.clone());
    let serve = move |listener: TcpListener, transport: Transport, own: Option<Arc<str>>| {
        let tls = tls.clone().filter(|_| transport == Transport::Tls);
        let settings = views.clone();
        let pace = move || settings.borrow().router().accepts_per_second;
        let decide = Judge { access: access.clone(), view: views.clone(), own, transport };
        let listening =
            listen::serve_at_pace(listener, tls, Arc::clone(&intake), pace, decide, arrivals.clone());
        tokio::spawn(listening)
    };
    let closing = control.clone();
    let watch = access_watched.keep_watch(|revoked| {
        let control = closing.clone();
        async move { control.send(Request::Revoked(revoked)).await }
    });
    tokio::join!(listeners::follow(bound, view, serve), hand_over(arrived, control), watch);
}

/// Judges the requests at one address.
struct Judge {
    access: Access,
    view: watch::Receiver<Arc<View>>,
    /// The group of the address, if the address belongs to a group.
    own: Option<Arc<str>>,
    /// Whether the address has TLS.
    transport: Transport,
}

impl Judge {
    /// Whether others could read the request.
    fn carried(&self, request: &UpgradeRequest) -> Carried {
        match self.transport == Transport::Tls || request.peer.ip().to_canonical().is_loopback() {
            true => Carried::Privately,
            false => Carried::InClear,
        }
    }
}

impl Decide<LetIn> for Judge {
    async fn decide(&self, request: &UpgradeRequest) -> Result<LetIn, Refusal> {
        let (from, carried) = (request.peer.ip(), self.carried(request));
        let (authorization, certificate) = (&request.authorization, request.client_certificate.as_ref());
        let shows = Shows { authorization, certificate, from, carried };
        let (proved, lease) = self.access.judge(shows).await?;
        // The view of the moment when the key is known to be right.
        let view = Arc::clone(&self.view.borrow());
        let (principal, allowed) = match self.access.role(proved, request, self.own.as_deref(), &view)? {
            Role::Member(member) => {
                let name = may_join(&view, member)?;
                let origin = DialOrigin { address: request.peer.ip().to_canonical().to_string() };
                return Ok((Sender::Member { member, name, origin }, lease));
            }
            Role::Caller { principal, allowed } => (principal, allowed),
        };
        let selector = select(&view, self.own.as_deref(), &request.path, &principal, &allowed);
        let selector = selector.map_err(|refusal| Refusal::new(status(&refusal), refusal.to_string()))?;
        Ok((Sender::Caller { selector, principal, allowed }, lease))
    }
}

fn status(refusal: &NoSession) -> RefusalStatus {
    match refusal.status() {
        403 => RefusalStatus::NotAllowed,
        _ => RefusalStatus::NotFound,
    }
}

/// Whether a connection with the credentials of a member in client mode is let in. Returns the member's name.
fn may_join(view: &View, member: MemberId) -> Result<Arc<str>, Refusal> {
    let Some(member) = view.member(member) else {
        return Err(Refusal::new(
            RefusalStatus::NotAllowed,
            "the server that these credentials belong to is not in the provider document now: add the server to remoteConnectorClients",
        ));
    };
    let name = &member.spec.name;
    if member.spec.admin == AdminState::Disabled {
        let sentence =
            format!("{name:?} is disabled in the provider document: set enabled to true for the server");
        return Err(Refusal::new(RefusalStatus::NotAllowed, sentence));
    }
    Ok(name.as_str().into())
}

async fn hand_over(mut arrived: mpsc::Receiver<Arrival<LetIn>>, control: Control) {
    let mut refusals = Refusals::default();
    loop {
        let arrival = tokio::select! {
            arrival = arrived.recv() => arrival,
            () = refusals.log_due() => continue,
        };
        // The last one is dropped once the owner has been told.
        let Some(Arrival { peer, outcome, unproven, under_way: _under_way }) = arrival else { return };
        match outcome {
            Ok((socket, request, (Sender::Caller { selector, principal, allowed }, lease))) => {
                let as_what = AsWhat::Caller(Arc::clone(&principal));
                let presented = Presented { peer, path: request.path.into(), as_what };
                tracing::debug!(%peer, principal = %Shown::new(&principal), ?selector, "a caller's connection was accepted");
                control
                    .send(Request::Accepted {
                        socket,
                        unproven,
                        selector,
                        principal,
                        allowed,
                        presented,
                        lease,
                    })
                    .await;
            }
            Ok((socket, request, (Sender::Member { member, name, origin }, lease))) => {
                let presented = Presented { peer, path: request.path.into(), as_what: AsWhat::Member(name) };
                tracing::debug!(%peer, ?member, "a member in client mode opened a connection");
                control.send(Request::Joined { socket, unproven, member, origin, presented, lease }).await;
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
    use rcs_proto::driver::said::Said;
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
            said: Said::default(),
            client_certificate: None,
        }
    }

    #[tokio::test]
    async fn credentials_are_judged_before_the_path() {
        let access = Access::load(None, Mode::Development).unwrap();
        let with = |key: &str| {
            let (principal, secret) = ("anonymous".to_owned(), Secret::new(key.to_owned()));
            Authorization::Basic(Credentials { principal, secret })
        };
        let (_publish, view) = watch::channel(Arc::default());
        let judge = Judge { access, view, own: None, transport: Transport::Plain };
        for (path, authorization, status) in [
            ("/openicf/nobody", Authorization::Absent, Some(RefusalStatus::Unauthorized)),
            ("/openicf/nobody", with("wrong"), Some(RefusalStatus::Forbidden)),
            ("/openicf/nobody", with("changeit"), Some(RefusalStatus::NotFound)),
            ("/elsewhere", with("changeit"), Some(RefusalStatus::NotFound)),
            ("/openicf", with("changeit"), None),
        ] {
            let answer = judge.decide(&request(path, authorization)).await;
            assert_eq!(answer.err().map(|refusal| refusal.status), status, "{path}");
        }
    }

    /// A07
    #[test]
    fn what_comes_by_tls_or_from_this_machine_cannot_be_read_by_others() {
        let (_publish, view) = watch::channel(Arc::default());
        let access = Access::load(None, Mode::Development).unwrap();
        for (transport, peer, carried) in [
            (Transport::Plain, [127, 0, 0, 1], Carried::Privately),
            (Transport::Plain, [127, 8, 9, 1], Carried::Privately),
            (Transport::Plain, [10, 0, 0, 1], Carried::InClear),
            (Transport::Tls, [10, 0, 0, 1], Carried::Privately),
        ] {
            let judge = Judge { access: access.clone(), view: view.clone(), own: None, transport };
            let request = |peer| UpgradeRequest { peer, ..request("/openicf", Authorization::Absent) };
            assert_eq!(judge.carried(&request((peer, 1).into())), carried, "{transport:?} {peer:?}");
            let mapped = std::net::Ipv4Addr::from(peer).to_ipv6_mapped();
            assert_eq!(judge.carried(&request((mapped, 1).into())), carried, "{transport:?} {mapped}");
        }
    }
}
