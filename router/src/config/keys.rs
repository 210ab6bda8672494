//! Every key of the configuration file, once: where its value is, what it may be, and what it means. Reading, showing and the
//! documentation's tests all go by these tables.

use std::ops::RangeInclusive;
use std::time::Duration;

use rcs_core::limits;
use rcs_core::settings::{GroupSettings, RouterSettings, StreamEnd};

use super::time;

/// One key of a table that is read into an `S`.
pub(super) struct Key<S: 'static> {
    /// Its name; the part before a dot is a table of its own.
    pub(super) name: &'static str,
    /// What it means, for the reader of `check` and of the example.
    pub(super) about: &'static str,
    /// Its value.
    pub(super) place: Place<S>,
}

/// Where a value is, and which values it may have.
pub(super) enum Place<S: 'static> {
    /// A time.
    Time(fn(&mut S) -> &mut Duration, RangeInclusive<Duration>),
    /// A time, or "off".
    TimeOrOff(fn(&mut S) -> &mut Option<Duration>, RangeInclusive<Duration>),
    /// A whole number.
    Count(fn(&mut S) -> &mut usize, RangeInclusive<usize>),
    /// A whole number.
    Number(fn(&mut S) -> &mut u32, RangeInclusive<u32>),
    /// A whole number, or "off", which is 0.
    NumberOrOff(fn(&mut S) -> &mut u32, RangeInclusive<u32>),
    /// What is asked of the end of a stream.
    StreamEnd(fn(&mut S) -> &mut StreamEnd),
}

/// The word that switches something off.
pub(super) const OFF: &str = "off";
/// The words of [`Place::StreamEnd`].
pub(super) const STREAM_ENDS: [(&str, StreamEnd); 2] =
    [("as_learned", StreamEnd::AsLearned), ("as_it_came", StreamEnd::AsItCame)];

/// The keys of `[router]`.
pub(super) const ROUTER: &[Key<RouterSettings>] = &[
    Key {
        name: "caller_in_flight_max",
        about: "calls in flight of one caller, subscriptions apart; the next one is refused",
        place: Place::Count(|s| &mut s.caller_in_flight_max, 1..=limits::CALLS_PER_SESSION_MAX),
    },
    Key {
        name: "accepts_per_second",
        about: "new connections of callers that are taken in a second; others wait",
        place: Place::Number(|s| &mut s.accepts_per_second, limits::ACCEPTS_RANGE),
    },
    Key {
        name: "caller_ping_every",
        about: "time between two pings of a caller's socket, which keep middle boxes from closing it",
        place: Place::TimeOrOff(|s| &mut s.caller_ping_every, limits::PROBE_EVERY_RANGE),
    },
    Key {
        name: "socket_ttl",
        about: "age at which a socket towards a member is replaced by a fresh one",
        place: Place::TimeOrOff(|s| &mut s.socket_ttl, limits::SOCKET_TTL_RANGE),
    },
];

/// The keys of `[defaults]` and of `[group.NAME]`.
pub(super) const GROUP: &[Key<GroupSettings>] = &[
    Key {
        name: "deadlines.login",
        about: "authenticate, where the caller's own configuration has no timeout for the operation",
        place: Place::Time(|s| &mut s.deadlines.login, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.read",
        about: "reads with one answer, where it has none",
        place: Place::Time(|s| &mut s.deadlines.read, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.change",
        about: "create, update and delete, where it has none",
        place: Place::Time(|s| &mut s.deadlines.change, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.script",
        about: "scripts, where it has none",
        place: Place::Time(|s| &mut s.deadlines.script, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.stream_idle",
        about: "searches, syncs and batches, where it has none: between two frames of the answer",
        place: Place::Time(|s| &mut s.deadlines.stream_idle, limits::DEADLINE_RANGE),
    },
    Key {
        name: "in_flight_max",
        about: "calls in flight in the group, subscriptions apart",
        place: Place::Count(|s| &mut s.in_flight_max, 1..=limits::CALLS_MAX),
    },
    Key {
        name: "member_in_flight_max",
        about: "calls in flight at one member, those of its other groups included",
        place: Place::Count(|s| &mut s.member_in_flight_max, 1..=limits::CALLS_MAX),
    },
    Key {
        name: "queue_max",
        about: "calls that may wait for a free place; 0: none waits",
        place: Place::Count(|s| &mut s.queue_max, 0..=limits::CALLS_MAX),
    },
    Key {
        name: "queue_wait",
        about: "how long a call may wait for a free place",
        place: Place::Time(|s| &mut s.queue_wait, limits::QUEUE_WAIT_RANGE),
    },
    Key {
        name: "retry_percent",
        about: "share of retries among the group's calls, in percent; beyond it a failed call is answered",
        place: Place::Number(|s| &mut s.retry_percent, 0..=100),
    },
    Key {
        name: "test_every",
        about: "time between two tests of a member's connectors; off: no tests, not before it serves either",
        place: Place::TimeOrOff(|s| &mut s.test_every, limits::PROBE_EVERY_RANGE),
    },
    Key {
        name: "stream_end",
        about: "as_learned: a search or sync that lacks the result or token its connector always sent is an error; \
                as_it_came: it is passed on",
        place: Place::StreamEnd(|s| &mut s.stream_end),
    },
    Key {
        name: "ejection.failures",
        about: "calls in a row that fail with an error of the resource or the connection, and put a member out",
        place: Place::NumberOrOff(|s| &mut s.ejection.failures, limits::EJECTION_FAILURES_RANGE),
    },
    Key {
        name: "ejection.latency_percent",
        about: "slowness of a member's calls that puts it out, in percent of the median of its group",
        place: Place::NumberOrOff(|s| &mut s.ejection.latency_percent, limits::EJECTION_LATENCY_RANGE),
    },
    Key {
        name: "ejection.base",
        about: "time out at first; doubles with each time",
        place: Place::Time(|s| &mut s.ejection.base, limits::EJECTION_RANGE),
    },
    Key {
        name: "ejection.cap",
        about: "longest time out",
        place: Place::Time(|s| &mut s.ejection.cap, limits::EJECTION_RANGE),
    },
];

/// A value as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// In quotes.
    Text(&'a str),
    /// A whole number that fits.
    Integer(u64),
    /// Anything else.
    Other,
}

impl<S: Clone> Key<S> {
    /// Puts a value in its place; answers false if it is none that the key may have.
    pub(super) fn set(&self, settings: &mut S, value: Value<'_>) -> bool {
        match (&self.place, value) {
            (Place::Time(at, range), Value::Text(text)) => {
                put(at(settings), time::parse(text).filter(|time| range.contains(time)))
            }
            (Place::TimeOrOff(at, _), Value::Text(OFF)) => put(at(settings), Some(None)),
            (Place::TimeOrOff(at, range), Value::Text(text)) => {
                put(at(settings), time::parse(text).filter(|time| range.contains(time)).map(Some))
            }
            (Place::Count(at, range), Value::Integer(number)) => {
                put(at(settings), usize::try_from(number).ok().filter(|number| range.contains(number)))
            }
            (Place::NumberOrOff(at, _), Value::Text(OFF)) => put(at(settings), Some(0)),
            (Place::Number(at, range) | Place::NumberOrOff(at, range), Value::Integer(number)) => {
                put(at(settings), u32::try_from(number).ok().filter(|number| range.contains(number)))
            }
            (Place::StreamEnd(at), Value::Text(text)) => {
                let meant = STREAM_ENDS.iter().find(|(word, _)| *word == text);
                put(at(settings), meant.map(|(_, end)| *end))
            }
            _ => false,
        }
    }

    /// Whether its value is a time.
    pub(super) fn is_time(&self) -> bool {
        matches!(self.place, Place::Time(..) | Place::TimeOrOff(..))
    }

    /// Its value as the file would have it.
    pub(super) fn shown(&self, settings: &S) -> String {
        let mut settings = settings.clone();
        let quoted = |text: &str| format!("\"{text}\"");
        match &self.place {
            Place::Time(at, _) => quoted(&time::shown(*at(&mut settings))),
            Place::TimeOrOff(at, _) => quoted(&at(&mut settings).map_or(OFF.to_owned(), time::shown)),
            Place::Count(at, _) => at(&mut settings).to_string(),
            Place::NumberOrOff(at, _) if *at(&mut settings) == 0 => quoted(OFF),
            Place::Number(at, _) | Place::NumberOrOff(at, _) => at(&mut settings).to_string(),
            Place::StreamEnd(at) => {
                let now = *at(&mut settings);
                STREAM_ENDS
                    .iter()
                    .find(|(_, end)| *end == now)
                    .map_or(String::new(), |(word, _)| quoted(word))
            }
        }
    }

    /// The values that it may have, as a part of a sentence.
    pub(super) fn choice(&self) -> String {
        let times = |range: &RangeInclusive<Duration>| {
            format!("\"{}\" to \"{}\"", time::shown(*range.start()), time::shown(*range.end()))
        };
        match &self.place {
            Place::Time(_, range) => times(range),
            Place::TimeOrOff(_, range) => format!("{}, or \"{OFF}\"", times(range)),
            Place::Count(_, range) => format!("{} to {}", range.start(), range.end()),
            Place::Number(_, range) => format!("{} to {}", range.start(), range.end()),
            Place::NumberOrOff(_, range) => format!("{} to {}, or \"{OFF}\"", range.start(), range.end()),
            Place::StreamEnd(_) => STREAM_ENDS.map(|(word, _)| format!("\"{word}\"")).join(" or "),
        }
    }
}

fn put<T>(at: &mut T, value: Option<T>) -> bool {
    let is_there = value.is_some();
    if let Some(value) = value {
        *at = value;
    }
    is_there
}
