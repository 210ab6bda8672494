//! The real transport, over TCP on the loopback.

mod honest;
mod hostile;
mod loss;
mod rig;
mod snapshots;
