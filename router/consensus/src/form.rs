//! How routers that start with empty stores become one cluster, whichever of them starts first.

use std::collections::BTreeMap;

use openraft::AsyncRuntime;

use crate::consensus::Consensus;
use crate::limits::{BOOTSTRAP_EVERY, HELLO_REQUEST, PRESENCE_REQUEST};
use crate::machine::Machine;
use crate::messages as pb;
use crate::rpc::{Peer, Request, Response, Transport, Unanswered};
use crate::types::RouterId;
use crate::wire;

/// How a router came to its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formed {
    /// The router has a log: it belongs to a cluster.
    Member,
    /// A cluster of these routers exists, and this router is not one of it: it waits to be added.
    Stranger,
}

/// Why a router cannot come to its cluster. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFormed {
    /// The cluster knows this router with another store.
    #[error(
        "the cluster knows router {known}, and this one is {own}: its store was lost. A router that lost its store must not vote: \
         start it with --join, and add it with `rcs-router cluster replace {}`",
        own.number
    )]
    StoreLost {
        /// This router.
        own: RouterId,
        /// The router of the same number that the cluster has.
        known: RouterId,
    },
    /// Another router answers at the address.
    #[error(
        "router {expected} is expected at {address}, and router {found} answers there: compare --peers of all routers"
    )]
    OtherNumber {
        /// The address.
        address: String,
        /// The number in --peers.
        expected: u32,
        /// The number of the router there.
        found: u32,
    },
    /// Another router was told to make another cluster.
    #[error(
        "router {number} was told to make a cluster of {theirs}, and this router of {own}: give all routers the same --peers"
    )]
    OtherPeers {
        /// The other router.
        number: u32,
        /// Its list.
        theirs: String,
        /// This router's list.
        own: String,
    },
}

/// What a round of questions showed.
enum Round {
    Formed(Formed),
    /// All routers answered, and no cluster is made yet.
    All(BTreeMap<RouterId, String>),
    /// These routers did not answer.
    Missing(Vec<u32>),
}

impl<R: AsyncRuntime, T: Transport, M: Machine> Consensus<R, T, M> {
    /// Makes a cluster of the routers with these numbers and addresses, this router's own among them, or finds the cluster that they
    /// made before. All routers are given the same list. The one with the lowest number makes the cluster, once all of them answer.
    /// `waits_for` is told the numbers of the routers that do not answer, whenever these change.
    ///
    /// # Errors
    /// [`NotFormed`]
    pub async fn form(
        &self,
        peers: &BTreeMap<u32, String>,
        mut waits_for: impl FnMut(&[u32]) + Send,
    ) -> Result<Formed, NotFormed> {
        self.shared.set_forming(list(peers));
        let mut told = None;
        let outcome = loop {
            match self.ask_all(peers).await {
                Err(error) => break Err(error),
                Ok(Round::Formed(formed)) => break Ok(formed),
                Ok(Round::All(routers)) if peers.keys().next() == Some(&self.id().number) => {
                    // If it fails, the next round shows why.
                    let _ = self.found(routers).await;
                }
                Ok(Round::All(_)) => {}
                Ok(Round::Missing(missing)) => {
                    if told.as_ref() != Some(&missing) {
                        waits_for(&missing);
                        told = Some(missing);
                    }
                }
            }
            R::sleep(BOOTSTRAP_EVERY).await;
        };
        self.shared.set_forming(String::new());
        outcome
    }

    async fn ask_all(&self, peers: &BTreeMap<u32, String>) -> Result<Round, NotFormed> {
        if let Some(running) = self.running()
            && running.has_log().await
        {
            return Ok(Round::Formed(Formed::Member));
        }
        let (mut routers, mut missing) = (BTreeMap::new(), Vec::new());
        for (number, address) in peers {
            if *number == self.id().number {
                routers.insert(self.id(), address.clone());
                continue;
            }
            let Some(answer) = self.hello(address).await else {
                missing.push(*number);
                continue;
            };
            let Some(found) = answer.receiver.as_ref().and_then(|receiver| receiver.id).map(RouterId::from)
            else {
                missing.push(*number);
                continue;
            };
            if found.number != *number {
                let (address, expected, found) = (address.clone(), *number, found.number);
                return Err(NotFormed::OtherNumber { address, expected, found });
            }
            if answer.has_log {
                match self.judge(&answer)? {
                    Some(formed) => return Ok(Round::Formed(formed)),
                    // The cluster is being made at this moment.
                    None => missing.push(*number),
                }
                continue;
            }
            let own = list(peers);
            if !answer.forming.is_empty() && answer.forming != own {
                return Err(NotFormed::OtherPeers { number: *number, theirs: answer.forming, own });
            }
            if answer.forming.is_empty() {
                missing.push(*number);
                continue;
            }
            routers.insert(found, address.clone());
        }
        Ok(if missing.is_empty() { Round::All(routers) } else { Round::Missing(missing) })
    }

    /// A cluster exists. Does it know this router? None if the cluster does not know its own routers yet.
    fn judge(&self, answer: &pb::HelloResponse) -> Result<Option<Formed>, NotFormed> {
        let own = self.id();
        let Ok(routers) = wire::read_stored_membership(answer.routers.as_ref()) else { return Ok(None) };
        let all: Vec<RouterId> = routers.membership().nodes().map(|(id, _)| *id).collect();
        if all.contains(&own) {
            return Ok(Some(Formed::Member));
        }
        match all.iter().find(|id| id.number == own.number) {
            Some(known) => Err(NotFormed::StoreLost { own, known: *known }),
            None if all.is_empty() => Ok(None),
            None => Ok(Some(Formed::Stranger)),
        }
    }

    /// Tells a router what this one sees now, and no log has.
    ///
    /// # Errors
    /// [`Unanswered`]
    pub async fn tell_presence(
        &self,
        to: RouterId,
        address: &str,
        (run, version): (u64, u64),
        members: Vec<String>,
    ) -> Result<(), Unanswered> {
        let sender = Some(self.shared.me.sender(Some(to)));
        let to = Peer { id: Some(to), address: address.to_owned() };
        let request = pb::PresenceRequest { sender, version, run, members };
        self.shared.transport().ask(&to, Request::Presence(request), PRESENCE_REQUEST).await.map(drop)
    }

    /// Asks the router at an address who it is; none if it does not say.
    pub async fn hello(&self, address: &str) -> Option<pb::HelloResponse> {
        let to = Peer { id: None, address: address.to_owned() };
        let request = pb::HelloRequest { sender: Some(self.shared.me.sender(None)) };
        match self.shared.transport().ask(&to, Request::Hello(request), HELLO_REQUEST).await {
            Ok(Response::Hello(answer)) => Some(answer),
            _ => None,
        }
    }
}

fn list(peers: &BTreeMap<u32, String>) -> String {
    let each: Vec<String> = peers.iter().map(|(number, address)| format!("{number}={address}")).collect();
    each.join(",")
}
