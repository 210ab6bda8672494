//! Callers that wait for a peer, or for a peer's connectors.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::net::{Net, PeerNo};

/// Callers that wait.
#[derive(Default)]
pub(super) struct Wanted {
    /// For any peer.
    peer: Vec<oneshot::Sender<()>>,
    /// For the connectors of one.
    infos: Vec<oneshot::Sender<Bytes>>,
}

impl Wanted {
    /// Tells when a peer is there: now, or once one has joined.
    pub(super) fn await_peer(&mut self, reply: oneshot::Sender<()>, net: &Net) {
        self.peer.push(reply);
        if net.latest_peer().is_some() {
            self.tell_peer();
        }
    }

    /// Gives the connectors of the peer that joined last, now or once they are known.
    pub(super) fn await_infos(&mut self, reply: oneshot::Sender<Bytes>, net: &mut Net) {
        let latest = net.latest_peer();
        match latest.and_then(|no| net.infos(no)) {
            Some(infos) => {
                // The caller may have lost interest.
                let _ = reply.send(infos);
            }
            None => {
                self.infos.push(reply);
                latest.into_iter().for_each(|no| self.ask_infos(no, net));
            }
        }
    }

    /// A socket of a peer has joined.
    pub(super) fn socket_joined(&mut self, no: PeerNo, net: &mut Net) {
        self.ask_infos(no, net);
        self.tell_peer();
    }

    /// A peer has told its connectors.
    pub(super) fn infos_arrived(&mut self, no: PeerNo, infos: Bytes, net: &mut Net) {
        for reply in self.infos.drain(..) {
            // The caller may have lost interest.
            let _ = reply.send(infos.clone());
        }
        net.note_infos(no, infos);
    }

    /// Has the peer asked for its connectors, if anybody wants to know them.
    fn ask_infos(&mut self, no: PeerNo, net: &mut Net) {
        self.infos.retain(|reply| !reply.is_closed());
        if !self.infos.is_empty() {
            net.ask_infos(no);
        }
    }

    fn tell_peer(&mut self) {
        self.peer.drain(..).for_each(|reply| {
            // The caller may have lost interest.
            let _ = reply.send(());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::*;

    #[tokio::test]
    async fn callers_wait_for_a_peer_and_for_its_connectors() {
        let (mut rig, mut wanted) = (Rig::new(), Wanted::default());
        let (reply, mut peer) = oneshot::channel();
        wanted.await_peer(reply, &rig.net);
        let (reply, mut infos) = oneshot::channel();
        wanted.await_infos(reply, &mut rig.net);
        assert!(peer.try_recv().is_err() && infos.try_recv().is_err());
        let (no, _) = rig.join("P").await;
        wanted.socket_joined(no, &mut rig.net);
        assert_eq!(peer.try_recv(), Ok(()));
        assert!(infos.try_recv().is_err());
        wanted.infos_arrived(no, Bytes::from_static(b"the list"), &mut rig.net);
        assert_eq!(infos.try_recv().unwrap(), "the list");
        // Both are known from now on.
        let (reply, mut peer) = oneshot::channel();
        wanted.await_peer(reply, &rig.net);
        let (reply, mut infos) = oneshot::channel();
        wanted.await_infos(reply, &mut rig.net);
        assert_eq!((peer.try_recv(), infos.try_recv().unwrap().as_ref()), (Ok(()), &b"the list"[..]));
    }
}
