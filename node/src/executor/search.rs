//! Search: a stream of objects and an end (WIRE 5.3).

use rcs_proto::icf::{ConnectorObject, SearchResult};
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::{self as m, OperationRequest, OperationResponse};

use super::ResultSink;
use super::convert;
use super::failure::Failure;
use crate::connector::Connector;

/// Runs a search; the sink gets its objects, and the answer is the end.
pub(super) fn run(
    request: &OperationRequest,
    connector: &dyn Connector,
    sink: &mut dyn ResultSink,
) -> Result<OperationResponse, Failure> {
    let request = request.search.as_ref().ok_or_else(Failure::unknown_operation)?;
    let class = convert::one_object_class(&request.object_class)?;
    let filter = convert::optional("filter", &request.filter)?;
    let options = convert::options(&request.options)?;
    let mut sequence = 0;
    let result = connector.search(&class, filter.as_ref(), &options, &mut |object| {
        sequence += 1;
        sink.send(object_response(sequence, &object))
    })?;
    let end = m::SearchOpResponse { sequence, result: result.map(result_message), connector_object: None };
    Ok(OperationResponse { search: Some(end), ..Default::default() })
}

fn object_response(sequence: i64, object: &ConnectorObject) -> OperationResponse {
    let object = m::ConnectorObject {
        object_class: object.object_class.0.clone(),
        attributes: object.attributes.encode(),
    };
    let search = m::SearchOpResponse { sequence, result: None, connector_object: Some(object) };
    OperationResponse { search: Some(search), ..Default::default() }
}

fn result_message(result: SearchResult) -> m::SearchResult {
    let policy = match result.total_paged_results {
        total if total < 0 => m::search_result::CountPolicy::None,
        _ => m::search_result::CountPolicy::Exact,
    };
    m::SearchResult {
        paged_results_cookie: result.paged_results_cookie.unwrap_or_default(),
        total_paged_results_policy: policy.into(),
        total_paged_results: result.total_paged_results,
        remaining_paged_results: result.remaining_paged_results,
    }
}
