//! Which members in client mode are connected to which router. Each router tells the others what it sees, on each change and once a second.
//! Nothing of this is in the log: what a router has said counts for a few seconds, unless the router says it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcs_consensus::RouterId;
use rcs_consensus::messages::{PresenceRequest, PresenceResponse};
use rcs_consensus::rpc::{Receiver, Rejected, Request as Question, Response};
use rcs_consensus::transport::Arriving;
use rustls::ClientConfig;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Cluster, Part};
use crate::control::{Control, Request};
use crate::limits::{PRESENCE_EVERY, PRESENCE_KEPT, PRESENT_MEMBERS_MAX, ROUTERS_HEARD_MAX};

/// What this router sees, and what it heard of the others.
#[derive(Debug)]
pub(super) struct Presence {
    /// Drawn at random: a router that was started again counts its versions anew.
    run: u64,
    own: watch::Sender<Own>,
    heard: Mutex<BTreeMap<u32, Heard>>,
    news: Notify,
}

/// The members that are connected here.
#[derive(Clone, Debug, Default)]
struct Own {
    version: u64,
    members: Vec<String>,
}

/// What one router said last.
#[derive(Debug)]
struct Heard {
    incarnation: u32,
    run: u64,
    version: u64,
    until: Instant,
    members: BTreeSet<String>,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self {
            run: fastrand::u64(..),
            own: watch::Sender::default(),
            heard: Mutex::default(),
            news: Notify::new(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<u32, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A router says which members are connected to it.
    fn hear(&self, from: RouterId, said: PresenceRequest, now: Instant) -> Result<(), Rejected> {
        if said.members.len() > PRESENT_MEMBERS_MAX {
            return Err(Rejected::Malformed(format!("more than {PRESENT_MEMBERS_MAX} members are present")));
        }
        let mut heard = self.heard();
        let is_late = |known: &Heard| {
            let is_same = (known.incarnation, known.run) == (from.incarnation, said.run);
            is_same && known.version > said.version
        };
        let known = heard.get(&from.number);
        if known.is_some_and(is_late) || known.is_none() && heard.len() >= ROUTERS_HEARD_MAX {
            return Ok(());
        }
        let until = now + PRESENCE_KEPT;
        let PresenceRequest { run, version, members, .. } = said;
        let (incarnation, members) = (from.incarnation, members.into_iter().collect());
        heard.insert(from.number, Heard { incarnation, run, version, until, members });
        self.news.notify_one();
        Ok(())
    }

    /// The router through which each member can be used: of several, the one with the lowest number. Routers that the cluster does not know
    /// by these ids cannot be dialled.
    fn elsewhere(&self, now: Instant, is_known: impl Fn(RouterId) -> bool) -> BTreeMap<String, u32> {
        let mut heard = self.heard();
        heard.retain(|_, heard| heard.until > now);
        let mut all = BTreeMap::new();
        for (number, heard) in heard.iter() {
            if !is_known(RouterId { number: *number, incarnation: heard.incarnation }) {
                continue;
            }
            for member in &heard.members {
                all.entry(member.clone()).or_insert(*number);
            }
        }
        all
    }
}

/// Answers other routers: what they see is kept here, and all else is a matter of the log.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) part: Part,
    pub(super) presence: Arc<Presence>,
}

impl Receiver for Door {
    async fn receive(&self, request: Question) -> Result<Response, Rejected> {
        let said = match request {
            Question::Presence(_) => {
                self.part.check(&request)?;
                request
            }
            other => return self.part.receive(other).await,
        };
        let Question::Presence(said) = said else { return Err(Rejected::NoSender) };
        let sender = said.sender.as_ref().and_then(|sender| sender.id).ok_or(Rejected::NoSender)?;
        self.presence.hear(sender.into(), said, Instant::now())?;
        Ok(Response::Presence(PresenceResponse {}))
    }
}

/// Tells the other routers what this one sees, and the engine what the others say. Runs for ever.
pub(super) async fn run(cluster: Cluster, control: Control) {
    let presence = Arc::clone(&cluster.0.presence);
    let mut own = presence.own.subscribe();
    let mut ticks = interval(PRESENCE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Arc::default();
    // One request to each router at a time.
    let (mut asking, mut asked) = (JoinSet::new(), BTreeSet::new());
    loop {
        let tells = tokio::select! {
            _ = ticks.tick() => true,
            changed = own.changed() => changed.is_ok(),
            () = presence.news.notified() => false,
            Some(done) = asking.join_next() => {
                // A request that panicked is not made again: it is counted as under way for ever.
                done.is_ok_and(|(router, version): (u32, u64)| {
                    asked.remove(&router);
                    version != own.borrow().version
                })
            }
        };
        if tells {
            let now = own.borrow_and_update().clone();
            let status = cluster.status().borrow().clone();
            let others = status.addresses.into_iter().filter(|(id, _)| id.number != status.id.number);
            for (id, address) in others {
                if asked.insert(id.number) {
                    let (part, run, now) = (cluster.0.part.clone(), presence.run, now.clone());
                    asking.spawn(async move {
                        let Own { version, members } = now;
                        if let Err(error) = part.tell_presence(id, &address, (run, version), members).await {
                            tracing::trace!(%error, "a router was not told who is connected here");
                        }
                        (id.number, version)
                    });
                }
            }
        }
        let addresses = cluster.status().borrow().addresses.clone();
        let elsewhere = presence.elsewhere(Instant::now(), |id| addresses.contains_key(&id));
        if *told != elsewhere {
            told = Arc::new(elsewhere);
            control.send(Request::Elsewhere(Arc::clone(&told))).await;
        }
    }
}

impl Cluster {
    /// These members in client mode are connected to this router, and get calls.
    pub(crate) fn present(&self, members: Vec<String>) {
        self.0.presence.own.send_modify(|own| *own = Own { version: own.version + 1, members });
    }

    /// How the router of this number is dialled: the address that the log has, and this router's certificate.
    pub(crate) fn way_to(&self, router: u32) -> Option<(String, Arc<ClientConfig>)> {
        let status = self.status().borrow().clone();
        let (_, address) = status.addresses.into_iter().find(|(id, _)| id.number == router)?;
        Some((address, self.0.credentials.as_ref()?.upgrading()))
    }

    /// The connections of other routers that are to become WebSockets. They can be taken once.
    pub(crate) fn arriving(&self) -> Option<mpsc::Receiver<Arriving>> {
        self.0.arriving.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(run: u64, version: u64, members: &[&str]) -> PresenceRequest {
        let members = members.iter().map(ToString::to_string).collect();
        PresenceRequest { sender: None, version, run, members }
    }

    fn router(number: u32) -> RouterId {
        RouterId { number, incarnation: 7 }
    }

    #[test]
    fn the_router_with_the_lowest_number_is_used_and_what_is_not_repeated_is_forgotten() {
        let (presence, start) = (Presence::new(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        presence.hear(router(3), said(1, 1, &["a", "b"]), at(0)).unwrap();
        presence.hear(router(2), said(1, 1, &["b"]), at(1)).unwrap();
        let all = |seconds| presence.elsewhere(at(seconds), |_| true).into_iter().collect::<Vec<_>>();
        assert_eq!(all(1), [("a".to_owned(), 3), ("b".to_owned(), 2)]);
        let kept = PRESENCE_KEPT.as_secs();
        assert_eq!(all(kept), [("b".to_owned(), 2)], "router 3 said nothing for too long");
        assert_eq!(all(kept + 1), []);
        presence.hear(router(3), said(1, 2, &["a"]), at(9)).unwrap();
        assert!(presence.elsewhere(at(9), |id| id != router(3)).is_empty(), "router 3 was removed");
    }

    #[test]
    fn a_list_that_comes_late_counts_only_if_its_process_is_another() {
        let (presence, now) = (Presence::new(), Instant::now());
        presence.hear(router(2), said(1, 5, &["a"]), now).unwrap();
        presence.hear(router(2), said(1, 4, &["old"]), now).unwrap();
        assert!(presence.elsewhere(now, |_| true).contains_key("a"));
        presence.hear(router(2), said(9, 0, &["new"]), now).unwrap();
        assert_eq!(presence.elsewhere(now, |_| true).into_keys().collect::<Vec<_>>(), ["new"]);
        let many = vec!["m"; PRESENT_MEMBERS_MAX + 1];
        assert!(presence.hear(router(2), said(9, 1, &many), now).is_err());
    }
}
