//! What time, agents and operators bring about: `tick` (what is due), `links` (the view, dials), `probes` (health checks), `drift`
//! (silent sockets and slow members), `drains` and `rotation` of sockets, `sets` (bundle sets), `agents`, `farewell` (the end).
//!
//! What happens to a call by that is left in the tables as a fault; `settle` judges it.

mod agents;
mod drains;
mod farewell;
mod links;
mod probes;
mod rotation;
mod sets;
mod tick;
