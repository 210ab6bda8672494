//! A member that swallows one search and answers all other calls: the search is asked of another member as well, and the first answer counts
//! (`hedge_after`).

use std::fs;

use rcs_proto::frames;
use rcs_rig::metrics::http_get;
use rcs_rig::scripted::validate_request;
use rcs_rig::workspace;

use crate::answers::{end_of_rows, row, search_request, validated};
use crate::bounds::PATIENCE;
use crate::site::{GROUP, ScriptedSite};

#[test]
fn a_search_that_its_member_swallows_is_answered_by_another_member() {
    let scratch = workspace::scratch();
    let config = scratch.path().join("router.toml");
    fs::write(&config, format!("[group.{GROUP}]\nhedge_after = \"1s\"\n")).unwrap();
    let path = config.to_str().expect("scratch paths are UTF-8");
    let mut site = ScriptedSite::start_with("failover", 2, &["--config", path]);
    let mut idm = site.idm(2);

    let id = idm.call(&search_request());
    let swallowed = site.members[0].inbox.operation("the search");
    // The member lives: it answers what comes later.
    let later = idm.call(&validate_request());
    let call = site.members[0].inbox.operation("a call that comes later");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(later).answer().is_some());

    let hedge = site.members[1].inbox.operation("the search at the other member");
    hedge.socket.send(&frames::answer(hedge.id(), &row(1)));
    assert!(
        idm.answer(id).answer().is_some_and(|row| row.search.as_ref().is_some_and(|row| row.sequence == 1))
    );
    let of_first = |frame: &rcs_rig::scripted::Frame| frame.is_cancel() && frame.id() == swallowed.id();
    site.members[0].inbox.next_within("the cancel of the first search", PATIENCE, of_first);
    // The first member answers after all, and its answer is dropped.
    swallowed.socket.send(&frames::answer(swallowed.id(), &row(1)));
    swallowed.socket.send(&frames::answer(swallowed.id(), &end_of_rows(1)));
    hedge.socket.send(&frames::answer(hedge.id(), &row(2)));
    hedge.socket.send(&frames::answer(hedge.id(), &end_of_rows(2)));
    for sequence in [2, 2] {
        let frame = idm.answer(id);
        let part = frame.answer().and_then(|answer| answer.search.clone()).expect("a row, and the end");
        assert_eq!(part.sequence, sequence);
    }

    let metrics = site.router.metrics();
    let group = [("group", GROUP)];
    assert_eq!(metrics.sum("rcs_hedges_total", &group), 1.0);
    assert_eq!(metrics.sum("rcs_hedges_won_total", &group), 1.0);
    assert_eq!(metrics.sum("rcs_retries_total", &[]), 0.0);
    let (status, calls) = http_get(site.router.admin(), "/v1/calls");
    assert_eq!(status, 200);
    for part in ["\"answer_overdue\"", "\"hedge\""] {
        assert!(calls.contains(part), "{part}: {calls}");
    }
}
