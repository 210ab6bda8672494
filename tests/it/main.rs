//! Whole-system and interop tests. With Java: the published framework on both ends. Without: scripted peers only, and a line
//! for each test that was skipped.

mod answers;
mod direct;
mod rig;
