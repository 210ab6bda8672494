//! Verifies keys on threads of its own. To verify a key takes some 20 ms of a processor, so whoever sends wrong keys could keep all
//! processors busy. Therefore few threads verify, at the lowest priority that still makes progress. Networks take turns, and what waits is
//! bounded. After a wrong key a thread rests as long as the key took.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rcs_proto::driver::shares::Network;
use rcs_proto::icf::Secret;
use tokio::sync::oneshot;

use super::hash::{Hash, Memory};
use super::memo::{Known, Memo};
use crate::limits::{VERIFIED_QUEUE_MAX, VERIFIER_NICE, VERIFIER_THREADS_MAX};

/// As many keys wait to be verified as may wait, and the sender's network has the most of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// The threads. Dropping this value ends them.
pub(super) struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    memo: Memo,
    queue: Mutex<Queue>,
    /// Notified when a key waits, or when the threads are to end.
    changed: Condvar,
}

/// A key that is to be verified.
struct Job {
    hashes: Vec<Arc<Hash>>,
    key: Secret<String>,
    answer: oneshot::Sender<bool>,
}

#[derive(Default)]
struct Queue {
    lanes: HashMap<Network, VecDeque<Job>>,
    /// The networks of the lanes, in the order of their turns.
    turns: VecDeque<Network>,
    length: usize,
    is_over: bool,
}

impl Queue {
    /// If the queue is full, the network with the most keys loses its newest one.
    fn push(&mut self, from: Network, job: Job) -> Result<(), TooMany> {
        if self.length >= VERIFIED_QUEUE_MAX {
            let longest = self.lanes.iter().max_by_key(|(_, lane)| lane.len());
            let Some((network, length)) = longest.map(|(network, lane)| (*network, lane.len())) else {
                return Err(TooMany);
            };
            let own = self.lanes.get(&from).map_or(0, VecDeque::len);
            if own + 1 >= length {
                return Err(TooMany);
            }
            // Whoever waits for the answer learns of the drop.
            drop(self.lanes.get_mut(&network).and_then(VecDeque::pop_back));
            self.length -= 1;
        }
        let lane = self.lanes.entry(from).or_default();
        if lane.is_empty() {
            self.turns.push_back(from);
        }
        lane.push_back(job);
        self.length += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<Job> {
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

impl Verifier {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system has no random numbers, or refuses a thread.
    pub(super) fn start() -> io::Result<Self> {
        let memo = Memo::new().map_err(|_| io::Error::other("the operating system has no random numbers"))?;
        let shared = Arc::new(Shared { memo, queue: Mutex::default(), changed: Condvar::new() });
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        for _ in 0..(processors / 4).clamp(1, VERIFIER_THREADS_MAX) {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("keys".to_owned()).spawn(move || shared.work())?;
        }
        Ok(Self { shared })
    }

    /// Whether `key` is the key of one of these hashes. For a key that was verified before, this returns at once.
    ///
    /// # Errors
    /// [`TooMany`]
    pub(super) async fn verify(
        &self,
        hashes: &[Arc<Hash>],
        key: &Secret<String>,
        from: IpAddr,
    ) -> Result<bool, TooMany> {
        let Shared { memo, .. } = &*self.shared;
        let mut open = Vec::new();
        for hash in hashes {
            match memo.known(hash, key.expose()) {
                Known::Right => return Ok(true),
                Known::Wrong => {}
                Known::Not => open.push(Arc::clone(hash)),
            }
        }
        if open.is_empty() {
            return Ok(false);
        }
        let (answer, answered) = oneshot::channel();
        self.shared.queue().push(from.into(), Job { hashes: open, key: key.clone(), answer })?;
        self.shared.changed.notify_one();
        answered.await.map_err(|_| TooMany)
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.shared.queue().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        // Linux keeps the priority of each thread. If the system refuses, the keys are verified all the same.
        let _ = rustix::process::nice(VERIFIER_NICE);
        let mut memory = Memory::new();
        while let Some(job) = self.next() {
            // The connection may have ended while its key waited.
            if job.answer.is_closed() {
                continue;
            }
            let began = Instant::now();
            let is_right = self.is_right(&job, &mut memory);
            let _ = job.answer.send(is_right);
            if !is_right {
                thread::park_timeout(began.elapsed());
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.is_over {
                return None;
            }
            if let Some(job) = queue.pop() {
                return Some(job);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_right(&self, job: &Job, memory: &mut Memory) -> bool {
        let key = job.key.expose();
        job.hashes.iter().any(|hash| match self.memo.known(hash, key) {
            // Verified while this one waited: an IDM opens several connections at once.
            Known::Right => true,
            Known::Wrong => false,
            Known::Not => {
                let is_right = hash.verify(key, memory);
                self.memo.learn(hash, key, is_right);
                is_right
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> (Job, oneshot::Receiver<bool>) {
        let (answer, answered) = oneshot::channel();
        (Job { hashes: Vec::new(), key: Secret::new(String::new()), answer }, answered)
    }

    fn network(number: u8) -> Network {
        IpAddr::from([10, 0, 0, number]).into()
    }

    #[test]
    fn networks_take_turns_and_the_one_with_the_most_keys_makes_room() {
        let mut queue = Queue::default();
        let mut flood: Vec<_> = (0..VERIFIED_QUEUE_MAX)
            .map(|_| {
                let (job, answered) = job();
                queue.push(network(1), job).unwrap();
                answered
            })
            .collect();
        assert_eq!(queue.push(network(1), job().0), Err(TooMany));
        let (other, mut answered) = job();
        queue.push(network(2), other).unwrap();
        assert!(flood.pop().unwrap().try_recv().is_err(), "the newest of the flood made room");
        assert_eq!(queue.length, VERIFIED_QUEUE_MAX);
        queue.pop().unwrap();
        queue.pop().unwrap().answer.send(true).unwrap();
        assert_eq!(answered.try_recv(), Ok(true), "second, although hundreds came before");
        while queue.pop().is_some() {}
        assert!(queue.lanes.is_empty() && queue.turns.is_empty() && queue.length == 0);
    }

    #[tokio::test]
    async fn a_key_is_verified_once() {
        let verifier = Verifier::start().unwrap();
        let hashes = [Arc::new(Hash::of("old", [1; 16])), Arc::new(Hash::of("new", [2; 16]))];
        let from = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..2 {
            for (key, expected) in [("new", true), ("old", true), ("other", false)] {
                let key = Secret::new(key.to_owned());
                assert_eq!(verifier.verify(&hashes, &key, from).await, Ok(expected));
            }
        }
        let memo = &verifier.shared.memo;
        assert_eq!(memo.known(&hashes[1], "new"), Known::Right);
        assert_eq!([memo.known(&hashes[0], "other"), memo.known(&hashes[1], "other")], [Known::Wrong; 2]);
    }
}
