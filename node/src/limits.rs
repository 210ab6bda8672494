//! Every bound of the node, in one place (promise P10).

/// Largest properties file, in bytes.
pub const PROPERTIES_BYTES: usize = 256 << 10;

/// Largest CSV file, in bytes; its content is held in memory about three times over.
pub const CSV_FILE_BYTES: u64 = 256 << 20;

/// How long a writer of a CSV file waits for another writer's lock before its caller is told to try again, in seconds.
pub const CSV_LOCK_WAIT_SECONDS: u64 = 10;

/// How often an operation on a CSV file begins again because a program that ignores the lock changed the file meanwhile.
pub const CSV_ATTEMPTS: usize = 5;
