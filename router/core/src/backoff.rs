//! How long to wait before the next attempt to reach a member.

use std::time::Duration;

use crate::limits::{RECONNECT_BASE, RECONNECT_CAP};

/// The wait before attempt number `attempt` (0 = the first after a loss), with full jitter: anywhere between
/// nothing and a ceiling that doubles from [`RECONNECT_BASE`] to [`RECONNECT_CAP`]. Routers that lost a
/// member in the same instant thus do not come back in the same instant. `random` is any 64 random bits.
pub fn reconnect_wait(attempt: u32, random: u64) -> Duration {
    let ceiling =
        RECONNECT_BASE.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(RECONNECT_CAP);
    let micros =
        u64::try_from(ceiling.as_micros()).expect("the cap is a second, far below 2^64 microseconds");
    // The bias of the remainder is one part in 2^44.
    Duration::from_micros(random % (micros + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        for (attempt, ceiling_ms) in [
            (0, 50),
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (31, 1000),
            (32, 1000),
            (u32::MAX, 1000),
        ] {
            let ceiling = Duration::from_millis(ceiling_ms);
            let top = u64::try_from(ceiling.as_micros()).unwrap();
            assert_eq!(reconnect_wait(attempt, top), ceiling, "attempt {attempt}");
            assert_eq!(reconnect_wait(attempt, top + 1), Duration::ZERO, "attempt {attempt}");
            assert!(reconnect_wait(attempt, u64::MAX) <= ceiling);
        }
    }

    #[test]
    fn waits_spread_over_the_whole_range() {
        let waits: Vec<u128> = (0..10_000u64)
            .map(|n| reconnect_wait(9, n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).as_millis())
            .collect();
        let mean = waits.iter().sum::<u128>() / 10_000;
        assert!((480..=520).contains(&mean), "mean {mean} ms");
        assert!(waits.iter().any(|w| *w < 10) && waits.iter().any(|w| *w > 990));
    }
}
