//! Answers in JSON.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer in JSON. Callers and members chose some of its texts, and a person may look at the answer in a terminal: so control characters
/// are escaped, beyond those for which JSON demands it.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        text(&self.0, "application/json")
    }
}

/// The same as a content of this type.
pub(super) fn text<T: Serialize>(value: &T, content_type: &'static str) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => {
            let text = rcs_cli::printable::line(&text).into_owned();
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
