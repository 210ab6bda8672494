//! rcs-tests
