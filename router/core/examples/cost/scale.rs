//! What members and groups cost.

use std::time::{Duration, Instant};

use rcs_core::agreed::{Action, At, Author, Change, ClusterState, Command, RequestId};
use rcs_core::engine::Event;
use rcs_core::ids::NameBook;
use rcs_core::view::Mark;
use rcs_proto::manifest::Digest;

use super::median;
use super::scene::Scene;

const ROUNDS: usize = 21;

pub(crate) fn measure() {
    for (members, groups) in [(100, 10), (1_000, 100), (10_000, 1_000)] {
        let mut scene = Scene::new(members, groups, 1);
        let state = state_of(&scene);
        let stored = state.encode().unwrap();
        let kib = stored.len() / 1_024;
        let write = times(|| drop(state.encode().unwrap()));
        let read = times(|| drop(ClusterState::decode(&stored).unwrap()));
        let view = times(|| drop(state.agreed().view(&mut NameBook::default()).unwrap()));
        let mut mark = Mark::Enabled;
        let marks = times(|| {
            mark = if mark == Mark::Enabled { Mark::Draining } else { Mark::Enabled };
            let change = Change::Mark { member: "n1".to_owned(), mark };
            scene.apply(Event::Agreed { change, author: Author::Operator, at: At(1), ticket: None });
        });
        let (whole, mut turn) = (scene.engine.agreed().document().clone(), 0);
        let edits = times(|| {
            turn += 1;
            let mut document = whole.clone();
            document.groups.truncate(groups - turn % 2);
            let change = Change::Configured { document: Some(document), settings: None };
            scene.apply(Event::Agreed { change, author: Author::Operator, at: At(1), ticket: None });
        });
        scene.pass(Duration::from_secs(6));
        scene.world.sent.clear();
        let call = times(|| (0..2_000).for_each(|_| scene.call())) / 2_000;
        println!(
            "{members} members in {groups} groups: stored state {kib} KiB, written in {write:?}, read in {read:?}; view {view:?}; \
             mark {marks:?}; another document {edits:?}; get {call:?}"
        );
    }
}

fn times(mut act: impl FnMut()) -> Duration {
    let once = |_| {
        let since = Instant::now();
        act();
        since.elapsed()
    };
    median((0..ROUNDS).map(once).collect())
}

/// The cluster state with the document and the settings of the scene.
fn state_of(scene: &Scene) -> ClusterState {
    let mut state = ClusterState::default();
    let agreed = scene.engine.agreed();
    let action = Action::Configure {
        document: Some(agreed.document().clone()),
        settings: Some(Box::new(agreed.settings().clone())),
        digest: Digest::of(b"document"),
    };
    state.apply(
        1,
        &Command {
            request: RequestId(1),
            expected_revision: None,
            author: Author::Files,
            who: "cost".to_owned(),
            from: String::new(),
            at: At(1),
            action,
        },
    );
    assert_eq!(state.revision(), 1, "{:?}", state.outcome(RequestId(1)));
    state
}
