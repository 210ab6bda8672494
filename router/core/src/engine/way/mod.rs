//! The way of a call, a file a stage: `greet` (a socket opens, shakes hands, joins) ▸ `caller` (a caller's frame) ▸ `begin` (the
//! request is admitted) ▸ `steps::place` ▸ `steps::send` | `member` (a member's frame) ▸ `answer` ▸ `steps::end`; `refuse` where a
//! request goes no further, `unsent` where a dying socket gives requests back.
//!
//! What goes wrong on the way is left in the tables as a fault, which `settle` judges.

mod answer;
mod begin;
mod caller;
mod greet;
mod member;
mod moved;
mod refuse;
mod unsent;
