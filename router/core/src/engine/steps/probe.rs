//! A connector's own `test`, which proves that the resource behind the connector lives (G17). It is sent with the configurations that
//! calls use, also as the warm-up of a fresh member (X02).

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rcs_proto::frames;
use rcs_proto::icf;
use rcs_proto::messages::{ConnectorKey, OperationRequest, TestOpRequest};
use rcs_proto::time::Moment;

use crate::engine::facade::Facade;
use crate::engine::groups::connector_of;
use crate::engine::io::Io;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::view::Group;

impl Tables {
    /// A member has a fresh session: before the member gets traffic, it is tested with the configurations that its groups use.
    pub(in crate::engine) fn warm_up(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let facades = self.facades_in_use(member, now);
        let is_needed = !facades.is_empty();
        self.members.warm_up(member, facades, now);
        let is_closed = |group: &Group| self.is_in_service(group) && !self.may_serve_in(group, member);
        let is_withheld = self.view.groups_of(member).any(is_closed);
        self.members.withhold(member, is_withheld);
        if is_needed {
            self.send_probe(member, now, io);
        }
    }

    /// Sends the `test` that is due, if one is.
    pub(in crate::engine) fn send_probe(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        if !self.members.is_probe_due(member, now) {
            return;
        }
        let facades = self.facades_in_use(member, now);
        let Some(facade) = self.members.choose_probe(member, &facades, now) else { return };
        let connector = self.connector_at(member, &facade);
        self.members.send_probe(member, &facade, |id| test_frame(id, connector, &facade), now, io);
    }

    /// The configurations that a member is tested with: those in use in the groups that the member may serve in. A configuration is a
    /// secret, which a server with other bundles than the group's must not get (P5). Configurations that members were lost with are left
    /// out.
    fn facades_in_use(&self, member: MemberId, now: Moment) -> Vec<Arc<Facade>> {
        let groups = self.view.groups_of(member);
        let tested =
            groups.filter(|group| group.settings.test_every.is_some() && self.may_serve_in(group, member));
        let mut facades: Vec<Arc<Facade>> = Vec::new();
        for facade in tested.flat_map(|group| self.groups.facades_in_use(group.id, now)) {
            let is_there = facades.iter().any(|known| known.configuration == facade.configuration);
            if !is_there && !self.groups.configurations().is_suspected(facade.configuration) {
                facades.push(Arc::clone(facade));
            }
        }
        facades
    }

    fn may_serve_in(&self, group: &Group, member: MemberId) -> bool {
        self.groups.sets(group.id).is_some_and(|sets| sets.may_serve(member))
    }

    /// Looks at members that may serve in one more group, because their bundle set is the group's now. A member that serves nowhere yet is
    /// warmed up before it serves.
    pub(in crate::engine) fn warm_up_let_in(&mut self, now: Moment, io: &mut impl Io) {
        while let Some(member) = self.groups.next_let_in() {
            if !self.members.awaits_warm_up(member) {
                continue;
            }
            let may_serve = |group: &&Group| self.is_in_service(group) && self.may_serve_in(group, member);
            match self.view.groups_of(member).filter(may_serve).count() {
                // The member serves at its own address only, which nobody uses.
                0 => {}
                1 => self.warm_up(member, now, io),
                _ => self.members.withhold(member, false),
            }
        }
    }

    /// Under which key a configuration's connector is tested at a member, where another version may stand in for it.
    fn connector_at(&self, member: MemberId, facade: &Facade) -> Option<ConnectorKey> {
        let used = self.stand_in_at(member, &facade.connector_key).map(|used| ConnectorKey {
            bundle_name: used.bundle_name,
            bundle_version: used.bundle_version,
            connector_name: used.connector_name,
        });
        used.or_else(|| ConnectorKey::decode(facade.connector_key.clone()).ok())
    }

    fn stand_in_at(&self, member: MemberId, key: &Bytes) -> Option<icf::ConnectorKey> {
        let (wanted, told) = (connector_of(key)?, self.members.told_by(member)?);
        self.view.groups_of(member).find_map(|group| {
            self.agreed.stand_ins(group).satisfying(&wanted, told.connectors().keys()).cloned()
        })
    }
}

fn test_frame(id: i64, connector: Option<ConnectorKey>, facade: &Facade) -> Bytes {
    let request = OperationRequest {
        connector_key: connector,
        connector_facade_key: facade.key.clone(),
        test: Some(TestOpRequest {}),
        ..Default::default()
    };
    frames::operation(id, &request)
}
