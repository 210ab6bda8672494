//! Parts of requests that handlers read. What cannot be read is refused in JSON, as every other refusal.

use axum::extract::{FromRequestParts, Path as PathOf, Query as QueryOf};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::refusal;

/// The names in the path of a request.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

/// The query parameters of a request.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

/// Why a part of a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// A segment is no UTF-8, or no number where a number has to be.
    #[error("the path is not understood: {0}. Percent-encode the names in the path")]
    Path(String),
    #[error("unknown or malformed query parameter: {0}. See GET /v1/openapi.json")]
    Query(String),
}

impl IntoResponse for Unread {
    fn into_response(self) -> Response {
        refusal(StatusCode::BAD_REQUEST, self)
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Unread;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Unread> {
        let read = PathOf::<T>::from_request_parts(parts, state).await;
        read.map(|PathOf(names)| Self(names)).map_err(|error| Unread::Path(error.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Unread;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Unread> {
        let read = QueryOf::<T>::from_request_parts(parts, state).await;
        read.map(|QueryOf(found)| Self(found)).map_err(|error| Unread::Query(error.body_text()))
    }
}
