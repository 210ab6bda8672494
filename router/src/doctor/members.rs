//! Dials each member as the router would, and asks for its connectors.

use std::sync::Arc;
use std::time::Duration;

use rcs_cli::doctor::Finding;
use rcs_core::agreed::Document;
use rcs_core::bundles::wire::WireManifest;
use rcs_core::view::{AdminState, Endpoint, Link, MemberSpec, Transport};
use rcs_proto::driver::endpoint::{Caller, ConnectError, EndpointConfig};
use rcs_proto::driver::tls::Identity;
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::limits::{DOCTOR_DIALS_MAX, DOCTOR_LIST_WAIT};
use crate::upstream::{self, OwnTrust, Trusting};

/// What is needed to dial members.
#[derive(Debug)]
pub(crate) struct Dialling {
    pub(crate) document: Arc<Document>,
    pub(crate) trust: Option<Arc<ClientConfig>>,
    pub(crate) own_trust: OwnTrust,
    pub(crate) identity: Option<Arc<Identity>>,
}

/// What became of one member.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) name: String,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// It told its connectors.
    Listed { address: String, transport: Transport, took: Duration, wire: WireManifest },
    /// It could not be reached, or said nothing of use. The text says what to do.
    Failed(String),
    /// The router does not dial it.
    NotDialled(&'static str),
}

impl Reached {
    /// The connectors that it told.
    pub(super) fn wire(&self) -> Option<&WireManifest> {
        match &self.outcome {
            Outcome::Listed { wire, .. } => Some(wire),
            Outcome::Failed(_) | Outcome::NotDialled(_) => None,
        }
    }

    pub(super) fn finding(&self) -> Finding {
        let subject = format!("member {}", self.name);
        match &self.outcome {
            Outcome::Failed(text) => Finding::failed(subject, text.clone()),
            Outcome::NotDialled(text) => Finding::ok(subject, *text),
            Outcome::Listed { address, wire, .. } if wire.is_empty() => {
                let text = format!(
                    "{address} answers, and has no connectors: put the connector bundles into the server's connectors folder, and restart the \
                     server"
                );
                Finding::failed(subject, text)
            }
            Outcome::Listed { address, transport, took, wire } => {
                let over = match transport {
                    Transport::Plain => "without TLS",
                    Transport::Tls => "over TLS",
                };
                let (count, took) = (wire.connectors().len(), took.as_millis());
                let text =
                    format!("{address} answers {over}, has the right key and {count} connectors ({took} ms)");
                Finding::ok(subject, text)
            }
        }
    }
}

/// Reaches the members of these names, or all; in the order of the document.
pub(super) async fn reach_all(dialling: &Dialling, only: &[String]) -> Vec<Reached> {
    let places = Arc::new(Semaphore::new(DOCTOR_DIALS_MAX));
    let wanted = |member: &&MemberSpec| only.is_empty() || only.contains(&member.name);
    let mut under_way = JoinSet::new();
    for (at, member) in dialling.document.members.iter().filter(wanted).enumerate() {
        let name = member.name.clone();
        let endpoint = match (&member.link, member.admin) {
            (_, AdminState::Disabled) => Err("is disabled in the provider document, and is not dialled"),
            (Link::Accept, _) => Err(
                "is in client mode and dials the router: `rcs-router member list -o wide` of the running router shows its sockets",
            ),
            (Link::Dial(endpoint), AdminState::Enabled) => Ok(endpoint.clone()),
        };
        let (trusting, places) = (dialling.trusting(), Arc::clone(&places));
        under_way.spawn(async move {
            let outcome = match endpoint {
                Err(why) => Outcome::NotDialled(why),
                Ok(endpoint) => {
                    let place = places.acquire().await;
                    let outcome = reach(&name, &endpoint, &trusting).await;
                    drop(place);
                    outcome.unwrap_or_else(Outcome::Failed)
                }
            };
            (at, Reached { name, outcome })
        });
    }
    let mut reached = under_way.join_all().await;
    reached.sort_by_key(|(at, _)| *at);
    reached.into_iter().map(|(_, reached)| reached).collect()
}

impl Dialling {
    fn trusting(&self) -> Trusting {
        Trusting { all: self.trust.clone(), own: self.own_trust.clone(), identity: self.identity.clone() }
    }
}

async fn reach(name: &str, endpoint: &Endpoint, trusting: &Trusting) -> Result<Outcome, String> {
    let target = upstream::target_of(name, endpoint, trusting).map_err(str::to_owned)?;
    let began = Instant::now();
    let (address, transport) = (format!("{}:{}", target.host, target.port), endpoint.transport);
    let config = EndpointConfig::new(EndpointConfig::random_identity());
    let caller = Caller::connect(target, 1, config).await.map_err(|error| match error {
        ConnectError::Dial(error) => format!("{address}: {error}"),
        ConnectError::NoHandshake => {
            format!(
                "{address}: {error}. Restart the connector server; if that does not help, look in the server's log"
            )
        }
    })?;
    let infos = timeout(DOCTOR_LIST_WAIT, caller.connector_infos()).await;
    let took = began.elapsed();
    caller.close().await;
    let infos = match infos {
        Ok(Ok(infos)) => infos,
        Ok(Err(error)) => {
            return Err(format!(
                "{address}: the server does not report its connectors: {error}. Look in the server's log"
            ));
        }
        Err(_) => {
            let seconds = DOCTOR_LIST_WAIT.as_secs();
            return Err(format!(
                "{address}: the server reported no connectors within {seconds} s: look in the server's log"
            ));
        }
    };
    let wire = WireManifest::read(&infos)
        .map_err(|error| format!("{address}: the server's list of connectors cannot be used: {error}"))?;
    Ok(Outcome::Listed { address, transport, took, wire })
}
