//! What stands in the log of a cluster and in its snapshots, from a damaged disk or a foreign router: valid or refused, and what is valid
//! is applied and written again without a loss.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcs_core::agreed::{Action, Author, Authority, ClusterState, Command, Outcome};

fuzz_target!(|data: &[u8]| {
    rcs_fuzz::within_bound(data.len(), || {
        match Command::decode(data) {
            Ok(command) => {
                let again = command.encode().expect("what was read can be written");
                assert_eq!(Command::decode(&again).as_ref(), Ok(&command));
                apply(ClusterState::default(), command);
            }
            Err(error) => drop(error.to_string()),
        }
        match ClusterState::decode(data) {
            Ok(state) => {
                let again = state.encode().expect("what was read can be written");
                assert_eq!(ClusterState::decode(&again).as_ref(), Ok(&state));
            }
            Err(error) => drop(error.to_string()),
        }
        if let Ok(outcome) = Outcome::decode(data) {
            assert_eq!(outcome.encode().and_then(|bytes| Outcome::decode(&bytes)), Ok(outcome));
        }
    });
});

/// Applies a command twice, to a cluster that decides by itself: so edits are tried as well.
fn apply(mut state: ClusterState, command: Command) {
    let authority = Action::Authority(Authority::Cluster);
    let mut first = command.clone();
    (first.action, first.author, first.expected_revision) = (authority, Author::Operator, None);
    first.request.0 = !command.request.0;
    state.apply(1, &first);
    let outcome = state.apply(2, &command);
    assert_eq!(state.apply(2, &command), outcome);
    let again = state.encode().expect("what was applied can be written");
    assert_eq!(ClusterState::decode(&again), Ok(state));
}
