//! Errors as they go to callers: a member's own error, or an error of ours with what is known of the call.

use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::time::Moment;

use crate::engine::io::Io;
use crate::engine::keys::CallKey;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::limits;
use crate::verdict::{Circumstances, ErrorKind, Fault, Outcome, QuarantinedConfiguration};

impl Tables {
    /// Passes the error of a member on.
    pub(super) fn pass_error_on(
        &mut self,
        key: CallKey,
        fault: Fault,
        error: &Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let not_found = match &error.kind {
            Kind::Error(head) if fault == Fault::ConnectorNotFound => Some(head),
            _ => None,
        };
        let not_found = not_found.filter(|_| self.missing_version(key).is_some());
        match (self.calls.get(key).and_then(|call| call.caller), not_found) {
            (None, _) => self.end(key, Outcome::ConnectorError, now, io),
            (Some(caller), Some(head)) => {
                let text = self.with_missing_version(key, &head.message, now);
                let frame = frames::error(caller.id(), &head.class, &text);
                self.finish_with(key, frame, Outcome::Unavailable, now, io);
            }
            (Some(caller), None) => {
                let number = self.calls.get(key).map(|call| call.number);
                if let (Some(number), Kind::Error(head)) = (number, &error.kind) {
                    self.explain_error(number, &head.class, None);
                }
                let frame = error.rewrite_id(caller.id());
                self.finish_with(key, frame, Outcome::ConnectorError, now, io);
            }
        }
    }

    /// Answers a call with an error of ours.
    pub(super) fn answer_error(&mut self, key: CallKey, kind: ErrorKind, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        let (number, caller, of, operation) = (call.number, call.caller, call.group, call.operation);
        // A call may still be open when its group has left the document.
        let has_left = kind == ErrorKind::NoMember && self.view.group(call.group).is_none();
        let kind = if has_left { ErrorKind::GroupLeft } else { kind };
        let group = Some(self.book.group_name(call.group));
        let last = call.member().or(call.losses.last().map(|loss| loss.member));
        let member = last.and_then(|member| self.members.get(member)).map(|member| member.name());
        let configurations = self.groups.configurations();
        let quarantine = configurations.quarantine(call.configuration);
        let quarantine = quarantine.filter(|_| kind == ErrorKind::ConfigurationQuarantined);
        let names: Vec<&str> =
            quarantine.iter().flat_map(|of| &of.members).map(|id| self.book.member_name(*id)).collect();
        let names = names.join(", ");
        let quarantine = quarantine.as_ref().map(|of| QuarantinedConfiguration {
            id: of.id,
            connector: &of.connector,
            members: &names,
            left: of.until.since(now),
        });
        let configuration = call.configuration;
        let is_out_of_order = call.is_out_of_order;
        let error = kind.to_error(&Circumstances { operation, group, member, quarantine });
        if quarantine.is_some() {
            self.groups.configurations_mut().was_refused(configuration);
        }
        self.explain_error(number, error.class, Some(&error.message));
        // What still runs at the member runs for nobody.
        if matches!(kind, ErrorKind::CallerTooSlow | ErrorKind::StreamCut | ErrorKind::AnswerTooLarge) {
            self.cancel_at_member(key, now, io);
        }
        if kind.is_refusal() {
            io.note(Note::CallRefused { call: number, group: Some(of), operation, reason: kind });
        }
        match caller {
            Some(caller) => {
                let text = match kind {
                    ErrorKind::NoMember => self.with_missing_version(key, &error.message, now),
                    ErrorKind::StreamCut if is_out_of_order => {
                        format!("{} {} (call {number})", error.message, out_of_order())
                    }
                    _ => format!("{} (call {number})", error.message),
                };
                let frame = frames::error(caller.id(), error.class, &text);
                self.finish_with(key, frame, error.outcome, now, io);
            }
            None => self.end(key, error.outcome, now, io),
        }
    }

    /// The text of an error. If no member has the version that the call asks for, the text names this version, and the call is counted.
    fn with_missing_version(&mut self, key: CallKey, text: &str, now: Moment) -> String {
        let Some(call) = self.calls.get(key) else { return text.to_owned() };
        let (number, group, caller) = (call.number, call.group, call.caller);
        let Some((asked, sentence)) = self.missing_version(key) else {
            return format!("{text} (call {number})");
        };
        if let Some(caller) = caller {
            self.count_unserved(Some(group), &asked, caller.session(), now);
        }
        format!("{}. {sentence} (call {number})", text.trim_end_matches('.'))
    }
}

/// The sentence that the error of a cut answer gets if too much of the answer came out of order.
fn out_of_order() -> String {
    format!(
        "One of the member's connections brought nothing for too long, while others brought the rest: up to {} MiB of one \
         answer, and {} MiB of all answers, may come out of order. Look for a network device that stalls connections.",
        limits::OUT_OF_ORDER_CALL_BYTES_MAX >> 20,
        limits::OUT_OF_ORDER_BYTES_MAX >> 20
    )
}
