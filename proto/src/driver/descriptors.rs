//! How many descriptors this process may have open, and how many of them connections of strangers must leave free.

use std::fmt;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::limits::{DESCRIPTORS_KEPT, DESCRIPTORS_KEPT_SHARE};

/// The limit of open descriptors; `None` stands for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit with which the process was started.
    before: Option<u64>,
    /// The limit now.
    now: Option<u64>,
}

impl Descriptors {
    /// Raises the soft limit to the hard limit. Many systems start programs with a soft limit of 1,024, for the sake of programs that call
    /// `select`.
    ///
    /// # Errors
    /// If the system refuses. There is no known reason to refuse.
    pub fn raise() -> io::Result<Self> {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        Ok(Self { before: current, now: maximum })
    }

    /// The limit, not raised.
    pub fn unchanged() -> Self {
        let current = getrlimit(Resource::Nofile).current;
        Self { before: current, now: current }
    }

    /// How many may be open.
    pub fn limit(&self) -> u64 {
        self.now.unwrap_or(u64::MAX)
    }

    /// The highest number that the descriptor of a connection from outside may have. The system gives out the lowest free number. So
    /// descriptors above this number are kept for connections to members, the admin address and files.
    pub fn highest_from_outside(&self) -> i32 {
        let kept = (self.limit() / DESCRIPTORS_KEPT_SHARE).min(DESCRIPTORS_KEPT);
        i32::try_from(self.limit() - kept).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |limit: Option<u64>| limit.map_or("any number of".to_owned(), |limit| limit.to_string());
        write!(f, "{} files and connections may be open", shown(self.now))?;
        match self.before == self.now {
            true => Ok(()),
            false => {
                write!(f, " (the soft limit was {}, and was raised to the hard limit)", shown(self.before))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_from_strangers() {
        for (now, highest) in [(Some(256), 192), (Some(1_024), 768), (Some(20_000), 19_488), (None, i32::MAX)]
        {
            assert_eq!(Descriptors { before: now, now }.highest_from_outside(), highest, "{now:?}");
        }
        assert_eq!(
            Descriptors { before: Some(256), now: Some(20_000) }.to_string(),
            "20000 files and connections may be open (the soft limit was 256, and was raised to the hard limit)"
        );
        assert_eq!(
            Descriptors { before: None, now: None }.to_string(),
            "any number of files and connections may be open"
        );
    }
}
