//! rcs-router
