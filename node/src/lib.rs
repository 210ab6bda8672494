//! rcs-node
