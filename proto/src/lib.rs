//! Every byte format of the OpenICF remote protocol, and the session protocol as a state machine without I/O; besides, with the
//! feature `manifest`, how the files of an RCS are told to routers.

#[cfg(feature = "driver")]
pub mod driver;
pub mod envelope;
pub mod frames;
pub mod icf;
pub mod legacy;
pub mod limits;
#[cfg(feature = "manifest")]
pub mod manifest;
pub mod messages;
pub mod operation;
pub mod session;
pub mod time;
pub mod wire;
pub mod withheld;
