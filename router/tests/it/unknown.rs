//! Calls with an unknown outcome: a line in the log, and a work list that outlives the router until an operator acknowledges its entries.

use rcs_proto::messages::{CreateOpRequest, OperationRequest};
use rcs_rig::metrics::Metrics;
use rcs_rig::scripted::{FakeMember, validate_request};
use rcs_rig::wait::wait_until;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, Ran, Router, member, provider, router as command, run_command, scratch};

fn create() -> OperationRequest {
    let create = CreateOpRequest { object_class: "__ACCOUNT__".into(), ..Default::default() };
    OperationRequest { create: Some(create), validate: None, ..validate_request() }
}

/// A router with its data in `data`. A member of the router has died with a change in flight.
fn lose_one(folder: &TempDir, first: &mut FakeMember, data: &str) -> Router {
    let router = Router::serve(&provider(folder, &[("n1", first)]), &["--dev", "--data-dir", data]);
    router.await_ready();
    let mut idm = router.idm("g");
    let id = idm.call(&create());
    first.inbox.operation("the change");
    first.die();
    let error = idm.answer(id);
    assert!(error.answer().is_none(), "{error:?}");
    wait_until("the outcome is on the list", PATIENCE, || list(&router, &[]).stdout.contains("unknown"));
    router
}

fn call(router: &Router, arguments: &[&str]) -> Ran {
    let mut command = command(&["call"]);
    command.args(arguments).args(["--server", &format!("http://{}", router.admin)]);
    run_command(command)
}

fn list(router: &Router, more: &[&str]) -> Ran {
    call(router, &[&["list", "--outcome", "unknown"], more].concat())
}

#[test]
fn an_unknown_outcome_is_logged_and_listed_until_it_is_acknowledged_even_by_the_next_router() {
    let (folder, data) = (scratch(), scratch());
    let data = data.path().to_str().unwrap();
    let mut first = member("n1");
    let router = lose_one(&folder, &mut first, data);
    router.await_log("outcome unknown: the call was sent");
    for part in ["op=\"create\"", "caller=\"anonymous\"", "object_class=\"__ACCOUNT__\"", "member=\"n1\""] {
        router.await_log(part);
    }
    assert_eq!(Metrics::scrape(router.admin).sum("rcs_unknown_outcomes", &[]), 1.0);
    let csv = list(&router, &["--since", "8h", "-o", "csv"]).stdout;
    let line = csv.lines().nth(1).unwrap_or_else(|| panic!("{csv}"));
    assert!(line.contains(",create,g,n1,anonymous,unknown,") && line.contains(",__ACCOUNT__,"), "{csv}");
    assert!(list(&router, &["--group", "other", "-o", "csv"]).stdout.lines().count() == 1);
    drop(router);

    let router = Router::serve(&provider(&folder, &[("n1", &first)]), &["--dev", "--data-dir", data]);
    let rows: Vec<Value> = serde_json::from_str(&list(&router, &["-o", "json"]).stdout).unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert!(row["sentence"].as_str().is_some_and(|sentence| sentence.contains("Outcome unknown")), "{row}");
    let id = row["id"].as_str().unwrap();
    let ran = call(&router, &["acknowledge", "ffff"]);
    assert!(ran.code == Some(65) && ran.stderr.contains("no unknown outcome of call ffff"), "{ran:?}");
    for arguments in [&["acknowledge"][..], &["acknowledge", "1", "--all"], &["acknowledge", "--at", "x"]] {
        assert_eq!(call(&router, arguments).code, Some(64), "{arguments:?}");
    }
    let ran = call(&router, &["acknowledge", id]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "1 acknowledged, 0 left\n"));
    assert_eq!(list(&router, &[]).stdout, "no unknown outcome waits to be acknowledged\n");
    assert_eq!(Metrics::scrape(router.admin).sum("rcs_unknown_outcomes", &[]), 0.0);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_told_at_the_start() {
    let folder = scratch();
    let first = member("n1");
    let document = provider(&folder, &[("n1", &first)]);
    let serve = |data: &str| {
        let mut command = command(&["serve", "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--provider").arg(&document).args(["--data-dir", data]);
        run_command(command)
    };
    let ran = serve("/no/such/directory");
    assert!(ran.code == Some(69) && ran.stderr.contains("/no/such/directory"), "{ran:?}");
    let data = folder.path().to_str().unwrap();
    let _router = Router::serve(&document, &["--dev", "--data-dir", data]);
    let ran = serve(data);
    assert!(ran.code == Some(69) && ran.stderr.contains("in use by another router"), "{ran:?}");
}
