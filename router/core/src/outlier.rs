//! Members that answer far slower than the others of their group: an illness that no probe of one member alone can see.
//!
//! Compared are reads with one answer, by the median of a window: a few calls that are slow for what they ask, or that a
//! deadline ends, do not move it. What a search or a script takes says more of the search than of the member, so those are left
//! out. Only members that had enough calls are compared, and only with others of the same group, which get the same mix.

use std::time::Duration;

use rcs_proto::time::Moment;

use crate::ids::MemberId;
use crate::limits::{OUTLIER_FALL, OUTLIER_FLOOR, OUTLIER_SAMPLES, OUTLIER_WINDOW};

/// Steps of a power of two: a time is known to a quarter of itself.
const STEPS: usize = 4;
/// Up to 2^26 µs, more than a minute; what takes longer counts as that.
const BUCKETS: usize = (26 - 1) * STEPS;

/// How long calls took at one member, in buckets that grow with the time.
#[derive(Clone, Debug)]
struct Latencies {
    counts: [u32; BUCKETS],
    samples: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], samples: 0 }
    }
}

impl Latencies {
    fn note(&mut self, took: Duration) {
        let count = &mut self.counts[bucket(took)];
        *count = count.saturating_add(1);
        self.samples = self.samples.saturating_add(1);
    }

    /// The middle one; none if there are too few to speak of.
    fn median(&self) -> Option<Duration> {
        if self.samples < OUTLIER_SAMPLES {
            return None;
        }
        let mut left = self.samples / 2;
        for (at, count) in self.counts.iter().enumerate() {
            if *count > left {
                return Some(lower_edge(at));
            }
            left -= count;
        }
        None
    }
}

/// The bucket of a time.
fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = micros.ilog2() as usize;
    let at = match octave {
        0 | 1 => micros as usize,
        _ => (octave - 1) * STEPS + ((micros >> (octave - 2)) & 3) as usize,
    };
    at.min(BUCKETS - 1)
}

/// The shortest time of a bucket.
fn lower_edge(bucket: usize) -> Duration {
    let micros = match bucket / STEPS {
        0 => bucket as u64,
        octave => (STEPS as u64 + (bucket % STEPS) as u64) << (octave - 1),
    };
    Duration::from_micros(micros)
}

/// The members of one group, compared with each other.
#[derive(Clone, Debug, Default)]
pub struct Outliers {
    members: Vec<Compared>,
    since: Moment,
}

#[derive(Clone, Debug)]
struct Compared {
    member: MemberId,
    latencies: Latencies,
    /// The median of the last window with enough calls.
    median: Option<Duration>,
    /// Windows in a row in which it was too slow.
    slow: u32,
}

impl Outliers {
    /// Notes how long a read with one answer took at a member, from its being sent.
    pub fn note(&mut self, member: MemberId, took: Duration) {
        match self.members.iter_mut().find(|known| known.member == member) {
            Some(known) => known.latencies.note(took),
            None => {
                let mut latencies = Latencies::default();
                latencies.note(took);
                self.members.push(Compared { member, latencies, median: None, slow: 0 });
            }
        }
    }

    /// The median time of reads at a member in the last window with enough of them.
    pub fn median(&self, member: MemberId) -> Option<Duration> {
        self.members.iter().find(|known| known.member == member)?.median
    }

    /// When the window ends; none while there is nothing to compare.
    pub fn due(&self) -> Option<Moment> {
        (!self.members.is_empty()).then(|| self.since + OUTLIER_WINDOW)
    }

    /// Ends the window if it is over: answers the members whose median was over `percent` of the median of the others' for
    /// [`OUTLIER_FALL`] windows in a row. 0 compares nothing. Members that are not in `of` are forgotten.
    pub fn look(&mut self, percent: u32, of: &[MemberId], now: Moment) -> Vec<MemberId> {
        if now.since(self.since) < OUTLIER_WINDOW {
            return Vec::new();
        }
        self.since = now;
        self.members.retain(|known| of.contains(&known.member));
        let medians: Vec<Option<Duration>> =
            self.members.iter().map(|known| known.latencies.median()).collect();
        let mut outliers = Vec::new();
        for (at, known) in self.members.iter_mut().enumerate() {
            known.latencies = Latencies::default();
            known.median = medians[at].or(known.median);
            known.slow = if percent > 0 && is_slow(&medians, at, percent) { known.slow + 1 } else { 0 };
            if known.slow >= OUTLIER_FALL {
                known.slow = 0;
                outliers.push(known.member);
            }
        }
        outliers
    }
}

/// Whether one median is over so many percent of that of the others, and by more than what the way there may make.
fn is_slow(medians: &[Option<Duration>], at: usize, percent: u32) -> bool {
    let others = medians.iter().enumerate().filter(|(other, _)| *other != at);
    let mut others: Vec<Duration> = others.filter_map(|(_, median)| *median).collect();
    others.sort_unstable();
    // Of two in the middle the slower one: where most of a group are slow, that is how the group is.
    let (Some(own), Some(usual)) = (medians[at], others.get(others.len() / 2)) else { return false };
    own > usual.saturating_mul(percent) / 100 && own > *usual + OUTLIER_FLOOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_time_is_known_to_a_quarter_of_itself() {
        for micros in (1..5_000).chain([10_000, 999_999, 12_345_678, 60_000_000]) {
            let edge = lower_edge(bucket(Duration::from_micros(micros))).as_micros() as u64;
            assert!(edge <= micros && micros - edge <= micros / 4, "{micros}: {edge}");
        }
        assert_eq!(bucket(Duration::from_secs(100_000)), BUCKETS - 1);
        assert_eq!(bucket(Duration::ZERO), bucket(Duration::from_micros(1)));
    }

    #[test]
    fn the_median_is_the_middle_one_whatever_the_slowest_take() {
        let mut latencies = Latencies::default();
        for call in 0..OUTLIER_SAMPLES {
            assert_eq!(latencies.median(), None, "{call} are too few");
            latencies.note(Duration::from_millis(if call % 3 == 0 { 60_000 } else { 2 }));
        }
        let median = latencies.median().unwrap();
        assert!((1_500..=2_000).contains(&median.as_micros()), "{median:?}");
    }

    /// Members' latencies in ms (0: no calls), in each window; who is out after each of them.
    #[test]
    fn a_member_is_out_that_is_far_slower_than_the_others_twice_in_a_row() {
        type Windows = &'static [&'static [u64]];
        let cases: &[(&str, u32, Windows, &[&[u32]])] = &[
            ("one of three", 1_000, &[&[5, 5, 500], &[5, 5, 500]], &[&[], &[2]]),
            ("one of two", 1_000, &[&[500, 5], &[500, 5]], &[&[], &[0]]),
            ("once is not enough", 1_000, &[&[5, 5, 500], &[5, 5, 5], &[5, 5, 500]], &[&[], &[], &[]]),
            ("slow for long", 1_000, &[&[5, 500], &[5, 500], &[5, 500], &[5, 500]], &[&[], &[1], &[], &[1]]),
            ("within the factor", 1_000, &[&[60, 60, 500], &[60, 60, 500]], &[&[], &[]]),
            ("over a smaller factor", 300, &[&[60, 60, 500], &[60, 60, 500]], &[&[], &[2]]),
            ("a way that is longer", 1_000, &[&[1, 1, 15], &[1, 1, 15]], &[&[], &[]]),
            ("half the group", 1_000, &[&[5, 5, 500, 500], &[5, 5, 500, 500]], &[&[], &[2, 3]]),
            ("most of it", 1_000, &[&[5, 500, 500, 500], &[5, 500, 500, 500]], &[&[], &[]]),
            ("all of it", 1_000, &[&[500, 500, 500], &[500, 500, 500]], &[&[], &[]]),
            ("nobody to compare with", 1_000, &[&[0, 0, 500], &[0, 0, 500]], &[&[], &[]]),
            ("never", 0, &[&[5, 5, 500], &[5, 5, 500]], &[&[], &[]]),
        ];
        for (name, percent, windows, expected) in cases {
            let mut outliers = Outliers::default();
            for (number, (window, out)) in windows.iter().zip(*expected).enumerate() {
                let members: Vec<MemberId> = (0..window.len() as u32).map(MemberId).collect();
                for (member, ms) in members.iter().zip(*window).filter(|(_, ms)| **ms > 0) {
                    (0..20).for_each(|_| outliers.note(*member, Duration::from_millis(*ms)));
                }
                let now = at(OUTLIER_WINDOW.as_secs() * (number as u64 + 1));
                let found = outliers.look(*percent, &members, now);
                let found: Vec<u32> = found.into_iter().map(|member| member.0).collect();
                assert_eq!(found, *out, "{name}, window {number}");
            }
        }
    }

    #[test]
    fn a_window_has_its_time_and_who_left_is_forgotten() {
        let mut outliers = Outliers::default();
        let start = at(100);
        outliers.look(1_000, &[], start);
        for (member, ms) in [(0, 5), (1, 500), (2, 5)] {
            (0..20).for_each(|_| outliers.note(MemberId(member), Duration::from_millis(ms)));
        }
        let all = [MemberId(0), MemberId(1)];
        outliers.look(1_000, &all, start + OUTLIER_WINDOW / 2);
        assert_eq!(outliers.members.len(), 3, "not yet");
        outliers.look(1_000, &all, start + OUTLIER_WINDOW);
        assert_eq!(outliers.members.iter().map(|known| known.slow).collect::<Vec<_>>(), [0, 1]);
    }
}
