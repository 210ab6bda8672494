//! rcs-core
