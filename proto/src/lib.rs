//! Every byte format of the OpenICF remote protocol, and the session protocol as a state machine without I/O.

pub mod icf;
pub mod messages;
