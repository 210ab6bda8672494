//! Which network holds which of a bounded number of connections. While connections are short, the network that holds the most of them
//! loses its slowest one, so that strangers keep nobody else waiting (promise P10).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// The part of an address that stands for one peer: an IPv4 address, or the first 64 bits of an IPv6 address, because one host may have
/// all addresses behind these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    is_loopback: bool,
    prefix: u64,
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix = match address {
            // IPv4 addresses are numbered below ::/64, which no host outside has.
            IpAddr::V4(v4) => u64::from(u32::from(v4)),
            IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64 | u64::from(v6.is_loopback()),
        };
        Self { is_loopback: address.is_loopback(), prefix }
    }
}

/// A connection of a [`Shares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// How much of its request a connection has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// No byte.
    Nothing,
    /// Something that is not complete. The connection may lose its place, after connections that showed nothing.
    Something,
    /// Enough to keep its place.
    Enough,
}

/// Connections by network. A change costs O(log n).
#[derive(Debug, Default)]
pub struct Shares {
    /// How many connections from the loopback cannot lose their places.
    kept_for_loopback: usize,
    next: u64,
    connections: HashMap<ConnectionId, Connection>,
    networks: HashMap<Network, Share>,
    /// Networks that can lose a connection. The last one loses next.
    ranks: BTreeSet<Rank>,
}

/// How many connections a network can lose. Among equals, the network whose connection has waited longest ranks highest.
type Rank = (usize, Reverse<u64>, Network);

#[derive(Debug)]
struct Connection {
    network: Network,
    shown: Shown,
    /// When the connection came to show this much, as a number in order.
    since: u64,
}

/// The connections that one network can lose, the oldest first.
#[derive(Debug, Default)]
struct Share {
    nothing: BTreeSet<(u64, ConnectionId)>,
    something: BTreeSet<(u64, ConnectionId)>,
}

impl Share {
    fn first(&self) -> Option<(u64, ConnectionId)> {
        self.nothing.first().or(self.something.first()).copied()
    }

    fn of(&mut self, shown: Shown) -> Option<&mut BTreeSet<(u64, ConnectionId)>> {
        match shown {
            Shown::Nothing => Some(&mut self.nothing),
            Shown::Something => Some(&mut self.something),
            Shown::Enough => None,
        }
    }
}

impl Shares {
    /// No connections yet. While connections from the loopback are at most `kept_for_loopback`, none of them loses its place.
    pub fn new(kept_for_loopback: usize) -> Self {
        Self { kept_for_loopback, ..Self::default() }
    }

    /// Adds a connection that has shown nothing.
    pub fn add(&mut self, peer: IpAddr) -> ConnectionId {
        let id = ConnectionId(self.next);
        let connection = Connection { network: peer.into(), shown: Shown::Nothing, since: self.next };
        self.next += 1;
        self.place(id, connection);
        id
    }

    /// Notes what a connection has shown by now. The connection is the newest of those that have shown as much.
    pub fn note(&mut self, id: ConnectionId, shown: Shown) {
        if let Some(connection) = self.remove(id) {
            let since = self.next;
            self.next += 1;
            self.place(id, Connection { shown, since, ..connection });
        }
    }

    /// Removes a connection, if it is there.
    pub fn end(&mut self, id: ConnectionId) {
        self.remove(id);
    }

    /// The connection that loses its place next. It belongs to the network that can lose the most connections. Of these connections, it is
    /// the one that has shown nothing for longest, or else the one that has been incomplete for longest.
    pub fn slowest(&self) -> Option<ConnectionId> {
        let (_, _, network) = self.ranks.last()?;
        self.networks.get(network)?.first().map(|(_, id)| id)
    }

    /// The number of all connections.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    fn place(&mut self, id: ConnectionId, connection: Connection) {
        let Connection { network, shown, since } = connection;
        self.rerank(network, |share| {
            if let Some(list) = share.of(shown) {
                list.insert((since, id));
            }
        });
        self.connections.insert(id, connection);
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.rerank(connection.network, |share| {
            if let Some(list) = share.of(connection.shown) {
                list.remove(&(connection.since, id));
            }
        });
        Some(connection)
    }

    fn rerank(&mut self, network: Network, change: impl FnOnce(&mut Share)) {
        let kept = if network.is_loopback { self.kept_for_loopback } else { 0 };
        let rank = |share: &Share| {
            let (since, _) = share.first()?;
            let losable = (share.nothing.len() + share.something.len()).saturating_sub(kept);
            (losable > 0).then_some((losable, Reverse(since), network))
        };
        let share = self.networks.entry(network).or_default();
        if let Some(before) = rank(share) {
            self.ranks.remove(&before);
        }
        change(share);
        self.ranks.extend(rank(share));
        if share.first().is_none() {
            self.networks.remove(&network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_has_one_share_however_many_addresses_it_has() {
        let network = |text: &str| Network::from(ip(text));
        assert_eq!(network("10.0.0.1"), network("::ffff:10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("::1"), network("0.0.0.1"));
    }

    #[test]
    fn the_heaviest_network_loses_its_slowest_connection() {
        let mut shares = Shares::new(0);
        let honest = shares.add(ip("10.0.0.1"));
        let strangers: Vec<_> = (0..3).map(|_| shares.add(ip("10.0.0.2"))).collect();
        assert_eq!(shares.slowest(), Some(strangers[0]));
        shares.note(strangers[0], Shown::Something);
        assert_eq!(shares.slowest(), Some(strangers[1]), "the silent ones lose first");
        shares.note(strangers[1], Shown::Enough);
        shares.end(strangers[2]);
        assert_eq!(shares.slowest(), Some(honest), "one each: the older one");
        shares.note(honest, Shown::Enough);
        assert_eq!(shares.slowest(), Some(strangers[0]));
        shares.end(strangers[0]);
        assert_eq!(shares.slowest(), None, "what has shown enough keeps its place");
        assert_eq!(shares.len(), 2);
        shares.end(honest);
        shares.end(strangers[1]);
        shares.end(strangers[1]);
        assert!(shares.is_empty() && shares.networks.is_empty() && shares.ranks.is_empty());
    }

    #[test]
    fn some_places_are_kept_for_the_loopback() {
        let mut shares = Shares::new(2);
        let local: Vec<_> = (0..2).map(|_| shares.add(ip("127.0.0.1"))).collect();
        assert_eq!(shares.slowest(), None);
        let far = shares.add(ip("10.0.0.1"));
        assert_eq!(shares.slowest(), Some(far));
        shares.add(ip("127.0.0.1"));
        shares.add(ip("127.0.0.1"));
        assert_eq!(shares.slowest(), Some(local[0]), "beyond them the loopback is a network like others");
    }
}
