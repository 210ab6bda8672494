//! Verifies keys and signatures of tokens on threads of its own. To verify a key takes some 20 ms of a processor, so whoever sends wrong keys could keep all
//! processors busy. Therefore few threads verify, at the lowest priority that still makes progress. Networks and names take turns, and what
//! waits is bounded. After a wrong key a thread rests as long as the key took.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rcs_proto::icf::Secret;
use tokio::sync::oneshot;

use super::hash::{Hash, Memory};
use super::lanes::{Entry, Lanes, TooMany};
use super::memo::{Known, Memo};
use crate::limits::{VERIFIED_QUEUE_MAX, VERIFIER_NICE, VERIFIER_THREADS_MAX};

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

struct Queue {
    jobs: Lanes<Job>,
    is_over: bool,
}

/// What is to be verified, together with who waits for the outcome. Returns whether a thread need not rest afterwards.
type Job = Box<dyn FnOnce(&Memo, &mut Memory) -> bool + Send>;

impl Verifier {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system has no random numbers, or refuses a thread.
    pub(super) fn start() -> io::Result<Self> {
        let memo = Memo::new().map_err(|_| no_random())?;
        let queue = Queue { jobs: Lanes::new(VERIFIED_QUEUE_MAX), is_over: false };
        let shared = Arc::new(Shared { memo, queue: Mutex::new(queue), changed: Condvar::new() });
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        for _ in 0..(processors / 4).clamp(1, VERIFIER_THREADS_MAX) {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("keys".to_owned()).spawn(move || shared.work())?;
        }
        Ok(Self { shared })
    }

    /// Whether `key` is the key of one of these hashes, which are those of a name. For a key that was verified before, this returns at once.
    ///
    /// # Errors
    /// [`TooMany`]
    pub(super) async fn verify(
        &self,
        name: &str,
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
        let key = key.clone();
        let entry = Entry::Name(name.into());
        self.run(from, entry, move |memo, memory| is_one_of(&open, key.expose(), memo, memory)).await
    }

    /// Checks a token of this issuer on one of the threads, in the turn of the network that it comes from. After an error the thread rests.
    ///
    /// # Errors
    /// [`TooMany`]
    pub(super) async fn check<T: Send + 'static, E: Send + 'static>(
        &self,
        issuer: &str,
        from: IpAddr,
        check: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, TooMany> {
        self.run(from, Entry::Issuer(issuer.into()), move |_, _| check()).await
    }

    async fn run<T: Outcome + Send + 'static>(
        &self,
        from: IpAddr,
        entry: Entry,
        job: impl FnOnce(&Memo, &mut Memory) -> T + Send + 'static,
    ) -> Result<T, TooMany> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |memo, memory| {
            // The connection may have ended while its job waited.
            if answer.is_closed() {
                return true;
            }
            let outcome = job(memo, memory);
            let is_right = outcome.is_right();
            let _ = answer.send(outcome);
            is_right
        });
        // Whoever waits for a job that makes room learns of the drop.
        drop(self.shared.queue().jobs.push(from.into(), entry, job)?);
        self.shared.changed.notify_one();
        answered.await.map_err(|_| TooMany)
    }
}

/// The operating system has no random numbers.
pub(super) fn no_random() -> io::Error {
    io::Error::other("the operating system has no random numbers")
}

/// What a job found out.
trait Outcome {
    /// Whether what was verified is right.
    fn is_right(&self) -> bool;
}

impl Outcome for bool {
    fn is_right(&self) -> bool {
        *self
    }
}

impl<T, E> Outcome for Result<T, E> {
    fn is_right(&self) -> bool {
        self.is_ok()
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
            let began = Instant::now();
            if !job(&self.memo, &mut memory) {
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
            if let Some(job) = queue.jobs.pop() {
                return Some(job);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn is_one_of(hashes: &[Arc<Hash>], key: &str, memo: &Memo, memory: &mut Memory) -> bool {
    hashes.iter().any(|hash| match memo.known(hash, key) {
        // Verified while this one waited: an IDM opens several connections at once.
        Known::Right => true,
        Known::Wrong => false,
        Known::Not => {
            let is_right = hash.verify(key, memory);
            memo.learn(hash, key, is_right);
            is_right
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_verified_once() {
        let verifier = Verifier::start().unwrap();
        let hashes = [Arc::new(Hash::of("old", [1; 16])), Arc::new(Hash::of("new", [2; 16]))];
        let from = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..2 {
            for (key, expected) in [("new", true), ("old", true), ("other", false)] {
                let key = Secret::new(key.to_owned());
                assert_eq!(verifier.verify("idm", &hashes, &key, from).await, Ok(expected));
            }
        }
        let memo = &verifier.shared.memo;
        assert_eq!(memo.known(&hashes[1], "new"), Known::Right);
        assert_eq!([memo.known(&hashes[0], "other"), memo.known(&hashes[1], "other")], [Known::Wrong; 2]);
    }
}
