//! A fault of a call that another router forwards. This router retries nothing: it says what it knows, and the router that forwards judges.
//! Either the call was certainly not run, or it may have reached the member and its answer will not come, or the member's own error stands.

use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::time::Moment;

use crate::engine::calls::OpenFault;
use crate::engine::io::Io;
use crate::engine::tables::Tables;
use crate::verdict::{Class, ErrorKind, Fault, Outcome, Stage};

/// What the router that forwards is told.
enum Word {
    NotRun,
    Lost,
    /// The member's own error.
    Error(Envelope),
    /// An error of this router, which no other member would spare the caller.
    Answer(ErrorKind),
    /// Nothing yet: the answer may come on another socket of the member.
    Wait,
}

impl Tables {
    /// Tells the router that forwards the call what became of it.
    pub(super) fn end_forwarded(&mut self, open: OpenFault, now: Moment, io: &mut impl Io) {
        let OpenFault { call: key, fault, error } = open;
        let Some(call) = self.calls.get(key) else { return };
        debug_assert_ne!(fault, Fault::AnswerOverdue, "a forwarded call is never hedged");
        let (stage, class) = (call.stage_at(fault), call.class());
        let Some(caller) = call.caller else {
            return self.end(key, Outcome::Cancelled, now, io);
        };
        match word(class, stage, fault, error) {
            Word::NotRun => {
                let frame = frames::not_forwarded(caller.id());
                self.finish_with(key, frame, Outcome::Unavailable, now, io);
            }
            Word::Lost => {
                self.cancel_at_member(key, now, io);
                let frame = frames::lost_beyond(caller.id());
                // The router that forwards counts how the call ended.
                self.finish_with(key, frame, Outcome::Cancelled, now, io);
            }
            Word::Error(error) => {
                self.finish_with(key, error.rewrite_id(caller.id()), Outcome::ConnectorError, now, io);
            }
            Word::Answer(kind) => self.answer_error(key, kind, now, io),
            Word::Wait => self.watch(key, now),
        }
    }
}

fn word(class: Class, stage: Stage, fault: Fault, error: Option<Envelope>) -> Word {
    match (fault, stage, error) {
        (Fault::ConnectorNotFound | Fault::ResourceFailing, _, Some(error)) => Word::Error(error),
        // The member said so.
        (
            Fault::MemberShutsDown | Fault::IdInUse | Fault::RefusedBeforeHandshake,
            Stage::Unsent | Stage::MaybeSent,
            _,
        ) => Word::NotRun,
        (Fault::TooLarge, Stage::MaybeSent, _) if class != Class::Write => {
            Word::Answer(ErrorKind::AnswerTooLarge)
        }
        // The member keeps the call, and may answer on another socket; a read is sooner repeated.
        (Fault::SocketLost, Stage::MaybeSent | Stage::PartlyAnswered, _)
            if !(class.is_read() && stage == Stage::MaybeSent) =>
        {
            Word::Wait
        }
        (_, Stage::Unsent, _) => Word::NotRun,
        _ => Word::Lost,
    }
}
