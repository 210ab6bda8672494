//! The fingerprint of a run: a hash over everything that happened, in order. Two runs of one seed must have equal fingerprints.

use std::fmt::{self, Write};

/// Whether lines are printed, by this variable of the environment (any value).
const PRINT: &str = "RCS_SIM_TRACE";

/// Hashes what happened; prints it if asked.
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    print: bool,
}

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: 0, print: std::env::var_os(PRINT).is_some() }
    }

    /// A step that has no line of its own: a poll, a timer, an operation of a disk.
    pub(crate) fn mix(&mut self, step: u64) {
        self.hash = (self.hash.rotate_left(5) ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// One line: when (nanoseconds), who, what.
    pub(crate) fn line(&mut self, now: u64, who: &str, what: fmt::Arguments<'_>) {
        self.mix(now);
        // A writer that only hashes cannot fail.
        let _ = self.write_fmt(what);
        self.lines += 1;
        if self.print {
            println!("{:>12.6} {who:<6} {what}", now as f64 / 1e9);
        }
    }

    /// The hash, and how many lines it covers.
    pub(crate) fn fingerprint(&self) -> (u64, u64) {
        (self.hash, self.lines)
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
