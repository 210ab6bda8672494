//! A process of a member is lost: which configurations may have ended the process, and which calls are innocent (P3).

use bytes::Bytes;
use rcs_proto::time::Moment;

use crate::bundles::printable::Printable;
use crate::engine::calls::Loss;
use crate::engine::facade::ConfigurationDigest;
use crate::engine::groups::{Suspect, Turned, connector_of};
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, MemberSessionKey};
use crate::engine::members::{GivenUp, Members, Route};
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::limits;
use crate::verdict::{Outcome, Stage};

impl Tables {
    /// Counts the loss of a member's process against the configurations that were at the member: in `calls`, in `test`s, and in calls that
    /// were given up a moment ago. If some of these configurations are to blame, the loss does not count for the other calls. The end of a
    /// way is the loss of a router, which no configuration ends.
    pub(in crate::engine) fn blame(
        &mut self,
        session: MemberSessionKey,
        calls: &[CallKey],
        now: Moment,
        io: &mut impl Io,
    ) {
        let Some(lost) = self.members.session(session).filter(|lost| Members::lost_way(lost).is_none())
        else {
            return;
        };
        let (member, remote) = Members::remote(lost);
        let mut there: Vec<Suspect> = Vec::new();
        for call in calls.iter().filter_map(|key| self.calls.get(*key)) {
            let route = call.route_in(session);
            let is_touched = route.is_some() || call.touched == Some(member);
            let Some(head) = call.head().filter(|_| is_touched && !call.operation.is_subscription()) else {
                continue;
            };
            let sent = route.map_or(now, |route| route.sent());
            // A hedged call was here before its other member was lost.
            let has_moved = call.losses.iter().any(|loss| loss.at <= sent);
            there.push(self.suspect(call.configuration, &head.connector_key, sent, has_moved));
        }
        for (facade, since) in self.members.tests_in(session) {
            there.push(self.suspect(facade.configuration, &facade.connector_key, since, false));
        }
        for call in self.members.given_up_in(session, now) {
            there.push(self.suspect(call.configuration, &call.connector, call.sent, false));
        }
        let mut turned = Vec::new();
        let configurations = self.groups.configurations_mut();
        let blamed = configurations.member_lost(member, &remote, there, now, &mut turned);
        self.tell_configurations(&turned, io);
        if blamed.is_empty() {
            return;
        }
        for key in calls {
            let call = self.calls.get(*key);
            if call.is_some_and(|call| !blamed.contains(&call.configuration)) {
                self.calls.excuse(*key);
            }
        }
    }

    /// Notes that a member was lost while it may have run the call: the member that the route leads to, or without a route the member
    /// that the call touched.
    pub(in crate::engine) fn note_loss(&mut self, key: CallKey, route: Option<Route>, now: Moment) {
        let Some(call) = self.calls.get(key) else { return };
        let process = self.members.lost_process(route.as_ref(), call.touched);
        let loss = process.map(|process| {
            let (member, remote) = Members::remote(process);
            Loss { member, remote, at: now, way: Members::lost_way(process) }
        });
        self.calls.lost(key, loss);
    }

    fn suspect(
        &self,
        configuration: ConfigurationDigest,
        connector: &Bytes,
        sent: Moment,
        has_moved: bool,
    ) -> Suspect {
        Suspect {
            configuration,
            id: self.identities.configuration(&configuration),
            connector: shown(connector),
            sent,
            has_moved,
            is_known: self.groups.has_answered(configuration),
        }
    }

    /// A member answered a call, so its configuration does not end members.
    pub(in crate::engine) fn clear(&mut self, key: CallKey, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        let (group, configuration) = (call.group, call.configuration);
        self.groups.was_answered(group, configuration);
        let mut turned = Vec::new();
        if self.groups.configurations_mut().was_answered(configuration, &mut turned) {
            self.calls.ask_about_held();
        }
        self.tell_configurations(&turned, io);
    }

    /// Remembers a call that ends without an answer while a member has it. Most members go on with such a call.
    pub(in crate::engine) fn remember_given_up(&mut self, key: CallKey, outcome: Outcome, now: Moment) {
        let is_given_up = matches!(outcome, Outcome::Cancelled | Outcome::Deadline);
        let Some(call) = self.calls.get(key).filter(|_| is_given_up) else { return };
        let is_suspect = call.stage() == Stage::MaybeSent && !call.operation.is_subscription();
        let Some(head) = call.head().filter(|_| is_suspect) else { return };
        for route in call.routes() {
            let connector = match head.connector_key.len() <= limits::CONNECTOR_KEY_BYTES_MAX {
                // A copy, because the slice would keep the whole request in memory.
                true => Bytes::copy_from_slice(&head.connector_key),
                false => Bytes::new(),
            };
            let given_up =
                GivenUp { configuration: call.configuration, connector, sent: route.sent(), at: now };
            self.members.was_given_up(route.session(), given_up);
        }
    }

    /// Notes what happened to configurations.
    pub(in crate::engine) fn tell_configurations(&self, turned: &[Turned], io: &mut impl Io) {
        for turned in turned {
            match turned {
                Turned::Quarantined(quarantine) => io.note(Note::ConfigurationQuarantined {
                    configuration: quarantine.id,
                    connector: &quarantine.connector,
                    members: &quarantine.members,
                    time: quarantine.until.since(quarantine.since),
                }),
                Turned::Released(configuration, connector, by) => {
                    io.note(Note::ConfigurationReleased { configuration: *configuration, connector, by: *by })
                }
            }
        }
    }
}

/// A connector as a line of a log names it.
fn shown(key: &Bytes) -> String {
    let key = Some(key).filter(|key| key.len() <= limits::CONNECTOR_KEY_BYTES_MAX).and_then(connector_of);
    let text = key.map(|key| format!("{}/{}/{}", key.bundle_name, key.bundle_version, key.connector_name));
    text.map_or_else(|| "an unreadable connector key".to_owned(), |text| Printable(&text).to_string())
}
