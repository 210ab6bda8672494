//! Places for reports on their way. Each member has its own places, given for a proof of its key. Reports with a proof at their end only
//! share a few places, so that strangers keep no member's agent out (promise P10).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcs_core::ids::MemberId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::limits::{
    AGENT_HEARTBEAT_BYTES_MAX, AGENT_MEMBER_REPORTS_MAX, AGENT_UNPROVEN_REPORTS_MAX, AGENT_WHOLE_REPORTS_MAX,
};

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    /// Members with a report on its way.
    members: Mutex<HashMap<MemberId, Arc<Share>>>,
    /// For whole reports of all members. A member has one whole report on its way at a time.
    whole: Arc<Semaphore>,
    /// For reports without a proof in their head.
    unproven: Share,
}

#[derive(Debug)]
struct Share {
    reports: Arc<Semaphore>,
    whole: Arc<Semaphore>,
}

impl Share {
    fn of(reports: usize) -> Self {
        Self { reports: Arc::new(Semaphore::new(reports)), whole: Arc::new(Semaphore::new(1)) }
    }
}

/// The right of one report to be read and judged; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    _permits: Vec<OwnedSemaphorePermit>,
    /// Keeps the member's share in memory.
    _share: Option<Arc<Share>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlace {
    #[error(
        "overload: {AGENT_MEMBER_REPORTS_MAX} reports of this member are on their way: report again when the router has judged them"
    )]
    Member,
    #[error(
        "overload: too many reports without a proof in their head are on their way: repeat the report later, or update the agent, \
         which then has places of its own"
    )]
    Unproven,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            members: Mutex::default(),
            whole: Arc::new(Semaphore::new(AGENT_WHOLE_REPORTS_MAX)),
            unproven: Share::of(AGENT_UNPROVEN_REPORTS_MAX),
        }
    }

    /// A place for a report with this length whose head proves the member's key. A whole report waits for its turn.
    pub(super) async fn of_member(&self, member: MemberId, bytes: u64) -> Result<Place, NoPlace> {
        let share = {
            let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.retain(|_, share| Arc::strong_count(share) > 1);
            Arc::clone(members.entry(member).or_insert_with(|| Arc::new(Share::of(AGENT_MEMBER_REPORTS_MAX))))
        };
        let mut permits = vec![take(&share.reports).map_err(|_| NoPlace::Member)?];
        if !is_heartbeat(Some(bytes)) {
            for whole in [&share.whole, &self.whole] {
                let permit = Arc::clone(whole).acquire_owned().await;
                permits.push(permit.expect("the semaphore is never closed"));
            }
        }
        Ok(Place { _permits: permits, _share: Some(share) })
    }

    /// A place for a report that proves nothing before its end, with its length if that is known. Never waits.
    pub(super) fn unproven(&self, bytes: Option<u64>) -> Result<Place, NoPlace> {
        let mut permits = vec![take(&self.unproven.reports).map_err(|_| NoPlace::Unproven)?];
        if !is_heartbeat(bytes) {
            permits.push(take(&self.unproven.whole).map_err(|_| NoPlace::Unproven)?);
        }
        Ok(Place { _permits: permits, _share: None })
    }
}

/// Heartbeats get a place beside whole reports.
fn is_heartbeat(bytes: Option<u64>) -> bool {
    bytes.is_some_and(|bytes| bytes <= AGENT_HEARTBEAT_BYTES_MAX as u64)
}

fn take(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
    Arc::clone(places).try_acquire_owned()
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const WHOLE: u64 = AGENT_HEARTBEAT_BYTES_MAX as u64 + 1;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn each_member_has_its_own_places() {
        let places = Places::new();
        let of = |member, bytes| now(places.of_member(MemberId(member), bytes));
        let held: Vec<_> = (0..AGENT_MEMBER_REPORTS_MAX).map(|_| of(1, 10).unwrap().unwrap()).collect();
        assert_eq!(of(1, 10).unwrap().unwrap_err(), NoPlace::Member);
        let other = of(2, WHOLE).unwrap().unwrap();
        assert!(of(2, WHOLE).is_none(), "a second whole one waits");
        assert!(of(2, 10).unwrap().is_ok(), "a heartbeat does not");
        assert!(of(3, WHOLE).unwrap().is_ok());
        drop((held, other));
        assert!(of(2, WHOLE).unwrap().is_ok());
        let _one = of(1, 10);
        assert_eq!(places.members.lock().unwrap().len(), 1, "members that report nothing are not kept");
    }

    #[test]
    fn reports_without_a_proof_share_few_and_wait_for_none() {
        let places = Places::new();
        let whole = places.unproven(None).unwrap();
        assert_eq!(places.unproven(Some(WHOLE)).unwrap_err(), NoPlace::Unproven);
        let held: Vec<_> =
            (1..AGENT_UNPROVEN_REPORTS_MAX).map(|_| places.unproven(Some(10)).unwrap()).collect();
        assert_eq!(places.unproven(Some(10)).unwrap_err(), NoPlace::Unproven);
        assert!(
            now(places.of_member(MemberId(1), WHOLE)).unwrap().is_ok(),
            "a member waits for none of them"
        );
        drop((whole, held));
        assert!(places.unproven(None).is_ok());
    }
}
