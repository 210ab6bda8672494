//! A real Java IDM as a further caller of a drill with Java members: what it counted is held against the journal too.
//!
//! It cannot be told to stop, so it calls for a moment, again and again, for as long as the load beside it goes on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use tokio::sync::oneshot;
use tokio::task::block_in_place;

use super::GROUP;
use super::sums::{PREFIX, Sums};

/// Calls at a time: half of them read, half create.
pub(super) const CALLS: usize = 4;
/// How long it calls at a stretch, seconds, behind its own second of warm-up.
const STRETCH: &str = "0.5";
/// IDMs started until one knows the connectors.
const ATTEMPTS: usize = 3;

/// The IDM of a site.
pub(crate) type SharedIdm = Arc<Mutex<Idm>>;

/// Starts an IDM that calls the drill's group with these properties of the rig connector.
pub(crate) fn start(java: &Java, router: SocketAddr, properties: &[(String, String)]) -> SharedIdm {
    let url = format!("ws://{router}/openicf/{GROUP}");
    let words: Vec<String> = properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    block_in_place(|| {
        let mut idm = Idm::start(java, &url);
        // On a machine that is busy enough a 1.8.0 peer may still lose the list when it connects (WIRE 7.1).
        for attempt in 2..=ATTEMPTS {
            if idm.ask("connectors 1 8").starts_with("ok ") {
                break;
            }
            rcs_cli::tell(format_args!("the Java IDM did not learn the connectors; attempt {attempt}"));
            idm = Idm::start(java, &url);
        }
        idm.ok(&format!("use RigConnector {}", words.join(" ")));
        Arc::new(Mutex::new(idm))
    })
}

/// An IDM at work. It ends soon after this value.
pub(crate) struct Calling {
    stop: Arc<AtomicBool>,
    end: oneshot::Receiver<Sums>,
}

impl Calling {
    /// Lets it call. `run` tells its creates from those of other loads.
    pub(crate) fn start(idm: SharedIdm, run: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, end) = oneshot::channel();
        let stopped = stop.clone();
        thread::spawn(move || {
            let mut idm = idm.lock().unwrap_or_else(PoisonError::into_inner);
            let mut sums = Sums::default();
            for stretch in 0u32.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let prefix = format!("{PREFIX}{run}.{stretch}");
                let load = idm.load(&format!("get+create {CALLS} {STRETCH} u0 {prefix}"));
                sums.add(prefix, &load);
            }
            // Nobody asks where the drill was broken off.
            let _ = told.send(sums);
        });
        Self { stop, end }
    }

    /// Ends it; `None` if it ended by itself, which its output on standard error explains.
    pub(crate) async fn finish(mut self) -> Option<Sums> {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.end).await.ok()
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
