//! Sync: a stream of changes and an end, and the question for the newest token (WIRE 5.3).

use rcs_proto::icf::{SyncDelta, SyncDeltaType, Value};
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::{self as m, OperationRequest, OperationResponse};

use super::ResultSink;
use super::convert;
use super::failure::Failure;
use crate::connector::Connector;

/// Runs a sync; the sink gets its changes, and the answer is the end with the newest token.
pub(super) fn run(
    request: &OperationRequest,
    connector: &dyn Connector,
    sink: &mut dyn ResultSink,
) -> Result<OperationResponse, Failure> {
    let request = request.sync.as_ref().and_then(|sync| sync.sync.as_ref());
    let request = request.ok_or_else(Failure::unknown_operation)?;
    let class = convert::object_class(&request.object_class)?;
    let token = match &request.token {
        Some(token) => convert::optional("token", &token.value)?,
        None => None,
    };
    // "From the beginning" cannot be said remotely: Java's executor fails with these words too (WIRE 5.1).
    let token = token.filter(|token| *token != Value::Null).ok_or_else(|| Failure::missing("value"))?;
    let options = convert::options(&request.options)?;
    let mut sequence = 0;
    let newest = connector.sync(&class, &token, &options, &mut |delta| {
        sequence += 1;
        sink.send(delta_response(sequence, delta))
    })?;
    let sync_token = newest.as_ref().map(convert::token_message);
    Ok(response(m::sync_op_response::Sync { sequence, sync_token, sync_delta: None }))
}

/// The newest token of a class.
pub(super) fn latest_token(
    request: &OperationRequest,
    connector: &dyn Connector,
) -> Result<OperationResponse, Failure> {
    let request = request.sync.as_ref().and_then(|sync| sync.latest_sync_token.as_ref());
    let request = request.ok_or_else(Failure::unknown_operation)?;
    let class = convert::object_class(&request.object_class)?;
    let sync_token = connector.latest_sync_token(&class)?.as_ref().map(convert::token_message);
    let latest = m::sync_op_response::LatestSyncToken { sync_token };
    let sync = m::SyncOpResponse { sync: None, latest_sync_token: Some(latest) };
    Ok(OperationResponse { sync: Some(sync), ..Default::default() })
}

fn delta_response(sequence: i64, delta: SyncDelta) -> OperationResponse {
    let delta_type = match delta.delta_type {
        SyncDeltaType::CreateOrUpdate => m::sync_delta::DeltaType::CreateOrUpdate,
        SyncDeltaType::Delete => m::sync_delta::DeltaType::Delete,
        SyncDeltaType::Create => m::sync_delta::DeltaType::Create,
        SyncDeltaType::Update => m::sync_delta::DeltaType::Update,
    };
    let message = m::SyncDelta {
        token: Some(convert::token_message(&delta.token)),
        delta_type: delta_type.into(),
        previous_uid: delta.previous_uid.map(convert::uid_message),
        object_class: delta.object_class.0,
        uid: Some(convert::uid_message(delta.uid)),
        connector_object: delta.object.map(|object| object.attributes.encode()).unwrap_or_default(),
    };
    response(m::sync_op_response::Sync { sequence, sync_token: None, sync_delta: Some(message) })
}

fn response(sync: m::sync_op_response::Sync) -> OperationResponse {
    let sync = m::SyncOpResponse { sync: Some(sync), latest_sync_token: None };
    OperationResponse { sync: Some(sync), ..Default::default() }
}
