//! Every bound of the node, in one place (promise P10).

/// Largest properties file, in bytes.
pub const PROPERTIES_BYTES: usize = 256 << 10;
