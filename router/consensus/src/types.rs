//! The types that openraft is used with. Nothing outside this crate sees them.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use openraft::{AsyncRuntime, RaftTypeConfig};

/// A router for its whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId {
    /// The number that operators give; 1 or more.
    pub number: u32,
    /// Drawn when the router's store was made. A router whose disk was wiped comes back with another incarnation, so it is another router
    /// to the log: an id that was used is never used again.
    pub incarnation: u32,
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08x}", self.number, self.incarnation)
    }
}

/// openraft's own tests of stores number their routers.
#[cfg(test)]
impl From<u64> for RouterId {
    fn from(number: u64) -> Self {
        Self { number: u32::try_from(number).unwrap_or(u32::MAX), incarnation: 0 }
    }
}

/// How a router is reached by the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// `HOST:PORT`
    pub(crate) cluster: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cluster)
    }
}

/// Commands that become one entry of the log, so that they cost one write to the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commands(pub(crate) Vec<Bytes>);

/// What the machine answered to each of the commands; none for entries that are no commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes(pub(crate) Vec<Vec<u8>>);

/// openraft's types, on the runtime `R`: tokio in a router, virtual time in the simulation.
pub(crate) struct Types<R>(PhantomData<fn() -> R>);

impl<R: AsyncRuntime> RaftTypeConfig for Types<R> {
    type D = Commands;
    type R = Outcomes;
    type NodeId = RouterId;
    type Node = Address;
    type Entry = openraft::Entry<Self>;
    type SnapshotData = Bytes;
    type AsyncRuntime = R;
    type Responder = openraft::impls::OneshotResponder<Self>;
}

// openraft asks for all of these of a type that has no value; `derive` would ask them of the runtime as well.
impl<R> fmt::Debug for Types<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

impl<R> Clone for Types<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Types<R> {}

impl<R> Default for Types<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R> PartialEq for Types<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<R> Eq for Types<R> {}

impl<R> PartialOrd for Types<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> Ord for Types<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.0.len())
    }
}
