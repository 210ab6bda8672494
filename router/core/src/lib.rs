//! The decisions of the router: what the documents mean, which member a call goes to, what happens after a failure.
//!
//! Everything here is a function of its arguments, or a state machine that is told what happened and when. So every
//! decision can be tested by calling a function, and every run can be replayed.
//!
//! # Flow
//! [`provider`] turns IDM's own document into a [`view::View`], together with what operators set ([`settings`]) and
//! marked. The owner of the sockets feeds [`engine::Event`]s to [`engine::Engine::apply`], which changes the live state
//! and asks [`engine::Io`] for effects: frames, dials, closes, notes for logs and metrics. On the way of a call the engine
//! asks the pure parts:
//! - [`balance`]: a policy builds an immutable picker when the view or a member's availability changes; the way of a
//!   call only picks.
//! - [`verdict`]: what follows a failure, from the class of the call, the stage it reached, the fault, and the attempts
//!   so far. The only place that decides this.
//!
//! # Code map
//! What operators say:
//! - [`provider`]: reads the provider document, `provisioner.openicf.connectorinfoprovider`. All faults are reported
//!   at once, each with its path and what to do.
//! - [`settings`]: what an operator may set beside the document, for the router and for each group.
//! - `agreed`: what operators decided, as one pure value with one deterministic function that changes it. [`agreed::ClusterState`] is
//!   all that routers of a cluster replicate, [`agreed::Command`] what stands in their log, [`agreed::stored`] how both are written.
//! - [`view`]: the one immutable snapshot of all of that, which routing reads.
//! - [`slip`]: which known name an unknown one probably means.
//! - [`ids`]: small ids for the names of members and groups. An id is never reused for another name.
//!
//! How members are judged:
//! - [`health`]: whether a member is fit for calls, as far as can be observed: several equal probe results in a row,
//!   hold-down after flapping, outlier ejection. What the operator wants of a member (its mark) is another fact, and what
//!   the document says a third.
//! - [`state`]: the state of a member in a group, in one word.
//! - [`outlier`]: which member is far slower than the others of its group.
//! - [`backoff`]: the pause before the next attempt to reach a member.
//!
//! Bundle sets:
//! - [`bundles`]: what connectors and files a member has, and whether that is what its group accepted.
//!   [`bundles::wire`] reads what a member reports of its connectors, in whatever order; [`bundles::group`] is one
//!   group: its accepted and its next set, which members may serve, and which are held because they change to and fro;
//!   [`bundles::diff`] lists what two sets do not have in common; [`bundles::range`] reads version ranges;
//!   [`bundles::infos`] is the list that callers are shown.
//!
//! The live state:
//! - [`engine`]: five tables (callers, members, groups, calls, sockets), the stages of a call between them, and one
//!   settling at the end of each event. Its own front page says which room does what; ARCHITECTURE.md has the rules.
//! - [`limits`]: every bound of the router with its unit and reason. The compiler checks the relations between bounds.
//!
//! # This crate must not know
//! Tokio, sockets, files, the clock, randomness, the environment. All of them come in as arguments;
//! `router/core/clippy.toml` bans the functions and types that would let them in.

pub mod agreed;
pub mod arena;
pub mod backoff;
pub mod balance;
pub mod bundles;
mod digest64;
pub mod engine;
pub mod health;
pub mod ids;
pub mod limits;
pub mod outlier;
pub mod provider;
pub mod settings;
pub mod slip;
pub mod state;
pub mod verdict;
pub mod view;
