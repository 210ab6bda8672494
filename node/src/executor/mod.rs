//! Runs a caller's operations on connectors: [`OperationRequest`] in, [`OperationResponse`]s out.
//!
//! This part is blocking and knows neither sockets nor tokio: a call comes with a [`ResultSink`] for the frames before its
//! last one. `crate::pool` puts it on threads. One file a family of operations; what Java's own executor checks before it
//! asks a connector is checked here, so that connectors need not.

mod convert;
mod facades;
mod failure;
mod search;
mod sync;
#[cfg(test)]
mod tests;
mod unary;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::{OperationRequest, OperationResponse};
use rcs_proto::operation::Operation;
use rcs_proto::time::Moment;

pub use failure::Failure;

use crate::connector::{Flow, Registry};
use facades::{FacadeHandle, Facades};

/// Takes the frames of a search or sync that come before the last one, in order. May block: that is what slows a connector
/// down to the pace of its caller.
pub trait ResultSink {
    /// The next frame; [`Flow::Stop`] once the caller has cancelled or is gone.
    fn send(&mut self, response: OperationResponse) -> Flow;
}

/// The connectors of this node with the instances that callers have configured. The mutex guards no invariant that a panic
/// could break: each step leaves whole entries.
pub struct Executor {
    registry: Registry,
    facades: Mutex<Facades>,
    connector_infos: Bytes,
}

impl Executor {
    /// An executor for these connectors.
    pub fn new(registry: Registry) -> Self {
        let infos: Vec<ConnectorInfo> = registry.factories().map(|factory| factory.info()).collect();
        Self { connector_infos: infos.encode(), registry, facades: Mutex::default() }
    }

    /// The answer to CONNECTOR_INFO: a legacy `List` of `ConnectorInfo` (WIRE 4.4), encoded once.
    pub fn connector_infos(&self) -> Bytes {
        self.connector_infos.clone()
    }

    /// Finds, or opens, the connector that a call is for. Does not block.
    ///
    /// # Errors
    /// [`Failure`], which ends the call (WIRE 5.1).
    pub fn prepare(&self, request: OperationRequest, now: Moment) -> Result<Call, Failure> {
        let key = convert::connector_key(&request);
        let factory = self.registry.find(&key).ok_or_else(|| Failure::connector_not_found(&key))?;
        let operation = operation(&request);
        if operation == Operation::Unknown {
            return Err(Failure::unknown_operation());
        }
        let mut facades = self.facades.lock().unwrap_or_else(PoisonError::into_inner);
        let facade = facades.open(key, &request.connector_facade_key, factory.as_ref(), now)?;
        let time_limit = unary::api_name(operation).and_then(|name| facade.time_limit(name));
        Ok(Call { facade: facade.handle(), operation, time_limit, request })
    }

    /// Forgets instances that nobody has used for long.
    pub fn drop_idle(&self, now: Moment) {
        self.facades.lock().unwrap_or_else(PoisonError::into_inner).drop_idle(now);
    }
}

/// A call that is ready to run.
pub struct Call {
    request: OperationRequest,
    operation: Operation,
    facade: FacadeHandle,
    time_limit: Option<Duration>,
}

impl Call {
    /// What it does.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The number of the call's configuration. Each configuration has a number of its own, which is never used again.
    pub fn configuration(&self) -> u64 {
        self.facade.configuration
    }

    /// The connector's name, for the log.
    pub fn connector_name(&self) -> Arc<str> {
        self.facade.connector_name.clone()
    }

    /// How long the caller's configuration lets it take (WIRE 5.1: the timeouts travel in the facade key). None for
    /// streams, whose pace is the caller's own.
    pub fn time_limit(&self) -> Option<Duration> {
        self.time_limit
    }

    /// Runs it to its end and gives its last frame. Blocks as long as the connector does.
    ///
    /// # Errors
    /// [`Failure`], which ends the call (WIRE 5.1).
    pub fn run(&self, sink: &mut dyn ResultSink) -> Result<OperationResponse, Failure> {
        let connector = self.facade.connector.as_ref();
        match self.operation {
            Operation::Search => search::run(&self.request, connector, sink),
            Operation::Sync => sync::run(&self.request, connector, sink),
            Operation::LatestSyncToken => sync::latest_token(&self.request, connector),
            operation => unary::run(operation, &self.request, connector),
        }
    }
}

/// The operation that Java would run; with several set, the first in its own order (WIRE 2).
fn operation(request: &OperationRequest) -> Operation {
    let set = [
        (request.configuration_change.is_some(), Operation::ConfigurationChange),
        (request.batch.is_some(), Operation::Batch),
        (request.authenticate.is_some(), Operation::Authenticate),
        (request.create.is_some(), Operation::Create),
        (request.connector_event_subscription.is_some(), Operation::ConnectorEventSubscription),
        (request.delete.is_some(), Operation::Delete),
        (request.get.is_some(), Operation::Get),
        (request.resolve_username.is_some(), Operation::ResolveUsername),
        (request.schema.is_some(), Operation::Schema),
        (request.script_on_connector.is_some(), Operation::ScriptOnConnector),
        (request.script_on_resource.is_some(), Operation::ScriptOnResource),
        (request.search.is_some(), Operation::Search),
        (request.sync.as_ref().is_some_and(|sync| sync.sync.is_none()), Operation::LatestSyncToken),
        (request.sync.is_some(), Operation::Sync),
        (request.sync_event_subscription.is_some(), Operation::SyncEventSubscription),
        (request.test.is_some(), Operation::Test),
        (request.update.is_some(), Operation::Update),
        (request.validate.is_some(), Operation::Validate),
    ];
    set.into_iter().find(|(is_set, _)| *is_set).map_or(Operation::Unknown, |(_, operation)| operation)
}
