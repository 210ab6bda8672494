//! The facade key: a connector's whole configuration as base64 text (LEGACY section 8). It holds secrets: never log it, and
//! never re-encode it on its way, because servers cache by its text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::error::LegacyError;
use super::wire::Wire;
use crate::icf::ApiConfiguration;

/// Reads `connectorFacadeKey`, as strictly as Java's decoder: no blanks, padding needed.
///
/// # Errors
/// If it is not base64, or not of one configuration.
pub fn decode(key: &[u8]) -> Result<ApiConfiguration, LegacyError> {
    let blob = STANDARD.decode(key).map_err(|_| LegacyError::Base64)?;
    ApiConfiguration::decode(&blob)
}

/// The key of a configuration. Two encodings of one configuration are the same, if its members have the same order.
pub fn encode(configuration: &ApiConfiguration) -> Bytes {
    STANDARD.encode(configuration.encode()).into()
}
