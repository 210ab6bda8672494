//! Generates load: an open loop that keeps its rate whatever the target does, and a closed one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rcs_cli::{Exit, Failure};
use rcs_proto::driver::endpoint::Caller;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::arguments::{CallerArgs, LoadArgs, WorkArgs};
use crate::cleanup::remove_created;
use crate::progress::watched;
use crate::record::{Record, Sample};
use crate::report;
use crate::target::connect;
use crate::units::of;
use crate::workload::Workload;

/// `rcs-bench load`
pub(crate) async fn run(arguments: LoadArgs) -> Result<(), Failure> {
    let side = Side::connect(&arguments.url, &arguments.caller, None, &arguments.work).await?;
    let span = Span { warmup: arguments.warmup, measured: arguments.duration };
    let all = span.warmup + span.measured;
    let line = |passed: Duration| {
        let (begun, failed) = side.so_far();
        format!(
            "{:.0} s of {:.0} s, {}, {failed} failed",
            passed.as_secs_f64(),
            all.as_secs_f64(),
            of(begun, "call")
        )
    };
    let work = async {
        match arguments.rate {
            Some(rate) => side.open_loop(rate, span).await,
            None => Ok(side.closed_loop(arguments.concurrency, span).await),
        }
    };
    let record = watched(work, line).await?;
    let figures = record.figures();
    side.close(arguments.work.keep).await;
    report::load(&arguments, &figures)?;
    match figures.ok {
        0 => Err(Exit::Unavailable.with("every call failed; see the errors in the table")),
        _ => Ok(()),
    }
}

/// How long to put on load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) warmup: Duration,
    pub(crate) measured: Duration,
}

/// One target with the calls made for it.
#[derive(Debug)]
pub(crate) struct Side {
    caller: Arc<Caller>,
    workload: Arc<Workload>,
    /// After which a call counts as unanswered.
    timeout: Duration,
    max_outstanding: usize,
}

impl Side {
    /// Connects and prepares the calls.
    pub(crate) async fn connect(
        url: &str,
        arguments: &CallerArgs,
        key_file: Option<&std::path::Path>,
        work: &WorkArgs,
    ) -> Result<Self, Failure> {
        let caller = connect(url, arguments, key_file).await?;
        let prepared = tokio::time::timeout(arguments.timeout * 3, Workload::prepare(&caller, work)).await;
        let workload = prepared.map_err(|_| {
            Exit::Unavailable.with(format!("{url}: timeout, no response to the first requests"))
        })??;
        Ok(Self {
            caller: Arc::new(caller),
            workload: Arc::new(workload),
            timeout: arguments.timeout,
            max_outstanding: arguments.max_outstanding as usize,
        })
    }

    /// The number of calls that were begun, and how many of them failed.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        self.workload.so_far()
    }

    /// Deletes the objects that creates have made, unless they are to be kept. Closes the sockets.
    pub(crate) async fn close(self, keep: bool) {
        if !keep {
            remove_created(&self.caller, &self.workload, self.timeout).await;
        }
        if let Some(caller) = Arc::into_inner(self.caller) {
            caller.close().await;
        }
    }

    /// `concurrency` callers, each with one call at a time. Counted are the calls that end within the measured time.
    pub(crate) async fn closed_loop(&self, concurrency: u32, span: Span) -> Record {
        let from = Instant::now() + span.warmup;
        let until = from + span.measured;
        let mut callers = JoinSet::new();
        for _ in 0..concurrency {
            let (caller, workload, timeout) = (self.caller.clone(), self.workload.clone(), self.timeout);
            callers.spawn(async move {
                let mut record = Record::default();
                while Instant::now() < until {
                    let start = Instant::now();
                    let outcome = workload.run(&caller, timeout).await;
                    let end = Instant::now();
                    if end >= from && (end < until || outcome.is_err()) {
                        record.add(Sample { latency: end - start, lateness: Duration::ZERO, outcome });
                    }
                }
                record
            });
        }
        let mut total = Record::default();
        while let Some(record) = callers.join_next().await {
            total.merge(&record.expect("a caller does not panic"));
        }
        total.span = span.measured;
        total
    }

    /// `rate` calls a second, evenly, whether or not earlier ones are answered. Latency counts from the moment at which a call
    /// was due, so a target that stalls is charged for every call that it delays. Counted are the calls due within the
    /// measured time, answered or not.
    pub(crate) async fn open_loop(&self, rate: f64, span: Span) -> Result<Record, Failure> {
        let (due, mut dues) = mpsc::unbounded_channel();
        let start = Instant::now() + Duration::from_millis(1);
        let from = start + span.warmup;
        let pacer = std::thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || pace(start, rate, span.warmup + span.measured, &due))
            .map_err(|error| Exit::Internal.with(format!("no thread for the pacer: {error}")))?;
        let record = Arc::new(Mutex::new(Record::default()));
        let slots = Arc::new(Semaphore::new(self.max_outstanding));
        let mut calls = JoinSet::new();
        while let Some(due) = dues.recv().await {
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            let (caller, workload, timeout) = (self.caller.clone(), self.workload.clone(), self.timeout);
            let record = record.clone();
            calls.spawn(async move {
                let lateness = due.elapsed();
                let outcome = workload.run(&caller, timeout).await;
                let latency = due.elapsed();
                drop(slot);
                if due >= from {
                    record.lock().unwrap_or_else(PoisonError::into_inner).add(Sample {
                        latency,
                        lateness,
                        outcome,
                    });
                }
            });
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
        pacer.join().map_err(|_| Exit::Internal.with("the pacer failed"))?;
        let mut total = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
        total.span = span.measured;
        Ok(total)
    }
}

/// Tells when each call is due. A thread of its own: tokio's timer has steps of a millisecond, more than what is measured.
fn pace(start: Instant, rate: f64, length: Duration, due: &mpsc::UnboundedSender<Instant>) {
    for number in 0u64.. {
        let offset = Duration::from_secs_f64(number as f64 / rate);
        if offset >= length {
            return;
        }
        let next = start + offset;
        if let Some(early) = next.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        if due.send(next).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_evenly_and_the_schedule_does_not_drift() {
        let (due, mut dues) = mpsc::unbounded_channel();
        let start = Instant::now();
        pace(start, 2000.0, Duration::from_millis(100), &due);
        drop(due);
        let mut offsets = Vec::new();
        while let Ok(due) = dues.try_recv() {
            offsets.push((due - start).as_micros());
        }
        let expected: Vec<u128> = (0..200).map(|number| number * 500).collect();
        assert_eq!(offsets, expected);
    }
}
