//! rcs-bench
