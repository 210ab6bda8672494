//! What waits to be verified. Networks take turns, and so do the names that keys are for: a flood keeps nobody waiting who comes from another
//! network, or with another name.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use rcs_proto::driver::shares::Network;

/// As much waits as may wait, and the sender has its share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// The entry of the file of credentials that a key or token is for. A flood for one entry keeps no other entry waiting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    /// A name with keys.
    Name(Arc<str>),
    /// Any name, by a token of this issuer. The name that a token says is not proved yet, and everybody can say any.
    Issuer(Arc<str>),
}

/// The jobs of one queue. All that is done with them costs time in proportion to their number, which is small.
#[derive(Debug)]
pub(super) struct Lanes<J> {
    /// In the order in which they came.
    jobs: VecDeque<Waiting<J>>,
    /// The networks with jobs, in the order of their turns.
    networks: VecDeque<Network>,
    /// The entries with jobs, in the order of their turns.
    entries: VecDeque<Entry>,
    next: Turn,
    most: usize,
}

#[derive(Debug)]
struct Waiting<J> {
    network: Network,
    entry: Entry,
    job: J,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Network,
    Entry,
}

impl<J> Lanes<J> {
    /// Empty lanes, for at most `most` jobs together.
    pub(super) fn new(most: usize) -> Self {
        let (jobs, networks, entries) = Default::default();
        Self { jobs, networks, entries, next: Turn::Network, most }
    }

    /// Queues a job. If the queue is full, the network or the entry with the most jobs loses its newest one, which is returned. Whoever waits
    /// for the lost job learns of the loss when the job is dropped.
    ///
    /// # Errors
    /// [`TooMany`]: the job would be one of those with the most jobs.
    pub(super) fn push(&mut self, network: Network, entry: Entry, job: J) -> Result<Option<J>, TooMany> {
        let lost = match self.jobs.len() >= self.most {
            true => Some(self.make_room(network, &entry)?),
            false => None,
        };
        if !self.networks.contains(&network) {
            self.networks.push_back(network);
        }
        if !self.entries.contains(&entry) {
            self.entries.push_back(entry.clone());
        }
        self.jobs.push_back(Waiting { network, entry, job });
        Ok(lost)
    }

    /// The next job: that of a network in its turn, then that of a entry in its turn, and so on. Where the one has several of the other,
    /// these take turns as well.
    pub(super) fn pop(&mut self) -> Option<J> {
        let (network, entry) = match self.next {
            Turn::Network => {
                let network = *self.networks.front()?;
                let all = self.jobs.iter().filter(|job| job.network == network);
                let entries: HashSet<&Entry> = all.map(|job| &job.entry).collect();
                (network, self.entries.iter().find(|entry| entries.contains(entry))?.clone())
            }
            Turn::Entry => {
                let entry = self.entries.front()?.clone();
                let all = self.jobs.iter().filter(|job| job.entry == entry);
                let networks: HashSet<Network> = all.map(|job| job.network).collect();
                (*self.networks.iter().find(|network| networks.contains(network))?, entry)
            }
        };
        self.next = match self.next {
            Turn::Network => Turn::Entry,
            Turn::Entry => Turn::Network,
        };
        let at = self.jobs.iter().position(|job| job.network == network && job.entry == entry)?;
        let job = self.remove(at)?;
        // Their next turns come after those of all others.
        to_the_back(&mut self.networks, &network);
        to_the_back(&mut self.entries, &entry);
        Some(job)
    }

    /// Takes out the newest job of those who have the most, for a job of this network and entry.
    fn make_room(&mut self, network: Network, entry: &Entry) -> Result<J, TooMany> {
        let (crowd, of_network) = most(self.jobs.iter().map(|job| job.network)).ok_or(TooMany)?;
        let (crowded, of_entry) = most(self.jobs.iter().map(|job| &job.entry)).ok_or(TooMany)?;
        let at = if of_entry > of_network {
            // A flood from many networks. Within it, the network with the most jobs makes room.
            let crowded = crowded.clone();
            let inside = || self.jobs.iter().filter(|job| job.entry == crowded).map(|job| job.network);
            let (crowd, length) = most(inside()).ok_or(TooMany)?;
            let own = inside().filter(|of| *of == network).count();
            if *entry == crowded && own + 1 >= length {
                return Err(TooMany);
            }
            self.jobs.iter().rposition(|job| job.entry == crowded && job.network == crowd)
        } else {
            let own = self.jobs.iter().filter(|job| job.network == network).count();
            if own + 1 >= of_network {
                return Err(TooMany);
            }
            self.jobs.iter().rposition(|job| job.network == crowd)
        };
        at.and_then(|at| self.remove(at)).ok_or(TooMany)
    }

    /// Takes out one job. Whose last job it was has no turn any more.
    fn remove(&mut self, at: usize) -> Option<J> {
        let Waiting { network, entry, job } = self.jobs.remove(at)?;
        if !self.jobs.iter().any(|other| other.network == network) {
            self.networks.retain(|other| *other != network);
        }
        if !self.jobs.iter().any(|other| other.entry == entry) {
            self.entries.retain(|other| *other != entry);
        }
        Some(job)
    }
}

fn to_the_back<T: PartialEq>(turns: &mut VecDeque<T>, one: &T) {
    if let Some(served) = turns.iter().position(|other| other == one).and_then(|at| turns.remove(at)) {
        turns.push_back(served);
    }
}

/// The value that comes most often, and how often: of several such values, the one that came last.
fn most<T: Copy + Eq + Hash>(values: impl Iterator<Item = T>) -> Option<(T, usize)> {
    let mut counts = HashMap::new();
    for (at, value) in values.enumerate() {
        let (count, last) = counts.entry(value).or_insert((0, 0));
        (*count, *last) = (*count + 1, at);
    }
    let (value, (count, _)) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some((value, count))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(number: u16) -> Network {
        let [high, low] = number.to_be_bytes();
        IpAddr::from([10, 0, high, low]).into()
    }

    fn name(name: &str) -> Entry {
        Entry::Name(name.into())
    }

    fn empty<J>(mut lanes: Lanes<J>) {
        while lanes.pop().is_some() {}
        assert!(lanes.jobs.is_empty() && lanes.networks.is_empty() && lanes.entries.is_empty());
    }

    #[test]
    fn networks_take_turns_and_the_one_with_the_most_jobs_makes_room() {
        let mut lanes = Lanes::new(256);
        for number in 0..256 {
            assert_eq!(lanes.push(network(1), name("a"), number), Ok(None));
        }
        assert_eq!(lanes.push(network(1), name("a"), 256), Err(TooMany));
        assert_eq!(lanes.push(network(2), name("a"), 1_000), Ok(Some(255)), "the newest of the flood");
        assert_eq!(lanes.jobs.len(), 256);
        assert_eq!(
            [lanes.pop(), lanes.pop()],
            [Some(0), Some(1_000)],
            "second, although hundreds came before"
        );
        empty(lanes);
    }

    /// 300 networks that know one name keep out nobody with another name.
    #[test]
    fn names_take_turns_too() {
        let mut lanes = Lanes::new(256);
        for number in 0..256 {
            assert_eq!(lanes.push(network(number), name("attacked"), number), Ok(None));
        }
        for number in 256..300 {
            assert_eq!(lanes.push(network(number), name("attacked"), number), Err(TooMany));
        }
        assert_eq!(lanes.push(network(1_000), name("other"), 1_000), Ok(Some(255)));
        assert_eq!([lanes.pop(), lanes.pop()], [Some(0), Some(1_000)]);
        empty(lanes);
    }

    /// A flood of one network with all names there are, beside another network with one of the names.
    #[test]
    fn many_names_are_no_more_turns_for_a_network() {
        let mut lanes = Lanes::new(256);
        for number in 0..256 {
            assert_eq!(lanes.push(network(1), name(&number.to_string()), number), Ok(None));
        }
        assert_eq!(lanes.push(network(1), name("one more"), 256), Err(TooMany));
        assert_eq!(lanes.push(network(2), name("0"), 1_000), Ok(Some(255)));
        let first: Vec<_> = (0..3).filter_map(|_| lanes.pop()).collect();
        assert!(first.contains(&1_000), "{first:?}");
        empty(lanes);
    }

    /// Within a flood of one name from many networks, a network with few jobs still gets in.
    #[test]
    fn within_a_flood_the_network_with_the_most_jobs_makes_room() {
        let mut lanes = Lanes::new(256);
        for number in 0..256 {
            assert_eq!(lanes.push(network(number % 64), name("attacked"), number), Ok(None));
        }
        let lost = lanes.push(network(1_000), name("attacked"), 1_000);
        assert!(matches!(lost, Ok(Some(192..256))), "{lost:?}");
        let place = (0..256).find(|_| lanes.pop() == Some(1_000));
        assert!(place.is_some_and(|place| place <= 64), "{place:?}");
        empty(lanes);
    }
}
