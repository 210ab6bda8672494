//! What stands between a router and the routers that use members through it: a TCP relay that sees the TLS records of ways, and stops them at a
//! chosen one. Which connection is a way is shown by the first record, which names the protocol in clear (ALPN).

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The protocol that the first record of a way names.
const WAY: &[u8] = b"http/1.1";
/// Bytes before the body of a record: type, version, length.
const HEAD: usize = 5;
/// The type of an encrypted record.
const ENCRYPTED: u8 = 23;
/// Records from this size on carry a call or an answer that a test made large. Pings, probes and cancels are far smaller.
pub(super) const LARGE: usize = 4096;

/// The direction of bytes: towards the router behind the relay, or from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Far,
    Near,
}

/// What passes in one direction of ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Everything.
    Open,
    /// Nothing more.
    Shut,
    /// Everything until the dialler has sent its first encrypted record; then nothing more.
    ShutOnceProved,
    /// Everything up to the first large record. Nothing of the record passes.
    BeforeLarge,
    /// Everything up to the middle of the first large record.
    InLarge,
}

/// The relay. What it leads ends with it.
pub(super) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    is_over: AtomicBool,
}

struct State {
    to_far: Gate,
    to_near: Gate,
    /// Ways that were opened so far.
    ways: usize,
    /// Records that were held back so far.
    held: usize,
    /// Large records that have passed towards the far router.
    large: usize,
    /// Ways opened before this one are cut.
    cut: usize,
}

impl State {
    fn gate(&mut self, to: To) -> &mut Gate {
        match to {
            To::Far => &mut self.to_far,
            To::Near => &mut self.to_near,
        }
    }
}

impl Relay {
    /// A relay on a free port, before that address.
    pub(super) fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = State { to_far: Gate::Open, to_near: Gate::Open, ways: 0, held: 0, large: 0, cut: 0 };
        let shared = Arc::new(Shared {
            target,
            state: Mutex::new(state),
            changed: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || lead(stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// Where other routers reach the router behind the relay.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what passes, from the next record on.
    pub(super) fn set(&self, to: To, gate: Gate) {
        *self.shared.state().gate(to) = gate;
        self.shared.changed.notify_all();
    }

    /// How many records were held back so far.
    pub(super) fn held(&self) -> usize {
        self.shared.state().held
    }

    /// Large records that have passed towards the far router.
    pub(super) fn large(&self) -> usize {
        self.shared.state().large
    }

    /// Ends all ways that are open, with what is held back. What passes of later ones, in each direction, is this.
    pub(super) fn cut(&self, to_far: Gate, to_near: Gate) {
        let mut state = self.shared.state();
        (state.to_far, state.to_near) = (to_far, to_near);
        state.cut = state.ways;
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.cut(Gate::Open, Gate::Open);
        // The accepting thread looks up.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lead(near: TcpStream, shared: &Arc<Shared>) {
    let Ok(far) = TcpStream::connect(shared.target) else { return };
    let outcome = (|| {
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let first = record(&near)?;
        if !first.windows(WAY.len()).any(|bytes| bytes == WAY) {
            (&far).write_all(&first)?;
            let (from, to) = (far.try_clone()?, near.try_clone()?);
            thread::spawn(move || copy(&from, &to));
            copy(&near, &far);
            return Ok(());
        }
        let mut state = shared.state();
        state.ways += 1;
        let number = state.ways;
        drop(state);
        let proved = Arc::new(AtomicBool::new(false));
        let out = Flow {
            from: near.try_clone()?,
            to: far.try_clone()?,
            way: To::Far,
            number,
            proved: Arc::clone(&proved),
        };
        let back = Flow { from: far, to: near, way: To::Near, number, proved };
        let backward = Arc::clone(shared);
        thread::spawn(move || back.run(None, &backward));
        out.run(Some(first), shared);
        io::Result::Ok(())
    })();
    // A connection that cannot be led is as good as a router that is gone.
    drop(outcome);
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// The next TLS record, with its head.
fn record(mut from: &TcpStream) -> io::Result<Vec<u8>> {
    let mut record = vec![0; HEAD];
    from.read_exact(&mut record)?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(HEAD + length, 0);
    from.read_exact(&mut record[HEAD..])?;
    Ok(record)
}

/// One direction of a way.
struct Flow {
    from: TcpStream,
    to: TcpStream,
    way: To,
    /// The way's number, from 1.
    number: usize,
    /// Whether the dialler has sent an encrypted record.
    proved: Arc<AtomicBool>,
}

impl Flow {
    /// Moves records until one side ends, and then ends both.
    fn run(&self, mut first: Option<Vec<u8>>, shared: &Shared) {
        while let Ok(record) = first.take().map_or_else(|| record(&self.from), Ok) {
            let Some(bytes) = self.wait(&record, shared) else { break };
            if (&self.to).write_all(&record[..bytes]).is_err() {
                break;
            }
            if self.way == To::Far && record[0] == ENCRYPTED {
                self.proved.store(true, Ordering::SeqCst);
            }
            if bytes < record.len() {
                // The rest of the record has no way on: the test cuts the way.
                self.hold(shared);
                break;
            }
        }
        for stream in [&self.from, &self.to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until something of the record may pass; how much of it does. Nothing if the way is cut.
    fn wait(&self, record: &[u8], shared: &Shared) -> Option<usize> {
        let mut state = shared.state();
        let is_large = record.len() >= LARGE;
        let is_over = match *state.gate(self.way) {
            Gate::Open => false,
            Gate::Shut => true,
            Gate::BeforeLarge => is_large,
            Gate::ShutOnceProved => self.proved.load(Ordering::SeqCst),
            Gate::InLarge if is_large => {
                *state.gate(self.way) = Gate::Shut;
                return Some(record.len() / 2);
            }
            Gate::InLarge => false,
        };
        if is_over {
            *state.gate(self.way) = Gate::Shut;
            drop(state);
            self.hold(shared)?;
            state = shared.state();
        }
        state.large += usize::from(is_large && self.way == To::Far);
        (state.cut < self.number).then_some(record.len())
    }

    /// Holds what is in hand back until the gate opens. Nothing if the way is cut.
    fn hold(&self, shared: &Shared) -> Option<()> {
        let mut state = shared.state();
        state.held += usize::from(state.cut < self.number);
        while *state.gate(self.way) == Gate::Shut && state.cut < self.number {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (state.cut < self.number).then_some(())
    }
}
