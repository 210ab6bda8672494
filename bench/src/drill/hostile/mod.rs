//! Attackers of a router, each a thread that does one kind of harm again and again, while others use the router.
//!
//! The attackers: [`strangers`] reach a port and have no key; a bad [`caller`] has the callers' key; a bad [`member`] is in the provider
//! document; slow [`admin`] clients reach the admin address. Attackers use sockets and know nothing of the router inside. Attackers never
//! fail: what the router refuses or closes, they begin anew.

mod admin;
mod caller;
mod member;
mod strangers;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rcs_cli::{Exit, Failure};

pub(super) use member::BadMember;

/// Attackers stand for many other machines. So their threads run at a low priority, behind the processes whose answers are timed.
const NICE: i32 = 19;
/// How often a resting attacker looks whether the attack is over.
const REST_SLICE: Duration = Duration::from_millis(50);

/// What is attacked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Where callers connect.
    pub(super) listen: SocketAddr,
    /// Where operators, probes and agents connect.
    pub(super) admin: SocketAddr,
}

/// What an attacker does until the attack is over.
type Attacker = fn(&Target, &Attack);

/// The attackers of the drill, by what they do. The bad member has a value of its own ([`BadMember`]).
const ATTACKERS: [(&str, Attacker); 11] = [
    ("silent_connections", strangers::silent),
    ("slow_upgrades", strangers::slow_upgrades),
    ("wrong_keys", strangers::wrong_keys),
    ("half_messages", caller::half_messages),
    ("half_handshakes", caller::half_handshakes),
    ("unread_pongs", caller::unread_pongs),
    ("lists_asked_for", caller::lists),
    ("long_lists_of_ids", caller::long_checks),
    ("slow_heads", admin::slow_heads),
    ("slow_reports", admin::slow_reports),
    ("foreign_posts", admin::foreign_posts),
];

/// What attackers share: whether the attack goes on, and how often each harm was done.
pub(super) struct Attack {
    name: &'static str,
    is_over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Attack {
    /// Whether the attacker goes on.
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Counts that a harm was done once more.
    fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Rests for this time, or until the attack is over.
    fn rest(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.goes_on() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(REST_SLICE));
        }
    }
}

/// Attackers at work. They end with this value.
pub(super) struct Mix {
    is_over: Arc<AtomicBool>,
    done: Vec<(&'static str, Arc<AtomicU64>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Mix {
    /// Starts all attackers, the bad member among them.
    pub(super) fn start(target: Target, member: BadMember) -> Result<Self, Failure> {
        let mut mix = Self { is_over: Arc::default(), done: Vec::new(), threads: Vec::new() };
        for (name, attacker) in ATTACKERS {
            mix.add(name, move |attack| attacker(&target, attack))?;
        }
        mix.add("bad_member_frames", move |attack| member.attack(attack))?;
        Ok(mix)
    }

    fn add(
        &mut self,
        name: &'static str,
        attacker: impl FnOnce(&Attack) + Send + 'static,
    ) -> Result<(), Failure> {
        let done = Arc::new(AtomicU64::new(0));
        let attack = Attack { name, is_over: Arc::clone(&self.is_over), done: Arc::clone(&done) };
        self.done.push((name, done));
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // On Linux the priority is that of this thread alone. Without a low priority the drill is only less fair.
            let _ = rustix::process::setpriority_process(None, NICE);
            attacker(&attack);
        });
        let no_thread = |error| Exit::Internal.with(format!("no thread for {name}: {error}"));
        self.threads.push(thread.map_err(no_thread)?);
        Ok(())
    }

    /// Ends the attack; returns how often each harm was done.
    pub(super) fn end(mut self) -> BTreeMap<&'static str, u64> {
        self.stop();
        self.done.iter().map(|(name, done)| (*name, done.load(Ordering::Relaxed))).collect()
    }

    fn stop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // An attacker that panicked has a fault of its own; the drill reads it from the attacker's count.
            let _ = thread.join();
        }
    }
}

impl Drop for Mix {
    fn drop(&mut self) {
        self.stop();
    }
}
