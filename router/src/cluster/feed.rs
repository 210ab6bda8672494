//! What the log decides, on its way to the engine. The engine follows each decision as long as it keeps up; if more decisions wait than
//! that, the engine is given the whole state instead, so that a storm of changes costs it a few views and no memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcs_core::agreed::Agreed;
use rcs_core::agreed::RequestId;
use rcs_core::engine::Ticket;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::control::{Control, Decided, Request};
use crate::limits::{DECISIONS_WAITING_MAX, FOLLOW_PAUSE};

/// Tickets of the engine's proposals, by the id of the request.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<HashMap<RequestId, Ticket>>);

impl Tickets {
    pub(super) fn add(&self, request: RequestId, ticket: Ticket) {
        self.lock().insert(request, ticket);
    }

    pub(super) fn take(&self, request: RequestId) -> Option<Ticket> {
        self.lock().remove(&request)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Waiting {
    decisions: VecDeque<Decided>,
    /// The engine must be given the whole state.
    whole: bool,
    /// Tickets of decisions that the whole state stands for.
    tickets: Vec<Ticket>,
}

/// Decisions that wait for the engine.
#[derive(Debug, Default)]
pub(super) struct Feed {
    waiting: Mutex<Waiting>,
    woken: Notify,
}

impl Feed {
    pub(super) fn push(&self, decided: Decided) {
        let mut waiting = self.lock();
        waiting.decisions.push_back(decided);
        if waiting.decisions.len() > DECISIONS_WAITING_MAX {
            waiting.give_whole();
        }
        self.woken.notify_one();
    }

    /// The state was replaced.
    pub(super) fn restored(&self) {
        self.lock().give_whole();
        self.woken.notify_one();
    }

    /// The decisions that wait.
    #[cfg(test)]
    pub(super) fn take(&self) -> Vec<Decided> {
        self.lock().decisions.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn give_whole(&mut self) {
        let tickets = self.decisions.drain(..).filter_map(|decided| decided.ticket);
        self.tickets.extend(tickets);
        self.whole = true;
    }
}

/// Hands decisions to the engine, in order, for ever.
/// `whole` reads the state as it is now, with its revision; none while the consensus part is being started again, which restores its state.
pub(super) async fn pump(
    feed: Arc<Feed>,
    whole: impl Fn() -> Option<(u64, Agreed)> + Send,
    control: Control,
) {
    // The revision of the whole state that was given last: decisions up to it are in it.
    let mut given = 0;
    loop {
        feed.woken.notified().await;
        let waiting = std::mem::take(&mut *feed.lock());
        if waiting.whole {
            let Some((revision, agreed)) = whole() else {
                feed.lock().whole = true;
                sleep(FOLLOW_PAUSE).await;
                feed.woken.notify_one();
                continue;
            };
            given = revision;
            control.send(Request::Restored(Box::new(agreed))).await;
            for ticket in waiting.tickets {
                control.send(not_followed(ticket)).await;
            }
        }
        for decided in waiting.decisions {
            match decided.ticket {
                _ if decided.revision > given => control.send(Request::Decided(decided)).await,
                Some(ticket) => control.send(not_followed(ticket)).await,
                None => {}
            }
        }
        // Decisions that come meanwhile go together.
        sleep(FOLLOW_PAUSE).await;
    }
}

/// To an operator whose change was followed together with others.
fn not_followed(ticket: Ticket) -> Request {
    let reason =
        "the change is agreed, together with many others: look at the state to see what became of it";
    Request::NotAgreed { ticket, reason: reason.to_owned() }
}
