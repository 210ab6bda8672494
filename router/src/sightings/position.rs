//! How far a client of the event stream has come: the id of each event.

use std::fmt;
use std::str::FromStr;

/// A place in the event stream. Its text is `REVISION-RUN-SEQUENCE`, such as `17-5f3a9c01-42`. The revision means the same at every router
/// of a cluster; run and sequence name a sighting of one run of one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The revision of the latest agreed change that the client has; 0: none.
    pub(crate) revision: u64,
    /// The run of the router whose sightings the client has; 0: none.
    pub(crate) run: u32,
    /// The latest sighting that the client has; 0: none.
    pub(crate) sequence: u64,
}

/// A text that is no position.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is the id of an event, such as 17-5f3a9c01-42, or a revision, such as 17")]
pub(crate) struct NoPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}-{}", self.revision, self.run, self.sequence)
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            if is_plain { text.parse::<u64>().map_err(|_| NoPosition) } else { Err(NoPosition) }
        };
        let parts: Vec<&str> = text.splitn(4, '-').collect();
        match parts.as_slice() {
            [revision] => Ok(Self { revision: number(revision)?, run: 0, sequence: 0 }),
            [revision, run, sequence] if run.len() == 8 && run.bytes().all(|b| b.is_ascii_hexdigit()) => {
                let run = u32::from_str_radix(run, 16).map_err(|_| NoPosition)?;
                Ok(Self { revision: number(revision)?, run, sequence: number(sequence)? })
            }
            _ => Err(NoPosition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written_and_nothing_else_is() {
        let all = [
            Position { revision: 17, run: 0x5f3a_9c01, sequence: 42 },
            Position { revision: u64::MAX, run: u32::MAX, sequence: u64::MAX },
            Position { revision: 0, run: 0, sequence: 0 },
        ];
        for position in all {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        assert_eq!("17".parse(), Ok(Position { revision: 17, run: 0, sequence: 0 }));
        for text in [
            "",
            "-",
            "+17",
            "17 ",
            "seventeen",
            "17-5f3a9c01",
            "17-5f3a9c01-",
            "17-5f3a9c01-42-1",
            "17-+f3a9c01-42",
            "17-é3a9c01-42",
            "18446744073709551616",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NoPosition), "{text:?}");
        }
    }
}
