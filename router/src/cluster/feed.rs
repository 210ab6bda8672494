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
    /// What became of the proposals whose decisions the whole state stands for.
    told: Vec<Request>,
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

    /// The engine has to follow the whole state: the state was replaced, or a large part of it.
    pub(super) fn whole(&self) {
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
        self.told.extend(self.decisions.drain(..).filter_map(told));
        self.whole = true;
    }

    /// What was taken waits again, before what has come since.
    fn give_back(&mut self, mut taken: Waiting) {
        taken.decisions.append(&mut self.decisions);
        taken.told.append(&mut self.told);
        *self = taken;
        self.give_whole();
    }
}

/// Hands decisions to the engine, in order, for ever.
/// `whole` copies the state as it is now, with its revision, if the state has reached a revision; none while the consensus part is being
/// started again, which restores its state.
pub(super) async fn pump(
    feed: Arc<Feed>,
    whole: impl Fn(u64) -> Option<(u64, Agreed)> + Send,
    control: Control,
) {
    // The revision of the whole state that was given last: decisions up to it are in it. And the revision that the engine has reached: the
    // log is read again from its beginning when the consensus part starts again, and the engine must not go back meanwhile.
    let (mut given, mut reached) = (0, 0);
    loop {
        feed.woken.notified().await;
        let waiting = std::mem::take(&mut *feed.lock());
        if waiting.whole {
            let Some((revision, agreed)) = whole(reached) else {
                feed.lock().give_back(waiting);
                sleep(FOLLOW_PAUSE).await;
                feed.woken.notify_one();
                continue;
            };
            (given, reached) = (revision, revision);
            control.restored(agreed).await;
            for told in waiting.told {
                control.send(told).await;
            }
        }
        for decided in waiting.decisions {
            if decided.revision > given && decided.revision >= reached {
                reached = decided.revision;
                control.send(Request::Decided(decided)).await;
            } else if let Some(told) = told(decided) {
                control.send(told).await;
            }
        }
        // Decisions that come meanwhile go together.
        sleep(FOLLOW_PAUSE).await;
    }
}

/// What the engine is told of a decision that the whole state stands for; none if no operator at this router waits for it.
fn told(decided: Decided) -> Option<Request> {
    let ticket = decided.ticket?;
    Some(match decided.refusal {
        None => Request::Included(ticket),
        Some(reason) => Request::NotAgreed { ticket, reason },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rcs_core::agreed::{At, Author, Change};
    use rcs_core::view::Mark;

    use super::*;

    fn decided(ticket: u64, revision: u64, refusal: Option<&str>) -> Decided {
        let change = Change::Mark { member: "n1".to_owned(), mark: Mark::Draining };
        let (ticket, refusal) = (Some(Ticket(ticket)), refusal.map(str::to_owned));
        Decided { change, author: Author::Operator, at: At(0), ticket, revision, refusal }
    }

    /// More decisions than are handed over one by one, while the state cannot be read at first: each operator is told what was decided.
    #[tokio::test]
    async fn operators_learn_what_became_of_changes_that_went_together() {
        let feed = Arc::new(Feed::default());
        let count = DECISIONS_WAITING_MAX as u64 + 1;
        for ticket in 1..=count {
            feed.push(decided(ticket, ticket, (ticket == 2).then_some("there is no such member")));
        }
        let (control, mut requests) = crate::control::channel();
        let looks = AtomicU64::new(0);
        let whole = move |_| (looks.fetch_add(1, Ordering::Relaxed) >= 2).then(|| (count, Agreed::default()));
        let pump = tokio::spawn(pump(Arc::clone(&feed), whole, control));
        let mut told = Vec::new();
        while told.len() <= count as usize {
            let mut request = requests.recv().await.unwrap();
            if let Request::Restored(_, done) = &mut request {
                done.take().unwrap().send(()).unwrap();
            }
            told.push(request);
        }
        pump.abort();
        assert!(matches!(told[0], Request::Restored(..)), "{:?}", told[0]);
        for (ticket, told) in (1..).zip(&told[1..]) {
            match told {
                Request::NotAgreed { ticket: Ticket(2), reason } => {
                    assert_eq!((ticket, reason.as_str()), (2, "there is no such member"));
                }
                Request::Included(Ticket(included)) => assert_eq!(*included, ticket),
                other => panic!("{ticket}: {other:?}"),
            }
        }
    }
}
