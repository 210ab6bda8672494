//! The steps of a call and of a socket that more than one room takes, each in one place: a retry and a free place (`settle`) and a
//! dying socket take the same steps as a fresh call (`way`). `way`, `upkeep` and `settle` call steps. A step may call another
//! step, without circles, and calls none of these three rooms.

mod abandon;
mod agree;
mod blame;
mod close;
mod end;
mod explain;
mod forward;
mod hedge;
mod in_use;
mod infos;
mod judge;
mod place;
mod probe;
mod proof;
mod send;
mod state;

pub(super) use self::close::Unsent;
pub(super) use self::place::Found;
