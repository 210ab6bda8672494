//! Payloads in `Debug`: their size and nothing else (promise P9).

use std::fmt;

/// Stands for bytes that no log and no dump may show.
pub struct Withheld<'a>(pub &'a [u8]);

impl fmt::Debug for Withheld<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
