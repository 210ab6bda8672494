//! One way of one connection: reads units, gives each its time of arrival, and writes it as the weather lets it.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::trap::Sight;
use super::units::{Unit, Units};
use super::{Hole, Shared, Sky, Way, lock};

/// Units on their way; over it the sender is not read, as with a full pipe.
const UNITS_ON_THE_WAY: usize = 1024;
/// Room for one read.
const READ_BYTES: usize = 64 << 10;

/// A thin line may be ahead of its time by so much: sleeps are not exact.
const BURST: Duration = Duration::from_millis(20);

/// Why a connection does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The trap sprang on it.
    Cut,
    /// One side is gone.
    Broken,
}

impl From<io::Error> for Stopped {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Moves bytes until the sender ends them, which the receiver is told.
pub(super) async fn run(way: Way, from: &TcpStream, to: &TcpStream, shared: &Shared) -> Result<(), Stopped> {
    let (sent, mut arriving) = mpsc::channel(UNITS_ON_THE_WAY);
    let reading = async move {
        let mut units = Units::default();
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            from.readable().await?;
            match from.try_read_buf(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            while let Some(unit) = units.next(&mut buffer) {
                if unit.is_call() && way == Way::In {
                    *lock(&shared.last_call) = Some(Instant::now());
                }
                if sent.send((arrival(shared, way), unit)).await.is_err() {
                    return Ok(());
                }
            }
        }
        // What is left of a unit that will never be whole.
        let rest = Unit::of_unknown(buffer.split().freeze());
        let _ = sent.send((arrival(shared, way), rest)).await;
        Ok::<(), Stopped>(())
    };
    let writing = async {
        // When the line is free again, where it is thin.
        let mut free_at = Instant::now();
        while let Some((at, unit)) = arriving.recv().await {
            until(at).await;
            passable(shared, way).await;
            let sight = look(shared, way, &unit);
            match sight {
                Sight::Nothing => {
                    until(free_at).await;
                    let sky = sky(shared, way);
                    write(to, &unit.bytes, &sky).await?;
                    free_at = free_at.max(Instant::now() - BURST) + sky.takes(unit.bytes.len());
                }
                Sight::Caught { bytes, wait, spring } => {
                    let front = unit.bytes.get(..bytes).unwrap_or(&unit.bytes);
                    write(to, front, &Sky::CLEAR).await?;
                    sleep(wait).await;
                    spring();
                    return Err(Stopped::Cut);
                }
            }
        }
        half_close(to);
        Ok(())
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

/// Comes back at that moment. A timer takes a millisecond at least, also for a moment that has passed.
async fn until(at: Instant) {
    if at > Instant::now() {
        sleep_until(at).await;
    }
}

/// Comes back once nothing stands in that way.
pub(super) async fn passable(shared: &Shared, way: Way) {
    let mut weather = shared.weather.subscribe();
    // The sender is part of what is shared, so it outlives this.
    let _ = weather.wait_for(|weather| weather.of(way).hole == Hole::Open).await;
}

/// FIN: no more bytes go there.
pub(super) fn half_close(stream: &TcpStream) {
    // A connection that is gone has got more than that.
    let _ = socket2::SockRef::from(stream).shutdown(Shutdown::Write);
}

fn look(shared: &Shared, way: Way, unit: &Unit) -> Sight {
    let mut trap = lock(&shared.trap);
    match trap.take() {
        None => Sight::Nothing,
        Some(mut set) => match set.look(way, unit) {
            true => set.catch(unit),
            false => {
                *trap = Some(set);
                Sight::Nothing
            }
        },
    }
}

fn sky(shared: &Shared, way: Way) -> Sky {
    *shared.weather.borrow().of(way)
}

fn arrival(shared: &Shared, way: Way) -> Instant {
    let Sky { latency, jitter, .. } = sky(shared, way);
    let extra = if jitter.is_zero() { Duration::ZERO } else { jitter.mul_f64(lock(&shared.dice).f64()) };
    Instant::now() + latency + extra
}

async fn write(to: &TcpStream, mut bytes: &[u8], sky: &Sky) -> Result<(), Stopped> {
    while !bytes.is_empty() {
        let most = sky.slice.unwrap_or(bytes.len()).clamp(1, bytes.len());
        to.writable().await?;
        match to.try_write(bytes.get(..most).unwrap_or(bytes)) {
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                if sky.slice.is_some() {
                    // So that the slices travel alone.
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
