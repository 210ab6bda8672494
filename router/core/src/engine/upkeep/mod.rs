//! What time, agents and operators bring about: `tick` (what is due), `links` (the view, dials), `probes` (health checks, silent and
//! slow members), `drains` and `rotation` of sockets, `sets` (bundle sets), `wishes` (what operators decide), `agents` (what agents
//! report), `hedges` (reads without an answer), `ways` (members that are
//! used through another router), `farewell` (the end of the router).
//!
//! What this does to a call is left in the tables as a fault, which `settle` judges.

mod agents;
mod configurations;
mod drains;
mod farewell;
mod hedges;
mod links;
mod probes;
mod rotation;
mod sets;
mod tick;
mod ways;
mod wishes;
