//! Pure decisions of the router: what the configuration means, which member a call goes to, what happens
//! after a failure.
//!
//! Flow: [`provider`] turns the operator's document into a [`view::View`]; [`balance`] turns a group of the
//! view and the members available now into a picker; [`verdict`] says what to do when a call meets a failure;
//! [`health`] says who is fit for calls, and [`outlier`] who is far slower than the others; [`backoff`] spaces the attempts to
//! reach a member again. [`settings`] is what an operator may set, [`limits`] holds
//! every bound, [`ids`] the names of things.
//!
//! This crate must NOT know: tokio, sockets, files, the clock, randomness, the environment. All of them come
//! in as arguments, so that every decision can be tested by calling a function.

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

pub mod verdict;
pub mod view;
