//! Every key of the configuration file, once: where its value is, what it may be, and what it means. Reading, showing and the
//! tests of the documentation all use these tables.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use rcs_core::bundles::group::{NoneLeft, Reports, SetDigest};
use rcs_core::bundles::infos::Visible;
use rcs_core::bundles::range::{ConnectorRef, RangeError, StandIns};
use rcs_core::limits;
use rcs_core::settings::{GroupSettings, RouterSettings, StreamEnd};
use rcs_proto::driver::said::is_secret;
use rcs_proto::driver::url::WsUrl;

use crate::limits::{CONNECTOR_REFERENCES_MAX, CONTEXT_PATH_BYTES_MAX, IDM_URLS_MAX, TOKEN_BYTES_MAX};

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
    /// One of a few words.
    Word(&'static dyn OneOf<S>),
    /// The digest of a bundle set, or "off".
    SetOrOff(fn(&mut S) -> &mut Option<SetDigest>),
    /// IP address and port, or "off".
    AddressOrOff(fn(&mut S) -> &mut Option<SocketAddr>),
    /// The beginning of paths, or "off", which is the empty path.
    PathOrOff(fn(&mut S) -> &mut String),
    /// A text of the operator's own, or "off". The name says what the text is.
    TextOrOff(fn(&mut S) -> &mut Option<String>, &'static str),
    /// The name of a header or query parameter that holds no secret, or "off". The text says what the name is.
    TokenOrOff(fn(&mut S) -> &mut Option<String>, &'static str),
    /// URLs of an OpenICF service, in one text with blanks between them, or in a list.
    Urls(fn(&mut S) -> &mut Vec<WsUrl>),
    /// References to connectors, "*" for all.
    Visible(fn(&mut S) -> &mut Visible),
    /// References to connectors.
    StandIns(fn(&mut S) -> &mut StandIns),
}

/// A value that is written as a word.
pub(super) trait OneOf<S> {
    /// All of its words.
    fn words(&self) -> Vec<&'static str>;
    /// The word of its value now.
    fn shown(&self, settings: &mut S) -> &'static str;
    /// Puts the value that a word means; returns false for an unknown word.
    fn put(&self, settings: &mut S, word: &str) -> bool;
}

/// Where a value that is written as a word is, and what its words are.
pub(super) struct Words<S, T: 'static> {
    pub(super) at: fn(&mut S) -> &mut T,
    pub(super) of: &'static [(&'static str, T)],
}

impl<S, T: Copy + PartialEq> OneOf<S> for Words<S, T> {
    fn words(&self) -> Vec<&'static str> {
        self.of.iter().map(|(word, _)| *word).collect()
    }

    fn shown(&self, settings: &mut S) -> &'static str {
        word_of(self.of, *(self.at)(settings))
    }

    fn put(&self, settings: &mut S, word: &str) -> bool {
        put((self.at)(settings), self.of.iter().find(|(known, _)| *known == word).map(|(_, value)| *value))
    }
}

/// The word of a value.
pub(crate) fn word_of<T: Copy + PartialEq>(words: &'static [(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// The word that switches something off.
pub(super) const OFF: &str = "off";
/// All connectors.
const ALL: &str = "*";
const STREAM_ENDS: &[(&str, StreamEnd)] =
    &[("as_learned", StreamEnd::AsLearned), ("as_it_came", StreamEnd::AsItCame)];
/// What is compared of bundle sets.
pub(crate) const REPORTS: &[(&str, Reports)] =
    &[("wire_only", Reports::WireOnly), ("require_agent", Reports::RequireAgent)];
/// What follows when no member has the right set.
pub(crate) const NONE_LEFT: &[(&str, NoneLeft)] =
    &[("keep_last", NoneLeft::KeepLast), ("fail_closed", NoneLeft::FailClosed)];
/// How a reference to connectors is written.
const REFERENCE: &str = "BUNDLE, BUNDLE/VERSIONS or BUNDLE/VERSIONS/CONNECTOR, with * for any";

/// The keys of `[router]`.
pub(super) const ROUTER: &[Key<RouterSettings>] = &[
    Key {
        name: "caller_in_flight_max",
        about: "calls that one caller may have in flight, subscriptions not counted; more are refused",
        place: Place::Count(|s| &mut s.caller_in_flight_max, 1..=limits::CALLS_PER_SESSION_MAX),
    },
    Key {
        name: "accepts_per_second",
        about: "new connections of callers accepted per second; more wait for their turn",
        place: Place::Number(|s| &mut s.accepts_per_second, limits::ACCEPTS_RANGE),
    },
    Key {
        name: "context_path",
        about: "what stands before /openicf in the paths of callers, as a context path of a connector server does; paths without it \
                are accepted too",
        place: Place::PathOrOff(|s| &mut s.context_path),
    },
    Key {
        name: "caller_ping_every",
        about: "time between two pings to a caller, which keep proxies and firewalls from closing an idle connection",
        place: Place::TimeOrOff(|s| &mut s.caller_ping_every, limits::PROBE_EVERY_RANGE),
    },
    Key {
        name: "socket_ttl",
        about: "age at which a connection to a member is replaced by a new one",
        place: Place::TimeOrOff(|s| &mut s.socket_ttl, limits::SOCKET_TTL_RANGE),
    },
    Key {
        name: "member_name_header",
        about: "HTTP header in which a connector server in client mode names itself, beside the path; the name must be one that the server's \
                credential owns",
        place: Place::TokenOrOff(|s| &mut s.member_name_header, "the name of an HTTP header"),
    },
    Key {
        name: "member_name_parameter",
        about: "query parameter of the URL in which a connector server in client mode names itself, as the header does",
        place: Place::TokenOrOff(|s| &mut s.member_name_parameter, "the name of a query parameter"),
    },
];

/// The keys of `[defaults]` and of `[group.NAME]`.
pub(super) const GROUP: &[Key<GroupSettings>] = &[
    Key {
        name: "deadlines.login",
        about: "timeout of authenticate, if IDM's connector configuration sets none for the operation",
        place: Place::Time(|s| &mut s.deadlines.login, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.read",
        about: "timeout of reads with one result, such as get, schema and test, if IDM sets none",
        place: Place::Time(|s| &mut s.deadlines.read, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.change",
        about: "timeout of create, update and delete, if IDM sets none",
        place: Place::Time(|s| &mut s.deadlines.change, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.script",
        about: "timeout of scripts, if IDM sets none",
        place: Place::Time(|s| &mut s.deadlines.script, limits::DEADLINE_RANGE),
    },
    Key {
        name: "deadlines.stream_idle",
        about: "timeout between two results of a search, a sync or a batch, if IDM sets none",
        place: Place::Time(|s| &mut s.deadlines.stream_idle, limits::DEADLINE_RANGE),
    },
    Key {
        name: "in_flight_max",
        about: "calls in flight in the group, subscriptions not counted; more wait in the group's queue",
        place: Place::Count(|s| &mut s.in_flight_max, 1..=limits::CALLS_MAX),
    },
    Key {
        name: "member_in_flight_max",
        about: "calls in flight at one member, of all its groups together; more wait in the group's queue",
        place: Place::Count(|s| &mut s.member_in_flight_max, 1..=limits::CALLS_MAX),
    },
    Key {
        name: "queue_max",
        about: "length of the group's queue, for logins and for other calls separately; more are refused; 0: no queue",
        place: Place::Count(|s| &mut s.queue_max, 0..=limits::CALLS_MAX),
    },
    Key {
        name: "queue_wait",
        about: "how long a call may wait in the queue before it is refused",
        place: Place::Time(|s| &mut s.queue_wait, limits::QUEUE_WAIT_RANGE),
    },
    Key {
        name: "retry_percent",
        about: "retry limit, in percent of the group's calls of the last 10 s, plus 100 retries (0: none); the first retry \
                after the loss of a member is always allowed",
        place: Place::Number(|s| &mut s.retry_percent, 0..=100),
    },
    Key {
        name: "hedge_after",
        about: "time without any answer after which a read is sent to a second member too, if its member has answered later calls; the \
                first answer counts, and the retry limit applies; choose more than the slowest read takes",
        place: Place::TimeOrOff(|s| &mut s.hedge_after, limits::HEDGE_AFTER_RANGE),
    },
    Key {
        name: "test_every",
        about: "health check: time between two runs of the connectors' test operation at a member; off: members, new ones \
                included, are not tested",
        place: Place::TimeOrOff(|s| &mut s.test_every, limits::PROBE_EVERY_RANGE),
    },
    Key {
        name: "stream_end",
        about: "as_learned: a search or sync that ends without the result or token that its connector has always sent, \
                or whose last item came twice, is an error, as it may be incomplete; as_it_came: it is passed on",
        place: Place::Word(&Words { at: |s: &mut GroupSettings| &mut s.stream_end, of: STREAM_ENDS }),
    },
    Key {
        name: "ejection.failures",
        about: "outlier ejection: failed calls in a row (resource unreachable, timeout, out of memory) that eject a member",
        place: Place::NumberOrOff(|s| &mut s.ejection.failures, limits::EJECTION_FAILURES_RANGE),
    },
    Key {
        name: "ejection.latency_percent",
        about: "outlier ejection: a member is ejected if its reads take longer than this, in percent of the other members' median",
        place: Place::NumberOrOff(|s| &mut s.ejection.latency_percent, limits::EJECTION_LATENCY_RANGE),
    },
    Key {
        name: "ejection.base",
        about: "duration of a member's first ejection; doubles with each further one",
        place: Place::Time(|s| &mut s.ejection.base, limits::EJECTION_RANGE),
    },
    Key {
        name: "ejection.cap",
        about: "longest ejection",
        place: Place::Time(|s| &mut s.ejection.cap, limits::EJECTION_RANGE),
    },
    Key {
        name: "bundles.reports",
        about: "what is compared of members' bundle sets: wire_only: the connectors that each member lists; require_agent: \
                their files too, and a member whose agent does not report gets no calls",
        place: Place::Word(&Words { at: |s: &mut GroupSettings| &mut s.bundles.reports, of: REPORTS }),
    },
    Key {
        name: "bundles.none_left",
        about: "if no member has the group's bundle set: keep_last: the members that served last keep serving; fail_closed: \
                no member serves",
        place: Place::Word(&Words { at: |s: &mut GroupSettings| &mut s.bundles.none_left, of: NONE_LEFT }),
    },
    Key {
        name: "bundles.serving_min",
        about: "members that must keep serving during a rolling upgrade; a step that would leave fewer is refused",
        place: Place::Count(|s| &mut s.bundles.serving_min, 0..=limits::MEMBERS_PER_GROUP_MAX),
    },
    Key {
        name: "bundles.pinned",
        about: "the bundle set that members must have; off: the set of the first member that connects",
        place: Place::SetOrOff(|s| &mut s.pinned),
    },
    Key {
        name: "bundles.visible",
        about: "connectors that callers see and may use",
        place: Place::Visible(|s| &mut s.visible),
    },
    Key {
        name: "bundles.stand_ins",
        about: "connectors whose versions within the range may run each other's calls, such as BUNDLE/[1.0.0.0,1.1.0.0)",
        place: Place::StandIns(|s| &mut s.stand_ins),
    },
];

/// The keys of `[group.NAME]` alone.
pub(super) const OWN_GROUP: &[Key<GroupSettings>] = &[Key {
    name: "listen",
    about: "an address of this group alone, for callers that can send neither the group's path nor its principal (OpenIDM 6.3.0)",
    place: Place::AddressOrOff(|s| &mut s.listen),
}];

/// A value as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// In quotes.
    Text(&'a str),
    /// A whole number that fits.
    Integer(u64),
    /// A list of texts.
    Texts(Vec<&'a str>),
    /// Anything else.
    Other,
}

/// Why a value is invalid, if there is more to say than which values are valid.
pub(super) type Why = Option<String>;

impl<S: Clone> Key<S> {
    /// Puts a value in its place.
    ///
    /// # Errors
    /// If the key may not have this value.
    pub(super) fn set(&self, settings: &mut S, value: Value<'_>) -> Result<(), Why> {
        let is_put = match (&self.place, value) {
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
            (Place::Word(place), Value::Text(text)) => place.put(settings, text),
            (Place::SetOrOff(at), Value::Text(OFF)) => put(at(settings), Some(None)),
            (Place::SetOrOff(at), Value::Text(text)) => put(at(settings), text.parse().ok().map(Some)),
            (Place::AddressOrOff(at), Value::Text(OFF)) => put(at(settings), Some(None)),
            (Place::AddressOrOff(at), Value::Text(text)) => {
                let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
                put(at(settings), address.map(Some))
            }
            (Place::PathOrOff(at), Value::Text(OFF)) => put(at(settings), Some(String::new())),
            (Place::PathOrOff(at), Value::Text(text)) => put(at(settings), context_path(text)),
            (Place::TextOrOff(at, _) | Place::TokenOrOff(at, _), Value::Text(OFF)) => {
                put(at(settings), Some(None))
            }
            (Place::TokenOrOff(at, _), Value::Text(text)) => {
                put(at(settings), is_token(text).then(|| Some(text.to_owned())))
            }
            (Place::TextOrOff(at, _), Value::Text(text)) => {
                let usable = !text.is_empty() && !text.contains(char::is_control);
                put(at(settings), usable.then(|| Some(text.to_owned())))
            }
            (Place::Urls(at), Value::Text(text)) => {
                put(at(settings), Some(urls(text.split_ascii_whitespace())?))
            }
            (Place::Urls(at), Value::Texts(texts)) => put(at(settings), Some(urls(texts.into_iter())?)),
            (Place::Visible(at), Value::Texts(texts)) if !texts.is_empty() => {
                let all = references(&texts)?;
                let visible = if texts.contains(&ALL) { Visible::All } else { Visible::Only(all) };
                put(at(settings), Some(visible))
            }
            (Place::StandIns(at), Value::Texts(texts)) => {
                put(at(settings), Some(StandIns(references(&texts)?)))
            }
            _ => false,
        };
        if is_put { Ok(()) } else { Err(None) }
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
            Place::Word(place) => quoted(place.shown(&mut settings)),
            Place::SetOrOff(at) => quoted(&at(&mut settings).map_or(OFF.to_owned(), |set| set.to_string())),
            Place::AddressOrOff(at) => quoted(&at(&mut settings).map_or(OFF.to_owned(), |at| at.to_string())),
            Place::PathOrOff(at) => {
                let path = at(&mut settings);
                quoted(if path.is_empty() { OFF } else { path })
            }
            Place::TextOrOff(at, _) | Place::TokenOrOff(at, _) => {
                quoted(at(&mut settings).as_deref().unwrap_or(OFF))
            }
            Place::Urls(at) => list(at(&mut settings)),
            Place::Visible(at) => match at(&mut settings) {
                Visible::All => list(&[ALL]),
                Visible::Only(references) => list(references),
            },
            Place::StandIns(at) => list(&at(&mut settings).0),
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
            Place::Word(place) => {
                let words: Vec<String> = place.words().iter().map(|word| format!("\"{word}\"")).collect();
                words.join(" or ")
            }
            Place::SetOrOff(_) => format!("a digest as `bundles status` shows it, or \"{OFF}\""),
            Place::AddressOrOff(_) => {
                format!("an IP address and a port, such as \"127.0.0.1:8771\", or \"{OFF}\"")
            }
            Place::PathOrOff(_) => {
                format!("a path such as \"/base\" without a slash at its end, or \"{OFF}\"")
            }
            Place::TextOrOff(_, what) | Place::TokenOrOff(_, what) => format!("{what}, or \"{OFF}\""),
            Place::Urls(_) => {
                "URLs that begin with ws:// or wss://, such as \"wss://idm.example.com/openicf\"".to_owned()
            }
            Place::Visible(_) => format!("a list of {REFERENCE}"),
            Place::StandIns(_) => format!("a list of {REFERENCE}; it may be empty"),
        }
    }
}

/// A path that may stand before another path, in visible ASCII characters that need no encoding.
fn context_path(text: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    let is_usable = text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("//")
        && text.len() <= CONTEXT_PATH_BYTES_MAX
        && text.chars().all(is_plain);
    is_usable.then(|| text.to_owned())
}

/// Whether a text can be the name of a header or of a query parameter. Headers that hold secrets name nobody.
fn is_token(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.chars().all(is_plain) && !is_secret(text)
}

fn urls<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<WsUrl>, Why> {
    let mut urls = Vec::new();
    for text in texts {
        let is_websocket = text.starts_with("ws://") || text.starts_with("wss://");
        let url = text.parse().ok().filter(|_| is_websocket).ok_or(None)?;
        if urls.contains(&url) {
            return Err(Some(format!("{text} stands there twice")));
        }
        urls.push(url);
    }
    match urls.len() {
        0 => Err(None),
        1..=IDM_URLS_MAX => Ok(urls),
        _ => Err(Some(format!("at most {IDM_URLS_MAX} URLs are allowed"))),
    }
}

fn references(texts: &[&str]) -> Result<Vec<ConnectorRef>, Why> {
    if texts.len() > CONNECTOR_REFERENCES_MAX {
        return Err(Some(format!("at most {CONNECTOR_REFERENCES_MAX} references are allowed")));
    }
    texts.iter().map(|text| text.parse().map_err(|error: RangeError| Some(error.to_string()))).collect()
}

fn list(items: &[impl Display]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", items.join(", "))
}

fn put<T>(at: &mut T, value: Option<T>) -> bool {
    let is_there = value.is_some();
    if let Some(value) = value {
        *at = value;
    }
    is_there
}
