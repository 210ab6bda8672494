//! Takes away what a load of creates made, so that a target is as it was before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcs_proto::driver::endpoint::Caller;
use tokio::task::JoinSet;

use crate::progress::watched;
use crate::units::of;
use crate::workload::{Created, Workload};

/// Deletes that are in flight at a time.
const DELETERS: usize = 8;

/// Deletes every object that the workload created. Objects that may be left are reported on standard error.
pub(crate) async fn remove_created(caller: &Arc<Caller>, workload: &Arc<Workload>, timeout: Duration) {
    let Created { uids, unknown } = workload.take_created();
    let total = uids.len() as u64;
    if total == 0 && unknown == 0 {
        return;
    }
    let queue = Arc::new(std::sync::Mutex::new(uids));
    let (removed, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut deleters = JoinSet::new();
    for _ in 0..DELETERS {
        let (caller, workload, queue) = (Arc::clone(caller), Arc::clone(workload), Arc::clone(&queue));
        let (removed, failed) = (Arc::clone(&removed), Arc::clone(&failed));
        deleters.spawn(async move {
            let next = || queue.lock().ok().and_then(|mut uids| uids.pop());
            while let Some(uid) = next() {
                let answer = tokio::time::timeout(timeout, caller.ask(workload.delete(uid))).await;
                let is_gone = matches!(answer, Ok(Ok(frame)) if frame.delete.is_some());
                if is_gone { &removed } else { &failed }.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let done = || removed.load(Ordering::Relaxed) + failed.load(Ordering::Relaxed);
    let all = async { while deleters.join_next().await.is_some() {} };
    watched(all, |_| format!("removing what was created: {} of {total}", done())).await;
    let removed = removed.load(Ordering::Relaxed);
    rcs_cli::tell(format_args!("{} removed again", of(removed, "created object")));
    let left = total - removed + unknown;
    if left > 0 {
        rcs_cli::tell(format_args!(
            "{} may be left, because a create or delete failed or was not answered: look for names that begin with {}",
            of(left, "object"),
            workload.name_prefix()
        ));
    }
}
