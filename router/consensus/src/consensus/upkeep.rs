//! Watches over the runs of the consensus part: keeps the status true, sees failures, and starts the part again.

use openraft::{AsyncRuntime, Instant as _};

use super::{Consensus, LOOK_EVERY, StartError};
use crate::limits::{LEADERLESS, NOTE_EVERY, RESTART_AFTER};
use crate::machine::Machine;
use crate::rpc::Transport;
use crate::running::Running;
use crate::status::Role;

/// Keeps the status true, and starts the run again after a failure.
pub(super) async fn watch_over<R: AsyncRuntime, T: Transport, M: Machine>(part: Consensus<R, T, M>) {
    let shared = &part.shared;
    let mut pause = RESTART_AFTER.0;
    let mut heard = R::Instant::now();
    let (mut noted, mut noted_at) = (0, R::Instant::now());
    let mut stopping = shared.stopping.subscribe();
    while !*stopping.borrow_and_update() {
        let Some(running) = part.running() else {
            if *shared.lent.borrow() {
                pause = RESTART_AFTER.0;
                let _ = R::timeout(LOOK_EVERY, stopping.changed()).await;
                continue;
            }
            let _ = R::timeout(pause, stopping.changed()).await;
            pause = (pause * 2).min(RESTART_AFTER.1);
            again(&part).await;
            continue;
        };
        let mut metrics = running.raft.metrics();
        let failure =
            metrics.borrow_and_update().running_state.clone().err().map(|failure| failure.to_string());
        let broken = || {
            running
                .machine
                .is_broken()
                .then(|| "a fault of this program broke the replicated state".to_owned())
        };
        // The writer may have failed on a note for which nobody waits. Without a look here, only the next entry would tell.
        let unwritten = || running.write_failure();
        if let Some(failure) = failure.or_else(broken).or_else(unwritten) {
            down(&part, &running, failure).await;
            continue;
        }
        let status = running.status(&shared.status.borrow());
        running.trim(&status).await;
        if status.role == Role::Leader && status.is_changing && shared.changing.try_lock().is_ok() {
            drop(R::spawn(part.clone().finish_change()));
        }
        if status.has_leader() {
            pause = RESTART_AFTER.0;
            heard = R::Instant::now();
        }
        if status.applied != noted && R::Instant::now() >= noted_at + NOTE_EVERY {
            (noted, noted_at) = (status.applied, R::Instant::now());
            running.note_decided().await;
        }
        let is_alone = R::Instant::now() >= heard + LEADERLESS;
        shared.set(|before| *before = status.clone());
        if is_alone {
            heard = R::Instant::now();
            if part.was_removed(&running, &status).await {
                removed(&part, &running).await;
                return;
            }
        }
        if matches!(R::timeout(LOOK_EVERY, metrics.changed()).await, Ok(Err(_))) {
            // A core that panics tells nobody: its metrics end, and say to the last that all is well.
            down(&part, &running, "a fault of this program ended the consensus part".to_owned()).await;
        }
    }
}

/// The others go on without this router, and do not tell it: a router that was removed is sent no entries any more.
async fn removed<R: AsyncRuntime, T: Transport, M: Machine>(
    part: &Consensus<R, T, M>,
    running: &Running<R, M>,
) {
    tracing::warn!(
        "this router was removed from the cluster: it takes part no more, and routes on what it knew last. Stop it, or empty its \
         --data-dir and add it again"
    );
    part.shared.stopping.send_replace(true);
    drop(part.shared.running().take());
    running.stop().await;
    part.shared.set(|status| {
        status.role = Role::Removed;
        status.leader = None;
    });
}

/// The run has failed. Routing goes on without it.
async fn down<R: AsyncRuntime, T: Transport, M: Machine>(
    part: &Consensus<R, T, M>,
    running: &Running<R, M>,
    failure: String,
) {
    if *part.shared.lent.borrow() {
        // Ended in order, for another process.
        return;
    }
    let advice = if running.sync_failed() {
        "A sync of the disk failed, so nobody knows what is on it: mend the disk, then start the router again, or replace it"
    } else {
        "It is started again from its store"
    };
    tracing::error!(%failure, "the consensus part has failed; calls go on. {advice}");
    let is_over = *part.shared.stopping.borrow();
    if is_over {
        return;
    }
    drop(part.shared.running().take());
    running.stop().await;
    part.shared.set(|status| {
        status.role = Role::Down { reason: format!("{failure}. {advice}") };
        status.leader = None;
    });
    if running.sync_failed() {
        // Until the process ends: what a reader is shown now may never have reached the disk.
        part.shared.stopping.send_replace(true);
    }
}

async fn again<R: AsyncRuntime, T: Transport, M: Machine>(part: &Consensus<R, T, M>) {
    let shared = &part.shared;
    let opened = (shared.open)();
    let started = match opened {
        Ok((store, machine)) => {
            let (me, transport) = (shared.me.clone(), shared.transport.clone());
            Running::start(store, machine, me, transport, shared.timing).await.map_err(StartError::from)
        }
        Err(error) => Err(error.into()),
    };
    match started {
        Ok(running) => {
            tracing::info!("the consensus part runs again");
            *shared.running() = Some(running);
            shared.set(|status| status.restarts += 1);
        }
        Err(error) => {
            tracing::warn!(%error, "the consensus part cannot be started again; calls go on");
            shared.set(|status| status.role = Role::Down { reason: error.to_string() });
        }
    }
}
