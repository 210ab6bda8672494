//! References to connectors as IDM writes them: bundle, version or range of versions, connector (B01-B05), and which connectors
//! of a member satisfy one.
//!
//! What arrives at the router is never a range: an IDM resolves its reference itself, against the list that it was shown, and
//! each of its calls names one version (WIRE 3.1: `ConnectorKey` has three texts). A range is what an operator states
//! for a group: versions within it may stand for each other while the group is moved from one to the next ([`StandIns`]).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use rcs_proto::icf::ConnectorKey;
use serde::{Deserialize, Serialize};

use super::printable::Printable;
use crate::agreed::stored::text;
use crate::ids::MemberId;

/// Why a text is not a version, a range or a reference. The error says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// No version.
    #[error("{:?} is not a version: write one to four numbers with dots between them, such as 1.5.20.0", .0)]
    Version(String),
    /// A bracket without its partner.
    #[error("{:?} is a range without both brackets: write for example [1.5.0.0,1.6.0.0)", .0)]
    Brackets(String),
    /// Not two bounds.
    #[error("{:?} needs a lower and an upper bound, with one comma between them: write for example [1.5.0.0,1.6.0.0)", .0)]
    Bounds(String),
    /// No version is in it.
    #[error("no version can be in {:?}: its lower bound must lie below its upper bound", .0)]
    Empty(String),
    /// No reference.
    #[error(
        "{:?} is not a reference to connectors: write BUNDLE, BUNDLE/VERSION or BUNDLE/VERSION/CONNECTOR, with * for any", .0
    )]
    Reference(String),
    /// A part of IDM's connectorRef that is missing or no text.
    #[error("connectorRef lacks the text {0:?}: add it")]
    Part(&'static str),
}

/// A version: up to four numbers, those left out are 0; and what Maven calls a qualifier, which comes before the version proper
/// (`1.5.0.0-SNAPSHOT` is below `1.5.0.0`).
#[derive(Clone, Debug)]
pub struct Version {
    numbers: [u32; 4],
    qualifier: Option<String>,
    /// As it was written.
    text: String,
}

/// Longest text of a version that is looked at.
const VERSION_BYTES_MAX: usize = 128;

impl FromStr for Version {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let wrong = || RangeError::Version(Printable(text).to_string());
        let trimmed = text.trim();
        if trimmed.len() > VERSION_BYTES_MAX {
            return Err(wrong());
        }
        let (numbers, qualifier) = match trimmed.split_once('-') {
            Some((numbers, qualifier)) => (numbers, Some(qualifier)),
            None => (trimmed, None),
        };
        if qualifier.is_some_and(|qualifier| !qualifier.chars().all(is_of_qualifier) || qualifier.is_empty())
        {
            return Err(wrong());
        }
        let mut parsed = [0; 4];
        let mut places = parsed.iter_mut();
        for number in numbers.split('.') {
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let place = places.next().filter(|_| is_number).ok_or_else(wrong)?;
            *place = number.parse().map_err(|_| wrong())?;
        }
        Ok(Self { numbers: parsed, qualifier: qualifier.map(str::to_owned), text: trimmed.to_owned() })
    }
}

fn is_of_qualifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

impl Version {
    fn rank(&self) -> ([u32; 4], bool, Option<&str>) {
        (self.numbers, self.qualifier.is_none(), self.qualifier.as_deref())
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The versions that a reference takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// All of them (`*`; not in IDM's own references).
    Any,
    /// This one.
    Exact(Version),
    /// From a bound to a bound.
    Range {
        /// The lower bound.
        from: Bound,
        /// The upper bound.
        to: Bound,
    },
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `[` or `]`: the version itself belongs to it.
    Inclusive(Version),
    /// `(` or `)`: it does not.
    Exclusive(Version),
}

impl Bound {
    fn version(&self) -> &Version {
        match self {
            Self::Inclusive(version) | Self::Exclusive(version) => version,
        }
    }
}

impl Versions {
    /// Whether an installed version is among them (B04).
    pub fn contains(&self, version: &Version) -> bool {
        let Self::Range { from, to } = self else {
            return matches!(self, Self::Any) || matches!(self, Self::Exact(exact) if exact == version);
        };
        let above = match from {
            Bound::Inclusive(from) => version >= from,
            Bound::Exclusive(from) => version > from,
        };
        let below = match to {
            Bound::Inclusive(to) => version <= to,
            Bound::Exclusive(to) => version < to,
        };
        above && below
    }

    /// The same for a version as a member lists it. A version that cannot be read matches [`Versions::Any`] only.
    pub fn contains_text(&self, version: &str) -> bool {
        matches!(self, Self::Any) || version.parse().is_ok_and(|version| self.contains(&version))
    }
}

impl FromStr for Versions {
    type Err = RangeError;

    /// Reads interval notation (B03): `1.5.20.0`, `[1.5.0.0,1.6.0.0)`, `(1.4,1.5]`, `*`. Blanks around the parts do not count.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let trimmed = text.trim();
        let said = || Printable(text).to_string();
        if trimmed == "*" {
            return Ok(Self::Any);
        }
        let opens = trimmed.starts_with(['[', '(']);
        let closes = trimmed.ends_with([']', ')']);
        if !opens && !closes {
            return if trimmed.contains(',') {
                Err(RangeError::Brackets(said()))
            } else {
                trimmed.parse().map(Self::Exact)
            };
        }
        if !(opens && closes && trimmed.len() >= 2) {
            return Err(RangeError::Brackets(said()));
        }
        let inner = &trimmed[1..trimmed.len() - 1];
        let bounds = inner
            .split_once(',')
            .filter(|(from, to)| !to.contains(',') && !from.trim().is_empty() && !to.trim().is_empty());
        let (from, to) = bounds.ok_or_else(|| RangeError::Bounds(said()))?;
        let (from, to) = (from.parse()?, to.parse()?);
        let from = if trimmed.starts_with('[') { Bound::Inclusive(from) } else { Bound::Exclusive(from) };
        let to = if trimmed.ends_with(']') { Bound::Inclusive(to) } else { Bound::Exclusive(to) };
        let range = Self::Range { from, to };
        if range.is_empty() { Err(RangeError::Empty(said())) } else { Ok(range) }
    }
}

impl Versions {
    fn is_empty(&self) -> bool {
        let Self::Range { from, to } = self else { return false };
        match from.version().cmp(to.version()) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => !matches!((from, to), (Bound::Inclusive(_), Bound::Inclusive(_))),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = match self {
            Self::Any => return f.write_str("*"),
            Self::Exact(version) => return write!(f, "{version}"),
            Self::Range { from, to } => (from, to),
        };
        let open = if matches!(from, Bound::Inclusive(_)) { '[' } else { '(' };
        let close = if matches!(to, Bound::Inclusive(_)) { ']' } else { ')' };
        write!(f, "{open}{},{}{close}", from.version(), to.version())
    }
}

/// A reference to connectors: of a bundle, of versions of it, of a connector in it. Names of Java and .NET connectors
/// (`MsPowerShell.Connector`) differ in looks only and are compared as they stand (B05).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorRef {
    /// The bundle; none: any.
    pub bundle_name: Option<String>,
    /// Its versions.
    #[serde(with = "text")]
    pub versions: Versions,
    /// The connector in it; none: any.
    pub connector_name: Option<String>,
}

impl ConnectorRef {
    /// Whether this connector is meant.
    pub fn matches(&self, key: &ConnectorKey) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        is(&self.bundle_name, &key.bundle_name)
            && is(&self.connector_name, &key.connector_name)
            && self.versions.contains_text(&key.bundle_version)
    }

    /// Reads the `connectorRef` of one of IDM's configurations (B01); its `connectorHostRef` is not a part of this.
    ///
    /// # Errors
    /// If a part is missing, or its version or range cannot be read.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, RangeError> {
        let part = |name: &'static str| {
            let text = json.get(name).and_then(serde_json::Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).ok_or(RangeError::Part(name))
        };
        Ok(Self {
            bundle_name: Some(part("bundleName")?.to_owned()),
            versions: part("bundleVersion")?.parse()?,
            connector_name: Some(part("connectorName")?.to_owned()),
        })
    }
}

impl FromStr for ConnectorRef {
    type Err = RangeError;

    /// Reads `BUNDLE`, `BUNDLE/VERSIONS` or `BUNDLE/VERSIONS/CONNECTOR`; `*` is any.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let wrong = || RangeError::Reference(Printable(text).to_string());
        let name = |part: &str| match part.trim() {
            "" => Err(wrong()),
            "*" => Ok(None),
            name => Ok(Some(name.to_owned())),
        };
        let mut parts = text.split('/');
        let bundle_name = name(parts.next().unwrap_or_default())?;
        let versions = parts.next().map_or(Ok(Versions::Any), str::parse)?;
        let connector_name = parts.next().map_or(Ok(None), name)?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { bundle_name, versions, connector_name })
    }
}

impl fmt::Display for ConnectorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.as_deref().unwrap_or("*").to_owned();
        write!(f, "{}/{}/{}", name(&self.bundle_name), self.versions, name(&self.connector_name))
    }
}

/// Connectors of which the versions may stand for each other, as an operator states for a group. Off (empty) by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIns(pub Vec<ConnectorRef>);

impl StandIns {
    /// The members that may take a call for `wanted`, in the order in which they come, each with the connector that it would use.
    /// A member that has the very version and one that has a stand-in are equals: the group's algorithm chooses.
    pub fn takers<'a>(
        &self,
        wanted: &ConnectorKey,
        members: impl IntoIterator<Item = (MemberId, &'a [ConnectorKey])>,
    ) -> Vec<(MemberId, &'a ConnectorKey)> {
        let members = members.into_iter();
        members.filter_map(|(member, offered)| Some((member, self.satisfying(wanted, offered)?))).collect()
    }

    /// The connector of a member that takes a call for `wanted`: that very one, else the highest version of the same bundle and
    /// connector where one rule holds both. None: the call must not go there.
    pub fn satisfying<'a>(
        &self,
        wanted: &ConnectorKey,
        offered: impl IntoIterator<Item = &'a ConnectorKey>,
    ) -> Option<&'a ConnectorKey> {
        let mut best: Option<(Version, &ConnectorKey)> = None;
        for key in offered {
            if key == wanted {
                return Some(key);
            }
            let is_other_version =
                key.bundle_name == wanted.bundle_name && key.connector_name == wanted.connector_name;
            if !is_other_version || !self.0.iter().any(|rule| rule.matches(wanted) && rule.matches(key)) {
                continue;
            }
            let Ok(version) = key.bundle_version.parse() else { continue };
            if best.as_ref().is_none_or(|(highest, _)| version > *highest) {
                best = Some((version, key));
            }
        }
        best.map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests;
