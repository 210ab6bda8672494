//! Answers that scripted members give.

use rcs_proto::messages::{OperationResponse, TestOpResponse};

/// The answer to a `test` that went well.
pub(crate) fn test_done() -> OperationResponse {
    OperationResponse { test: Some(TestOpResponse {}), ..OperationResponse::default() }
}

