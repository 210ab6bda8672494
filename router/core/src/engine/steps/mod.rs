//! The steps of a call and of a socket that more than one room takes, each in one place. `way`, `upkeep` and `settle` call them;
//! they call each other downwards only, and none of the three.

mod abandon;
mod agree;
mod close;
mod end;
mod explain;
mod infos;
mod judge;
mod place;
mod probe;
mod send;

pub(super) use self::close::Unsent;
pub(super) use self::place::Found;
