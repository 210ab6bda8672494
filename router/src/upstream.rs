//! Dialling members, and what a failed dial means for the next one.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use rcs_core::engine::{DialFailure, Slot};
use rcs_core::ids::MemberId;
use rcs_core::limits::CONNECT_TIMEOUT;
use rcs_core::view::{Endpoint, Transport};
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialError, DialTarget, DialTls, dial};
use rcs_proto::driver::tls::Identity;
use rcs_proto::icf::Secret;
use rustls::ClientConfig;
use tokio::sync::{Semaphore, watch};

use crate::control::{Control, NotDialled, Request};
use crate::limits::{DIALS_MAX, VIA_DIAL_TIMEOUT};
use crate::vias;

/// The TLS configurations of members with a trust store of their own, by name.
pub(crate) type OwnTrust = BTreeMap<String, Arc<ClientConfig>>;

/// Checks whether an endpoint can be dialled at all.
///
/// # Errors
/// [`DialError::BadTarget`]
pub(crate) fn validate(endpoint: &Endpoint) -> Result<(), DialError> {
    target(endpoint, None).validate()
}

/// Dials on behalf of the engine, and reports to the owner.
#[derive(Clone)]
pub(crate) struct Dialler {
    tls: Option<watch::Receiver<Arc<ClientConfig>>>,
    own: watch::Receiver<OwnTrust>,
    /// What members that ask for a certificate are shown.
    identity: Option<watch::Receiver<Arc<Identity>>>,
    control: Control,
    /// Dials that may be under way.
    places: Arc<Semaphore>,
}

impl Dialler {
    /// Members with `useSSL` are dialled with `tls`, and single members with their entry in `own` instead. Both change with their files.
    /// Documents that have members with `useSSL` and neither of the two are refused. A member that asks for a certificate is shown `identity`.
    pub(crate) fn new(
        tls: Option<watch::Receiver<Arc<ClientConfig>>>,
        own: watch::Receiver<OwnTrust>,
        identity: Option<watch::Receiver<Arc<Identity>>>,
        control: Control,
    ) -> Self {
        Self { tls, own, identity, control, places: Arc::new(Semaphore::new(DIALS_MAX)) }
    }

    /// Dials once; the outcome is a [`Request::Dialled`].
    pub(crate) fn start(&self, member: MemberId, name: &str, slot: Slot, endpoint: &Endpoint) {
        let target = self.target(name, endpoint);
        let (control, places) = (self.control.clone(), Arc::clone(&self.places));
        tokio::spawn(async move {
            let place = places.acquire_owned().await.expect("the semaphore is never closed");
            let outcome = match target {
                Ok(target) => match dial(&target).await {
                    Ok((socket, _)) => Ok(socket),
                    Err(error) => Err(not_dialled(&target, &error)),
                },
                Err(reason) => Err(NotDialled { failure: DialFailure::BadTarget, reason: reason.to_owned() }),
            };
            drop(place);
            control.send(Request::Dialled { member, slot, outcome }).await;
        });
    }

    /// Dials the cluster address of a router once, through which a member is to be used; the outcome is a [`Request::DialledVia`]. `way` has the
    /// address, as `HOST:PORT`, and what the router is dialled with.
    pub(crate) fn start_via(
        &self,
        member: MemberId,
        name: &str,
        router: u32,
        way: Option<(String, Arc<ClientConfig>)>,
    ) {
        let target = way.and_then(|(address, config)| via(name, &address, config));
        let (control, places) = (self.control.clone(), Arc::clone(&self.places));
        tokio::spawn(async move {
            let place = places.acquire_owned().await.expect("the semaphore is never closed");
            let outcome = match target {
                None => Err(format!("router {router}: its address is not known")),
                Some(target) => match dial(&target).await {
                    Ok((socket, _)) => Ok(socket),
                    Err(error) => Err(format!("router {router}: {}", not_dialled(&target, &error).reason)),
                },
            };
            drop(place);
            control.send(Request::DialledVia { member, router, outcome }).await;
        });
    }

    fn target(&self, name: &str, endpoint: &Endpoint) -> Result<DialTarget, &'static str> {
        let own = self.own.borrow().get(name).cloned();
        let trusting = Trusting {
            all: self.tls.as_ref().map(|tls| Arc::clone(&tls.borrow())),
            own: own.map(|own| (name.to_owned(), own)).into_iter().collect(),
            identity: self.identity.as_ref().map(|identity| Arc::clone(&identity.borrow())),
        };
        target_of(name, endpoint, &trusting)
    }
}

/// Which certificates of members are trusted, and what members that ask for a certificate are shown.
#[derive(Debug)]
pub(crate) struct Trusting {
    pub(crate) all: Option<Arc<ClientConfig>>,
    pub(crate) own: OwnTrust,
    pub(crate) identity: Option<Arc<Identity>>,
}

/// Where and how a member is dialled.
///
/// # Errors
/// The member has TLS, and nobody is trusted. The text says what to do.
pub(crate) fn target_of(
    name: &str,
    endpoint: &Endpoint,
    trusting: &Trusting,
) -> Result<DialTarget, &'static str> {
    let config = match endpoint.transport {
        Transport::Plain => return Ok(target(endpoint, None)),
        Transport::Tls => trusting.own.get(name).or(trusting.all.as_ref()),
    };
    let config = config.ok_or(
        "the member has useSSL, but the router has no trust store: start the router with --trust-store",
    )?;
    let config = match &trusting.identity {
        None => Arc::clone(config),
        Some(identity) => identity.shown_by(config),
    };
    Ok(target(endpoint, Some(DialTls { config, server_name: None })))
}

fn target(endpoint: &Endpoint, tls: Option<DialTls>) -> DialTarget {
    DialTarget {
        host: endpoint.host.clone(),
        port: endpoint.port,
        path: endpoint.path.clone(),
        tls,
        authorization: DialAuthorization::Basic(Credentials {
            principal: endpoint.principal.clone(),
            secret: endpoint.key.clone(),
        }),
        connect_timeout: CONNECT_TIMEOUT,
    }
}

/// Where and how a router is dialled through which a member is to be used. The certificates prove both routers, and nothing else is asked.
fn via(name: &str, address: &str, config: Arc<ClientConfig>) -> Option<DialTarget> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some(DialTarget {
        host: host.to_owned(),
        port: port.parse().ok()?,
        path: vias::path(name),
        tls: Some(DialTls { config, server_name: None }),
        authorization: DialAuthorization::Basic(Credentials {
            principal: "router".to_owned(),
            secret: Secret::new(String::new()),
        }),
        connect_timeout: VIA_DIAL_TIMEOUT,
    })
}

fn not_dialled(target: &DialTarget, error: &DialError) -> NotDialled {
    let reason = match error {
        // These name the address themselves.
        DialError::Resolve { .. } | DialError::Connect { .. } | DialError::ConnectTimeout { .. } => {
            error.to_string()
        }
        _ => format!("{}:{}: {error}", target.host, target.port),
    };
    NotDialled { failure: failure(error), reason }
}

fn failure(error: &DialError) -> DialFailure {
    match error {
        DialError::BadTarget(_) | DialError::TokenInClear { .. } => DialFailure::BadTarget,
        DialError::PlainPeer => DialFailure::NoTls,
        DialError::TlsPeer => DialFailure::WantsTls,
        DialError::Tls(_) => DialFailure::TlsFailed,
        // Members are shown keys and no tokens.
        DialError::WrongKey { .. } | DialError::TokenRefused { .. } => DialFailure::WrongKey,
        DialError::NoSuchPath { .. } => DialFailure::WrongPath,
        DialError::NotWebSocket(_) => DialFailure::NotOpenIcf,
        DialError::Resolve { .. } => DialFailure::NameNotResolved,
        DialError::ConnectTimeout { .. } => DialFailure::TimedOut,
        DialError::Connect { source, .. } => match source.kind() {
            ErrorKind::ConnectionRefused => DialFailure::ConnectionRefused,
            ErrorKind::TimedOut => DialFailure::TimedOut,
            _ => DialFailure::Unreachable,
        },
        DialError::Refused { .. } => DialFailure::HttpStatus,
        DialError::NoAnswer { .. } => DialFailure::NoAnswer,
        // If a process dies while it is dialled, its connections are closed, whatever the process said before.
        DialError::NoTlsAnswer | DialError::Closed => DialFailure::Closed,
        // No member is dialled through a proxy.
        DialError::Io(_) | DialError::Proxy { .. } | DialError::ProxyTimeout { .. } => {
            DialFailure::Unreachable
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_what_an_operator_must_mend_is_retried_rarely() {
        let refused = [
            DialError::WrongKey { status: 403 },
            DialError::PlainPeer,
            DialError::TlsPeer,
            DialError::Tls("unknown issuer".to_owned()),
        ];
        for error in refused {
            assert!(failure(&error).is_lasting(), "{error}");
        }
        let unreachable = [
            DialError::Closed,
            DialError::Refused { status: 503 },
            DialError::NoTlsAnswer,
            DialError::Io(io::Error::from(ErrorKind::ConnectionReset)),
        ];
        for error in unreachable {
            assert!(!failure(&error).is_lasting(), "{error}");
        }
    }
}
