//! The network: every message takes its own time, may be lost or arrive twice, links can be cut one way.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::executor::{self, Group, WORLD};
use super::runtime::{sleep, spawn_in};

/// Whom a message is from or for.
pub(crate) type Node = u64;

/// What answers requests at a node.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    type Request: Clone + fmt::Debug + Send + 'static;
    type Response: Send + 'static;

    /// Runs in the group of the node. It runs twice if the network doubles the request.
    fn handle(
        &self,
        from: Node,
        request: Self::Request,
    ) -> impl Future<Output = Self::Response> + Send + 'static;
}

/// Why a request has no response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Nobody listens there: the request was not handled.
    Refused,
    /// The process died with the request.
    Reset,
}

/// How a link treats its messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Microseconds, drawn for each message.
    pub(crate) delay_us: (u64, u64),
    /// Of 1,000 messages, so many take `slow_us` instead.
    pub(crate) slow_per_mille: u64,
    pub(crate) slow_us: (u64, u64),
    pub(crate) lost_per_mille: u64,
    pub(crate) doubled_per_mille: u64,
}

impl Link {
    /// A network that works: 0.1 to 2 ms, one message in 50 up to 80 ms.
    pub(crate) const GOOD: Link = Link {
        delay_us: (100, 2_000),
        slow_per_mille: 20,
        slow_us: (1_000, 80_000),
        lost_per_mille: 0,
        doubled_per_mille: 0,
    };
    /// What is left of a network at its limit.
    pub(crate) const BAD: Link = Link {
        delay_us: (100, 20_000),
        slow_per_mille: 50,
        slow_us: (20_000, 400_000),
        lost_per_mille: 50,
        doubled_per_mille: 20,
    };
}

struct Wires<S> {
    rng: fastrand::Rng,
    hosts: BTreeMap<Node, (Group, S)>,
    usual: Link,
    /// Bytes a second that a large message takes; none: as fast as a small one.
    pace: Option<u32>,
    links: BTreeMap<(Node, Node), Link>,
    /// From, to: nothing passes this way.
    cuts: Vec<(Node, Node)>,
    messages: u64,
}

/// The network of one world; a clone is the same network.
pub(crate) struct Network<S>(Arc<Mutex<Wires<S>>>);

impl<S> Clone for Network<S> {
    fn clone(&self) -> Self {
        Network(Arc::clone(&self.0))
    }
}

impl<S: Service> Network<S> {
    pub(crate) fn new(seed: u64, usual: Link) -> Self {
        Network(Arc::new(Mutex::new(Wires {
            rng: fastrand::Rng::with_seed(seed),
            hosts: BTreeMap::new(),
            usual,
            pace: None,
            links: BTreeMap::new(),
            cuts: Vec::new(),
            messages: 0,
        })))
    }

    /// `node` listens: `service` runs in `group`. Whoever listened there before does no longer.
    pub(crate) fn plug(&self, node: Node, group: Group, service: S) {
        let before = self.0.lock().unwrap().hosts.insert(node, (group, service));
        drop(before);
    }

    /// `node` listens no longer: requests are refused.
    pub(crate) fn unplug(&self, node: Node) {
        let before = self.0.lock().unwrap().hosts.remove(&node);
        drop(before);
    }

    /// How all links without a way of their own behave.
    pub(crate) fn set_usual(&self, link: Link) {
        self.0.lock().unwrap().usual = link;
    }

    /// From now on large messages take their time: so many bytes a second.
    pub(crate) fn set_pace(&self, bytes_per_second: u32) {
        self.0.lock().unwrap().pace = Some(bytes_per_second);
    }

    /// How long a large message of so many bytes is under way.
    pub(crate) fn passage(&self, bytes: usize) -> Duration {
        let seconds = |pace| bytes as f64 / f64::from(pace);
        self.0.lock().unwrap().pace.map_or(Duration::ZERO, |pace| Duration::from_secs_f64(seconds(pace)))
    }

    /// How the link from `from` to `to` behaves, this way.
    pub(crate) fn set_link(&self, from: Node, to: Node, link: Link) {
        self.0.lock().unwrap().links.insert((from, to), link);
    }

    /// Nothing passes from `from` to `to`, and what is under way is lost.
    pub(crate) fn cut(&self, from: Node, to: Node) {
        let mut wires = self.0.lock().unwrap();
        if !wires.cuts.contains(&(from, to)) {
            wires.cuts.push((from, to));
        }
    }

    /// All cuts and all links' own ways end.
    pub(crate) fn heal(&self) {
        let mut wires = self.0.lock().unwrap();
        wires.cuts.clear();
        wires.links.clear();
    }

    /// Messages sent so far, requests and responses.
    pub(crate) fn messages(&self) -> u64 {
        self.0.lock().unwrap().messages
    }

    /// Sends `request` and waits for the response: for ever, if either is lost. Callers bring their own deadline.
    pub(crate) async fn call(
        &self,
        from: Node,
        to: Node,
        request: S::Request,
    ) -> Result<S::Response, Failure> {
        executor::note(format_args!("{from} > {to} {request:?}"));
        let (answer, answered) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Some(answer)));
        let copies = 1 + usize::from(self.draw(from, to, |link| link.doubled_per_mille));
        for _ in 0..copies {
            // A message is nobody's: it outlives the process that sent it.
            spawn_in(WORLD, self.clone().trip(from, to, request.clone(), Arc::clone(&answer)));
        }
        drop((request, answer));
        match answered.await {
            Ok(response) => response,
            Err(_) => std::future::pending().await,
        }
    }

    async fn trip(self, from: Node, to: Node, request: S::Request, answer: Answer<S::Response>) {
        if !self.hop(from, to).await {
            return;
        }
        let host = self.0.lock().unwrap().hosts.get(&to).cloned();
        let response = match host {
            None => Err(Failure::Refused),
            Some((group, service)) => {
                let handled = spawn_in(group, async move { service.handle(from, request).await }).await;
                handled.map_err(|_| Failure::Reset)
            }
        };
        if self.hop(to, from).await
            && let Some(answer) = answer.lock().unwrap().take()
        {
            // Whoever asked may have given up.
            let _ = answer.send(response);
        }
    }

    /// One message's way. Returns whether it arrived.
    async fn hop(&self, from: Node, to: Node) -> bool {
        let lost = self.draw(from, to, |link| link.lost_per_mille);
        let slow = self.draw(from, to, |link| link.slow_per_mille);
        let delay_us = {
            let mut wires = self.0.lock().unwrap();
            wires.messages += 1;
            let link = wires.link(from, to);
            let (least, most) = if slow { link.slow_us } else { link.delay_us };
            wires.rng.u64(least..=most)
        };
        sleep(Duration::from_micros(delay_us)).await;
        !lost && !self.0.lock().unwrap().cuts.contains(&(from, to))
    }

    fn draw(&self, from: Node, to: Node, per_mille: impl FnOnce(Link) -> u64) -> bool {
        let mut wires = self.0.lock().unwrap();
        let per_mille = per_mille(wires.link(from, to));
        per_mille > 0 && wires.rng.u64(..1_000) < per_mille
    }
}

type Answer<T> = Arc<Mutex<Option<oneshot::Sender<Result<T, Failure>>>>>;

impl<S> Wires<S> {
    fn link(&self, from: Node, to: Node) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.usual)
    }
}
