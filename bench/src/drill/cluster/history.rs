//! Holds what writers were told against the log in which the writes must stand: each acknowledged write once, and behind every write
//! that was acknowledged before it began. For a log of writes this is linearizability.

use std::collections::HashMap;
use std::time::Duration;

use rcs_rig::porcupine::{History, Porcupine, Verdict};
use serde::Serialize;
use tokio::time::Instant;

/// One write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    /// No other write has it.
    pub(crate) number: u32,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// Whether it was acknowledged. Nobody knows what became of another one: it may stand in the log once.
    pub(crate) acknowledged: bool,
}

/// A time in which something was done to the servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

/// What is wrong with a log, and how much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Judged {
    pub(crate) writes: usize,
    pub(crate) acknowledged: usize,
    /// Writes in the log that were not acknowledged: their outcome was unknown.
    pub(crate) applied_unacknowledged: usize,
    /// Acknowledged writes that are not in the log.
    pub(crate) lost: usize,
    /// Writes that are in the log more than once.
    pub(crate) doubled: usize,
    /// Writes in the log before one that was acknowledged before they began.
    pub(crate) out_of_order: usize,
}

/// Judges the log: the numbers of its writes, in its order.
pub(crate) fn judge(writes: &[Write], log: &[u32]) -> Judged {
    let by_number: HashMap<u32, &Write> = writes.iter().map(|write| (write.number, write)).collect();
    let mut times: HashMap<u32, usize> = HashMap::new();
    for number in log {
        *times.entry(*number).or_default() += 1;
    }
    let acknowledged = writes.iter().filter(|write| write.acknowledged);
    let mut judged = Judged {
        writes: writes.len(),
        acknowledged: acknowledged.clone().count(),
        lost: acknowledged.filter(|write| !times.contains_key(&write.number)).count(),
        doubled: times.values().filter(|times| **times > 1).count(),
        ..Judged::default()
    };
    // From the end: the earliest acknowledgement of what stands further behind.
    let mut acknowledged_behind: Option<Instant> = None;
    for write in log.iter().rev().filter_map(|number| by_number.get(number)) {
        judged.out_of_order += usize::from(acknowledged_behind.is_some_and(|behind| behind < write.began));
        match write.acknowledged {
            true => {
                let earliest = acknowledged_behind.map_or(write.ended, |behind| behind.min(write.ended));
                acknowledged_behind = Some(earliest);
            }
            false => judged.applied_unacknowledged += 1,
        }
    }
    judged
}

/// What Porcupine says of the same, or `None` where Porcupine cannot run. Blocks for as long as Porcupine takes, a minute at most.
pub(crate) fn by_porcupine(writes: &[Write], log: &[u32]) -> Option<Verdict> {
    let mut porcupine = Porcupine::or_skip("the drill's history")?;
    let start = writes.iter().map(|write| write.began).min()?;
    let mut history = History::default();
    for write in writes {
        // A write that was not acknowledged may take effect at any time.
        let ended = write.acknowledged.then(|| write.ended - start);
        history.write(write.began - start, ended, write.number.into(), None);
    }
    history.list(log.iter().copied().map(u64::from));
    Some(porcupine.judge(&history))
}

/// For each window, the longest time without an acknowledgement that is partly in it.
pub(crate) fn longest_pauses(writes: &[Write], windows: &[Window]) -> Vec<Duration> {
    let mut acknowledged: Vec<Instant> =
        writes.iter().filter(|write| write.acknowledged).map(|write| write.ended).collect();
    acknowledged.sort_unstable();
    let pause = |window: &Window| {
        let first = acknowledged.partition_point(|at| *at <= window.from).saturating_sub(1);
        let inside = acknowledged[first..].windows(2).take_while(|pair| pair[0] < window.to);
        inside.map(|pair| pair[1] - pair[0]).max().unwrap_or(window.to - window.from)
    };
    windows.iter().map(pause).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(start: Instant, number: u32, began: u64, ended: u64, acknowledged: bool) -> Write {
        let at = |ms| start + Duration::from_millis(ms);
        Write { number, began: at(began), ended: at(ended), acknowledged }
    }

    #[test]
    fn lost_doubled_and_disordered_writes_are_found() {
        let start = Instant::now();
        let writes = [
            write(start, 0, 0, 10, true),
            write(start, 1, 5, 20, true),
            write(start, 2, 30, 40, true),
            write(start, 3, 30, 50, false),
        ];
        let found = |log: &[u32]| {
            let judged = judge(&writes, log);
            (judged.lost, judged.doubled, judged.out_of_order, judged.applied_unacknowledged)
        };
        assert_eq!(found(&[0, 1, 2]), (0, 0, 0, 0));
        assert_eq!(found(&[1, 0, 3, 2]), (0, 0, 0, 1), "these were under way together");
        assert_eq!(found(&[0, 2]), (1, 0, 0, 0));
        assert_eq!(found(&[0, 1, 1, 2]), (0, 1, 0, 0));
        assert_eq!(found(&[2, 0, 1]), (0, 0, 1, 0));
        assert_eq!(found(&[3, 0, 1, 2]), (0, 0, 1, 1), "an unknown one took effect before it began");
        let sound = |log: &[u32]| by_porcupine(&writes, log).map(|verdict| verdict == Verdict::Linearizable);
        for log in [&[0, 1, 2][..], &[1, 0, 3, 2], &[0, 2], &[0, 1, 1, 2], &[2, 0, 1], &[3, 0, 1, 2]] {
            let found = found(log);
            assert!(
                sound(log).is_none_or(|sound| sound == ((found.0, found.1, found.2) == (0, 0, 0))),
                "{log:?}"
            );
        }
    }

    #[test]
    fn a_pause_is_the_longest_in_its_window() {
        let start = Instant::now();
        let writes: Vec<Write> = [0, 10, 500, 510, 2_000].map(|ended| write(start, 0, 0, ended, true)).into();
        let window = |from, to| {
            let at = |ms| start + Duration::from_millis(ms);
            Window { from: at(from), to: at(to) }
        };
        let pauses = longest_pauses(&writes, &[window(5, 505), window(505, 600), window(2_100, 2_500)]);
        assert_eq!(pauses.iter().map(Duration::as_millis).collect::<Vec<_>>(), [490, 1_490, 400]);
    }
}
