//! One connection through the proxy.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::flow::{self, Stopped};
use super::{Newcomers, Order, Shared, Way, lock, reset};

/// How a connection ends.
enum End {
    Quiet,
    Reset,
}

/// Leads one connection to the member, to its end.
pub(super) async fn run(number: u64, near: TcpStream, shared: Arc<Shared>) {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    lock(&shared.links).insert(number, orders);
    let _listed = Listed { number, shared: &shared };
    let _ = near.set_nodelay(true);
    if shared.weather.borrow().newcomers == Newcomers::Refused {
        return reset(&near);
    }
    flow::passable(&shared, Way::In).await;
    let target = *lock(&shared.target);
    let Ok(far) = TcpStream::connect(target).await else { return reset(&near) };
    let _ = far.set_nodelay(true);
    if let End::Reset = lead(&near, &far, &shared, &mut ordered).await {
        reset(&near);
        reset(&far);
    }
}

async fn lead(
    near: &TcpStream,
    far: &TcpStream,
    shared: &Shared,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> End {
    let both = async {
        tokio::try_join!(flow::run(Way::In, near, far, shared), flow::run(Way::Out, far, near, shared))
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
                Some(Order::HalfClose) => flow::half_close(near),
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
