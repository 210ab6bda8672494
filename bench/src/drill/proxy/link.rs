//! One connection through the proxy.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::flow::{self, Stopped};
use super::{Dialler, Newcomers, Order, Shared, Way, lock, reset};

/// How a connection ends.
enum End {
    Quiet,
    Reset,
}

/// Leads one connection to the other end, until it ends.
pub(super) async fn run(number: u64, near: TcpStream, shared: Arc<Shared>) {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    lock(&shared.links).insert(number, orders);
    let _listed = Listed { number, shared: &shared };
    let _ = near.set_nodelay(true);
    if shared.weather.borrow().newcomers == Newcomers::Refused {
        return reset(&near);
    }
    let outset = match shared.dialler {
        Dialler::Router => Way::In,
        Dialler::Member => Way::Out,
    };
    flow::passable(&shared, outset).await;
    let target = lock(&shared.target).address();
    let Some(target) = target else { return reset(&near) };
    let Ok(far) = TcpStream::connect(target).await else { return reset(&near) };
    let _ = far.set_nodelay(true);
    shared.led.fetch_add(1, Ordering::Relaxed);
    let (router, member) = match shared.dialler {
        Dialler::Router => (&near, &far),
        Dialler::Member => (&far, &near),
    };
    if let End::Reset = lead(router, member, &shared, &mut ordered).await {
        reset(&near);
        reset(&far);
    }
}

async fn lead(
    router: &TcpStream,
    member: &TcpStream,
    shared: &Shared,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> End {
    let both = async {
        tokio::try_join!(
            flow::run(Way::In, router, member, shared),
            flow::run(Way::Out, member, router, shared)
        )
    };
    tokio::pin!(both);
    loop {
        tokio::select! {
            ended = &mut both => return match ended {
                Ok(_) => End::Quiet,
                // As a killed process looks to its peer: FIN, or RST if it had something left to read.
                Err(Stopped::Cut) if lock(&shared.dice).bool() => End::Quiet,
                Err(Stopped::Cut | Stopped::Broken) => End::Reset,
            },
            order = orders.recv() => match order {
                Some(Order::Reset) => return End::Reset,
                Some(Order::Close) | None => return End::Quiet,
                Some(Order::HalfClose) => flow::half_close(router),
            },
        }
    }
}

/// A connection in the list of those that are open.
struct Listed<'a> {
    number: u64,
    shared: &'a Shared,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        lock(&self.shared.links).remove(&self.number);
    }
}
