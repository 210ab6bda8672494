//! What waits to be verified, in lanes: one for each network. Networks take turns, so a network with a flood keeps nobody else waiting.

use std::collections::{HashMap, VecDeque};

use rcs_proto::driver::shares::Network;

/// As much waits as may wait, and the sender's network has the most of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// The lanes of one queue.
#[derive(Debug)]
pub(super) struct Lanes<J> {
    lanes: HashMap<Network, VecDeque<J>>,
    /// The networks of the lanes, in the order of their turns.
    turns: VecDeque<Network>,
    length: usize,
    most: usize,
}

impl<J> Lanes<J> {
    /// Empty lanes, for at most `most` jobs together.
    pub(super) fn new(most: usize) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), length: 0, most }
    }

    /// Queues a job. If the queue is full, the network with the most jobs loses its newest one, which is returned. Whoever waits for the
    /// lost job learns of the loss when the job is dropped.
    ///
    /// # Errors
    /// [`TooMany`]: the job belongs to the network with the most jobs.
    pub(super) fn push(&mut self, from: Network, job: J) -> Result<Option<J>, TooMany> {
        let mut lost = None;
        if self.length >= self.most {
            let longest = self.lanes.iter().max_by_key(|(_, lane)| lane.len());
            let Some((network, length)) = longest.map(|(network, lane)| (*network, lane.len())) else {
                return Err(TooMany);
            };
            let own = self.lanes.get(&from).map_or(0, VecDeque::len);
            if own + 1 >= length {
                return Err(TooMany);
            }
            lost = self.lanes.get_mut(&network).and_then(VecDeque::pop_back);
            self.length -= 1;
        }
        let lane = self.lanes.entry(from).or_default();
        if lane.is_empty() {
            self.turns.push_back(from);
        }
        lane.push_back(job);
        self.length += 1;
        Ok(lost)
    }

    /// The next job.
    pub(super) fn pop(&mut self) -> Option<J> {
        let network = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&network)?;
        let job = lane.pop_front()?;
        self.length -= 1;
        match lane.is_empty() {
            true => drop(self.lanes.remove(&network)),
            false => self.turns.push_back(network),
        }
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(number: u8) -> Network {
        IpAddr::from([10, 0, 0, number]).into()
    }

    #[test]
    fn networks_take_turns_and_the_one_with_the_most_jobs_makes_room() {
        let mut lanes = Lanes::new(256);
        for number in 0..256 {
            assert_eq!(lanes.push(network(1), number), Ok(None));
        }
        assert_eq!(lanes.push(network(1), 256), Err(TooMany));
        assert_eq!(lanes.push(network(2), 1_000), Ok(Some(255)), "the newest of the flood made room");
        assert_eq!(lanes.length, 256);
        assert_eq!(
            [lanes.pop(), lanes.pop()],
            [Some(0), Some(1_000)],
            "second, although hundreds came before"
        );
        while lanes.pop().is_some() {}
        assert!(lanes.lanes.is_empty() && lanes.turns.is_empty() && lanes.length == 0);
    }
}
