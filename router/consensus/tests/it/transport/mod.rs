//! The real transport, over TCP on the loopback.

mod arriving;
mod honest;
mod hostile;
mod loss;
mod rig;
mod snapshots;
