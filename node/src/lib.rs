//! rcs-node

pub mod connector;
pub mod error;
