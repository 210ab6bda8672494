//! What members tell of their connectors: at join, on reconnect, and again and again, for that is how a change of a bundle set is
//! found that nobody announced (G12). What it means is judged by the groups ([`super::bundles`]).

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::icf::ConnectorKey;
use rcs_proto::time::Moment;

use super::{Engine, Io, Note, UpstreamKey};
use crate::bundles::wire::WireManifest;
use crate::health::Finding;
use crate::ids::MemberId;
use crate::limits;

/// The list of connectors that a member told.
#[derive(Clone, Debug)]
pub(super) struct MemberList {
    /// As its server wrote it.
    pub(super) infos: Bytes,
    /// What it says, or a sentence why it cannot be read.
    pub(super) wire: Result<Arc<WireManifest>, Arc<str>>,
}

impl MemberList {
    fn read(infos: Bytes) -> Self {
        let wire = WireManifest::read(&infos);
        Self { infos, wire: wire.map(Arc::new).map_err(|error| error.to_string().into()) }
    }

    /// The connectors in it.
    pub(super) fn connectors(&self) -> impl Iterator<Item = &ConnectorKey> {
        self.wire.iter().flat_map(|wire| wire.connectors().keys())
    }
}

impl Engine {
    pub(super) fn on_connector_infos(
        &mut self,
        key: UpstreamKey,
        infos: Bytes,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let member = upstream.member;
        upstream.checks_since_told = 0;
        let state = self.members.get(&member);
        // A server writes the same bytes as long as it lives and has the same connectors, and most write them again after a
        // restart: then nothing is read.
        let is_of = |list: &&MemberList| list.infos == infos;
        let of_member = || state.and_then(|state| state.list.as_ref());
        let list = upstream.told.as_ref().filter(is_of).or_else(|| of_member().filter(is_of)).cloned();
        let list = list.unwrap_or_else(|| MemberList::read(infos));
        upstream.told = Some(list.clone());
        let Some(state) = state.filter(|state| state.session == Some(key)) else { return };
        let was_linked = state.linked;
        self.take_list(member, list, now, io);
        let Some(state) = self.members.get_mut(&member) else { return };
        state.forget_attempts();
        state.linked = true;
        if !was_linked {
            state.health.linked(now);
            self.warm_up(member, now, io);
        }
        self.on_check_result(member, Finding::Good, now, io);
    }

    /// The current session of a member told this list, now or before it became the current one. The groups judge it first, and
    /// only then can the member take calls.
    pub(super) fn take_list(&mut self, member: MemberId, list: MemberList, now: Moment, io: &mut impl Io) {
        let Some(state) = self.members.get_mut(&member) else { return };
        let is_new = state.list.as_ref().is_none_or(|known| known.infos != list.infos);
        if is_new && list.wire.is_err() {
            io.note(Note::ConnectorInfosUnreadable { member });
        }
        let was_judged = std::mem::replace(&mut state.is_judged, true);
        if is_new {
            state.list = Some(list);
        }
        if is_new || !was_judged {
            self.judge_member(member, now, io);
            // Other versions may take other calls, whoever may serve.
            self.rebuild_pickers();
            self.refresh_infos(io);
            self.answer_waiting_infos(io);
        }
    }

    /// Has every so many-th session check ask for the connectors as well.
    pub(super) fn look_for_drift(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let is_current = self.members.get(&upstream.member).is_some_and(|state| state.session == Some(key));
        // This check is one more.
        if is_current && upstream.told.is_some() && upstream.checks_since_told + 1 >= limits::DRIFT_CHECKS {
            upstream.session.recheck_connector_infos();
        }
    }
}
