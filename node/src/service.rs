//! What an endpoint of the node does with calls, whichever end dialled.

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::driver::endpoint::{self, IncomingCall};

use crate::limits::IDLE_CHECK_EVERY;
use crate::pool::{Hanging, Pool};

/// What the endpoint calls.
pub(crate) struct Service(Arc<Pool>);

impl Service {
    /// Runs calls on this pool.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self(pool)
    }
}

impl endpoint::Executor for Service {
    fn connector_infos(&self) -> Bytes {
        self.0.executor().connector_infos()
    }

    fn execute(&self, call: IncomingCall) {
        let pool = self.0.clone();
        tokio::spawn(async move { pool.execute(call.request, (call.responder, call.watch)).await });
    }
}

/// Closes connectors that nobody uses, and reports calls that hang, for ever.
pub(crate) async fn sweep(pool: Arc<Pool>) {
    let mut ticks = tokio::time::interval(IDLE_CHECK_EVERY);
    let mut told = Hanging::default();
    loop {
        ticks.tick().await;
        pool.drop_idle();
        let hanging = pool.hanging();
        if hanging != std::mem::replace(&mut told, hanging) && hanging.calls > 0 {
            let Hanging { calls, configurations } = hanging;
            tracing::warn!(calls, configurations, "{}", hang(calls, configurations));
        }
    }
}

/// What hanging calls mean to an operator.
fn hang(calls: usize, configurations: usize) -> String {
    let word = |count: usize, one: &str| if count == 1 { one.to_owned() } else { format!("{one}s") };
    format!(
        "{calls} {} of {configurations} connector {} did not return by the deadline and still keep{} a thread: find out what the resource \
         waits for (a dead network mount, a pipe). If it cannot be mended, restart this node to free the threads",
        word(calls, "call"),
        word(configurations, "configuration"),
        if calls == 1 { "s" } else { "" },
    )
}
