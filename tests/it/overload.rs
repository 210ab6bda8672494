//! More calls than a member has places (P10): they wait, each caller in its turn, and are refused clearly where they cannot.

use std::time::Duration;

use rcs_proto::frames;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, FakeMember, Frame, Manners, validate_request};
use rcs_rig::wait::wait_until;
use rcs_rig::workspace;
use tempfile::TempDir;

use crate::answers::{create_request, validated};
use crate::site::GROUP;

const CALLERS: usize = 100;
const PLACES: usize = 4;
const BOUND: Duration = Duration::from_secs(10);

/// One member behind a router with these settings.
struct Site {
    member: FakeMember,
    router: Router,
    _scratch: TempDir,
}

impl Site {
    fn start(settings: &str) -> Self {
        let member = FakeMember::listen("n1", Manners::Polite);
        let scratch = workspace::scratch();
        let document = Provider::new().server("n1", member.port(), 2).group(GROUP, "failover", &["n1"]);
        let config = scratch.path().join("router.toml");
        std::fs::write(&config, settings).expect("a scratch folder can be written to");
        let config = config.to_str().expect("scratch paths are UTF-8");
        let router = Router::start_with(&document.write(scratch.path()), &["--config", config]);
        router.await_up(GROUP, &["n1"]);
        Self { member, router, _scratch: scratch }
    }

    fn idm(&self) -> FakeIdm {
        FakeIdm::connect(self.router.listen(), &format!("/openicf/{GROUP}"), 1)
    }

    fn queued(&self) -> f64 {
        self.router.metrics().sum("rcs_calls_queued", &[("group", GROUP)])
    }

    fn await_queued(&self, calls: usize) {
        wait_until(&format!("{calls} calls wait"), BOUND, || self.queued() == calls as f64);
    }

    fn refused(&self, reason: &str) -> f64 {
        self.router.metrics().sum("rcs_calls_refused_total", &[("group", GROUP), ("reason", reason)])
    }

    fn next_at_member(&mut self) -> Frame {
        self.member.inbox.next_within("a call at the member", BOUND, |f| f.operation().is_some())
    }
}

fn finish(call: &Frame) {
    call.socket.send(&frames::answer(call.id(), &validated()));
}

#[test]
fn a_member_with_four_places_never_has_more_calls_and_all_of_a_hundred_callers_are_answered() {
    let mut site = Site::start("[defaults]\nmember_in_flight_max = 4\n");
    let mut callers: Vec<(FakeIdm, i64)> = (0..CALLERS)
        .map(|_| {
            let mut idm = site.idm();
            let id = idm.call(&validate_request());
            (idm, id)
        })
        .collect();
    site.await_queued(CALLERS - PLACES);
    let mut held = Vec::new();
    for call in 0..CALLERS {
        held.push(site.next_at_member());
        let labels = [("group", GROUP), ("member", "n1")];
        assert!(site.router.metrics().sum("rcs_calls_in_flight", &labels) <= PLACES as f64, "call {call}");
        if held.len() == PLACES {
            finish(&held.remove(0));
        }
    }
    held.iter().for_each(finish);
    for (idm, id) in &mut callers {
        assert!(idm.answer(*id).answer().is_some(), "an answer, and no error");
    }
    assert_eq!(site.queued(), 0.0);
}

#[test]
fn what_finds_no_place_is_told_that_it_was_not_run() {
    let settings = "[defaults]\nmember_in_flight_max = 1\nqueue_max = 1\nqueue_wait = \"1s\"\n";
    let mut site = Site::start(settings);
    let mut idm = site.idm();
    let running = idm.call(&create_request());
    let call = site.next_at_member();
    let waiting = idm.call(&create_request());
    site.await_queued(1);
    let third = idm.call(&create_request());
    let told = |idm: &mut FakeIdm, id: i64| {
        let answer = idm.answer(id);
        let error = answer.error().expect("there is no place for it");
        assert!(error.exception_class.ends_with(".RetryableException"), "{}", error.exception_class);
        error.message.clone()
    };
    let full = told(&mut idm, third);
    assert!(full.contains("the queue for one is full. create was not run. Repeat it later."), "{full}");
    let late = told(&mut idm, waiting);
    assert!(late.contains("had a free place for this create in time. It was not run."), "{late}");
    assert_eq!((site.refused("queue_full"), site.refused("queue_timeout")), (1.0, 1.0));
    call.socket.send(&frames::error(call.id(), "org.example.UnknownUidException", "no such account"));
    assert!(idm.answer(running).error().is_some(), "the member's own words");
}
