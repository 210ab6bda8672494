//! Quantiles of what was timed a few dozen times in a drill.

use std::time::Duration;

use serde::Serialize;

/// Quantiles of a few dozen times, in milliseconds. With so few a quantile is the nearest sample at or above it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Times {
    pub(crate) samples: usize,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
}

impl Times {
    /// The quantiles of these.
    pub(crate) fn of(times: &[Duration]) -> Self {
        let mut ms: Vec<f64> =
            times.iter().map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0).collect();
        ms.sort_by(f64::total_cmp);
        let at = |quantile: f64| {
            let rank = (quantile * ms.len() as f64).ceil().max(1.0) as usize;
            ms.get(rank - 1).copied()
        };
        Self { samples: ms.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: ms.last().copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_times_have_the_nearest_sample_as_quantile() {
        let times = |count: u64| Times::of(&(1..=count).map(Duration::from_millis).collect::<Vec<_>>());
        for (count, p50, p99) in [(1, 1.0, 1.0), (2, 1.0, 2.0), (30, 15.0, 30.0), (200, 100.0, 198.0)] {
            let times = times(count);
            assert_eq!((times.p50_ms, times.p99_ms), (Some(p50), Some(p99)), "{count}");
        }
        assert_eq!(times(0).p99_ms, None);
    }
}
