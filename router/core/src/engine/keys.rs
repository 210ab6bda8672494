//! Keys of entries of the engine's tables. A key means something in this process only, and never leaves the process. [`CallId`] is
//! the name of a call that logs and people use.

use std::fmt;
use std::str::FromStr;

use crate::arena::Key;

/// Tag of [`CallKey`].
#[derive(Debug)]
pub(super) enum CallTag {}

/// Tag of [`CallerKey`].
#[derive(Debug)]
pub(super) enum CallerTag {}

/// Tag of [`MemberSessionKey`].
#[derive(Debug)]
pub(super) enum MemberSessionTag {}

/// Names one call for as long as it is in flight.
pub(super) type CallKey = Key<CallTag>;

/// Names one caller's session.
pub(super) type CallerKey = Key<CallerTag>;

/// Names one session of a member. A member that was restarted has another session.
pub(super) type MemberSessionKey = Key<MemberSessionTag>;

/// One of the sockets that the router keeps open towards a member that it dials, 0 to `sockets - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u8);

/// What a message id that we sent to a member stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A caller's call.
    Call(CallKey),
    /// A `test` of the router, with its number at the member.
    Probe(u32),
}

/// Names a call in logs, in error texts and for `call explain`: which router took the call, and a number that the router counts
/// up for as long as it runs. The text is `NUMBER` for a router that stands alone, else `ROUTER-NUMBER`, both hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// The router; 0 stands alone.
    router: u16,
    number: u64,
}

impl CallId {
    /// The id before the first call of a router.
    pub(super) const fn before_first(router: u16) -> Self {
        Self { router, number: 0 }
    }

    /// The id of the call that comes next.
    pub(super) const fn next(self) -> Self {
        Self { router: self.router, number: self.number + 1 }
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.router != 0 {
            write!(f, "{:x}-", self.router)?;
        }
        write!(f, "{:x}", self.number)
    }
}

impl FromStr for CallId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (router, number) = text.split_once('-').unwrap_or(("0", text));
        Ok(Self { router: u16::from_str_radix(router, 16)?, number: u64::from_str_radix(number, 16)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes_with_and_without_a_router() {
        let alone = (0..0x1f).fold(CallId::before_first(0), |id, _| id.next());
        let third = (0..10).fold(CallId::before_first(3), |id, _| id.next());
        for (id, text) in [(alone, "1f"), (third, "3-a")] {
            assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
        }
        for bad in ["", "x", "1-", "-1", "10000-1", "1-2-3"] {
            assert!(bad.parse::<CallId>().is_err(), "{bad:?}");
        }
    }
}
