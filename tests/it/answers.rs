//! Calls that scripted IDMs make, and answers that scripted members give.

use bytes::Bytes;
use rcs_proto::messages::{
    ConnectorObject, CreateOpRequest, CreateOpResponse, OperationRequest, OperationResponse, SearchOpRequest,
    SearchOpResponse, Uid, ValidateOpResponse,
};
use rcs_rig::scripted::request;

const ACCOUNT: &str = "__ACCOUNT__";

/// A `create`.
pub(crate) fn create_request() -> OperationRequest {
    let create = CreateOpRequest { object_class: ACCOUNT.to_owned(), ..CreateOpRequest::default() };
    OperationRequest { create: Some(create), ..request() }
}

/// A `search` for everything.
pub(crate) fn search_request() -> OperationRequest {
    let search = SearchOpRequest { object_class: ACCOUNT.to_owned(), ..SearchOpRequest::default() };
    OperationRequest { search: Some(search), ..request() }
}

/// Row `sequence` of a search.
pub(crate) fn row(sequence: i64) -> OperationResponse {
    row_of(sequence, Bytes::from_static(b"attributes"))
}

/// Row `sequence` of a search with these bytes for attributes.
pub(crate) fn row_of(sequence: i64, attributes: Bytes) -> OperationResponse {
    let object = ConnectorObject { object_class: ACCOUNT.to_owned(), attributes };
    let row = SearchOpResponse { sequence, connector_object: Some(object), result: None };
    OperationResponse { search: Some(row), ..OperationResponse::default() }
}

/// The end of a search after `count` rows, without a result.
pub(crate) fn end_of_rows(count: i64) -> OperationResponse {
    let end = SearchOpResponse { sequence: count, connector_object: None, result: None };
    OperationResponse { search: Some(end), ..OperationResponse::default() }
}

/// The answer to a `validate` that went well.
pub(crate) fn validated() -> OperationResponse {
    OperationResponse { validate: Some(ValidateOpResponse {}), ..OperationResponse::default() }
}

/// The answer to a `create` that went well.
pub(crate) fn created(uid: &str) -> OperationResponse {
    let uid = Uid { value: uid.to_owned(), revision: String::new() };
    OperationResponse { create: Some(CreateOpResponse { uid: Some(uid) }), ..OperationResponse::default() }
}
