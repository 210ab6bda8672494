//! A member that ends a search short, as a Java RCS does whose socket stalls (P13, WIRE 5.3): an error for IDM, which would
//! take a short success for deleted accounts; and what a group's switch makes of it.

use std::fs;

use rcs_proto::frames;
use rcs_proto::messages::{OperationResponse, SearchOpResponse, SearchResult};
use rcs_rig::scripted::{FakeIdm, Frame};
use rcs_rig::wait::wait_until;
use rcs_rig::workspace;

use crate::answers::{end_of_rows, row, search_request};
use crate::bounds::PATIENCE;
use crate::site::{GROUP, ScriptedSite};

/// Whole searches after which a missing result is noticed; the router's own number is in its limits.
const LESSONS: usize = 3;

#[test]
fn a_short_end_is_an_error_where_the_connector_sends_a_result_until_it_is_switched_off() {
    let scratch = workspace::scratch();
    let config = scratch.path().join("router.toml");
    fs::write(&config, "").unwrap();
    let path = config.to_str().expect("scratch paths are UTF-8");
    let mut site = ScriptedSite::start_with("failover", 1, &["--config", path]);
    let mut idm = site.idm(2);
    for _ in 0..LESSONS {
        let end = search(&mut site, &mut idm, 3, whole_end(3));
        assert!(end.answer().is_some_and(|a| a.search.as_ref().is_some_and(|s| s.result.is_some())));
    }

    let end = search(&mut site, &mut idm, 2, end_of_rows(2));
    let error = end.error().unwrap_or_else(|| panic!("a short success: {end:?}"));
    assert!(error.exception_class.ends_with(".RetryableException"), "{error:?}");
    assert!(error.message.contains("cut short") && error.message.contains("again"), "{error:?}");
    let labels = [("group", GROUP), ("reason", "no_result")];
    assert_eq!(site.router.metrics().sum("rcs_streams_cut_total", &labels), 1.0);

    fs::write(&config, format!("[group.{GROUP}]\nstream_end = \"as_it_came\"\n")).unwrap();
    let in_force = "the configuration file changed and is in force now";
    let process = site.router.process();
    wait_until("the switch is off", PATIENCE, || process.said_on_stderr(in_force));
    let end = search(&mut site, &mut idm, 2, end_of_rows(2));
    assert!(end.answer().is_some(), "passed on as it came: {end:?}");
}

/// Nothing was delivered yet, so another member may be asked: the caller sees a whole answer.
#[test]
fn an_empty_cut_answer_is_asked_of_the_other_member() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    for _ in 0..LESSONS {
        search(&mut site, &mut idm, 1, whole_end(1));
    }
    let id = idm.call(&search_request());
    let call = site.members[0].inbox.operation("the search");
    call.socket.send(&frames::answer(call.id(), &end_of_rows(0)));
    let call = site.members[1].inbox.operation("the search at the other member");
    call.socket.send(&frames::answer(call.id(), &row(1)));
    call.socket.send(&frames::answer(call.id(), &whole_end(1)));
    assert!(idm.answer(id).answer().is_some_and(|a| a.search.as_ref().is_some_and(|s| s.sequence == 1)));
    assert!(idm.answer(id).error().is_none());
}

/// A search that the first member answers with so many rows and this end; returns the caller's last frame.
fn search(site: &mut ScriptedSite, idm: &mut FakeIdm, rows: i64, end: OperationResponse) -> Frame {
    let id = idm.call(&search_request());
    let call = site.members[0].inbox.operation("the search");
    for sequence in 1..=rows {
        call.socket.send(&frames::answer(call.id(), &row(sequence)));
    }
    call.socket.send(&frames::answer(call.id(), &end));
    for _ in 0..rows {
        assert!(idm.answer(id).answer().is_some(), "a row");
    }
    idm.answer(id)
}

fn whole_end(count: i64) -> OperationResponse {
    let end =
        SearchOpResponse { sequence: count, result: Some(SearchResult::default()), connector_object: None };
    OperationResponse { search: Some(end), ..OperationResponse::default() }
}
