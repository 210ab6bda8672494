//! Bundle sets from outside: the API, the command line, the configuration file, and what members' calls see of it.

use rcs_rig::metrics::{Metrics, http_post};
use rcs_rig::scripted::{FakeMember, connector_infos_at};
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Ran, Router, SOON, file, member, provider, router as command, run, run_command, scratch,
};

/// Two members: n1 with the rig connector as it is, n2 with another version of it.
struct Site {
    router: Router,
    _members: [FakeMember; 2],
    folder: TempDir,
}

impl Site {
    fn start(config: &str, more: &[&str]) -> Self {
        let folder = scratch();
        let members = [member("n1"), member("n2")];
        members[1].tell(connector_infos_at("1.0.0.1"));
        // Who is first is accepted.
        let alone = provider(&folder, &[("n1", &members[0])]);
        let config = file(&folder, "router.toml", config);
        let router = Router::serve(&alone, &[&["--config", &config], more].concat());
        let site = Self { router, _members: members, folder };
        site.await_standing("n1", "matching");
        provider(&site.folder, &[("n1", &site._members[0]), ("n2", &site._members[1])]);
        site.await_standing("n2", "quarantined");
        site
    }

    fn status(&self) -> Value {
        let (status, body) = self.router.get("/v1/groups/g/bundles");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn member(&self, name: &str) -> Value {
        let status = self.status();
        let rows = status["members"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
    }

    fn await_standing(&self, member: &str, standing: &str) {
        wait_until(&format!("{member} {standing}\n{}", self.router.process), SOON, || {
            self.member(member)["standing"] == standing
        });
    }

    fn post(&self, path: &str, token: Option<&str>) -> (u16, String) {
        http_post(self.router.admin, &format!("/v1/groups/{path}"), token)
    }

    fn bundles(&self, arguments: &[&str]) -> Ran {
        let server = format!("http://{}", self.router.admin);
        let mut command = command(&["bundles"]);
        command.args(arguments).args(["--server", &server]);
        run_command(command)
    }
}

/// A rolling upgrade by the command line: `bundles diff`, the next set, the members in turn (P5).
#[test]
fn a_group_is_moved_to_another_set_and_its_members_stand_accordingly() {
    let site = Site::start("", &["--dev"]);
    let ran = site.bundles(&["diff", "g"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "n2 (quarantined), beside the accepted set:");
    assert!(
        lines[1].starts_with("  changed connector") && lines[1].contains("1.0.0.0 -> 1.0.0.1"),
        "{ran:?}"
    );
    assert_eq!(lines.len(), 2, "{ran:?}");
    let of = |member| [("group", "g"), ("member", member)];
    let metrics = Metrics::scrape(site.router.admin);
    assert_eq!(metrics.sum("rcs_member_quarantined", &of("n1")), 0.0);
    assert_eq!(metrics.sum("rcs_member_quarantined", &of("n2")), 1.0);
    assert_eq!(metrics.sum("rcs_member_up", &of("n2")), 0.0);
    let rows = site.router.get("/v1/members").1;
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    let n2 = rows.iter().find(|row| row["name"] == "n2").unwrap();
    assert!(n2["quarantine"].as_str().unwrap().contains("1.0.0.1"), "{n2}");

    let accepted = site.status()["accepted"].as_str().unwrap().to_owned();
    let ran = site.bundles(&["commit", "g"]);
    assert!(ran.code == Some(65) && ran.stderr.contains("no set is proposed"), "{ran:?}");
    let ran = site.bundles(&["propose", "g", "--set", &accepted]);
    assert!(ran.code == Some(65) && ran.stderr.contains("accepted set"), "{ran:?}");
    let mut idm = site.router.idm("g");
    assert!(!idm.ask_for_connectors(SOON).is_empty());
    assert_eq!(site.status()["callers_behind"], 0);
    let ran = site.bundles(&["propose", "g", "--member", "n2", "--stand-ins", "rig.connector/[1.0.0.0,1.1)"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in [
        "g: 2 of 2 members may serve, 1 of them",
        "  next      ",
        "rig.connector/[1.0.0.0,1.1)/*",
        "matching_next",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in {ran:?}");
    }
    assert!(ran.stdout.contains("  callers   1 know an older list"), "{ran:?}");
    let ran = site.bundles(&["diff", "g"]);
    assert_eq!(ran.stdout, "no member of g differs\n");
    let ran = site.bundles(&["propose", "g", "--member", "n2"]);
    assert!(ran.code == Some(65) && ran.stderr.contains("commit or abort it first"), "{ran:?}");
    assert_eq!(site.bundles(&["abort", "g"]).code, Some(0));
    assert_eq!(site.member("n2")["standing"], "quarantined");

    assert_eq!(site.bundles(&["propose", "g", "--member", "n2"]).code, Some(0));
    let ran = site.bundles(&["commit", "g"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("(committed)"), "{ran:?}");
    assert_eq!(
        (site.member("n1")["standing"].clone(), site.member("n2")["standing"].clone()),
        (json!("quarantined"), json!("matching"))
    );
    let ran = site.bundles(&["pin", "g", &accepted]);
    assert!(ran.code == Some(0) && ran.stdout.contains(&format!("{accepted} (pinned)")), "{ran:?}");
    assert_eq!(site.member("n1")["standing"], "matching");
    let ran = site.bundles(&["status", "g", "-o", "json"]);
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(printed, site.status());
    site.router.await_log("an operator's change of bundle sets");

    // A set that nobody has: who served last goes on, and the operator is told.
    let alarm = || Metrics::scrape(site.router.admin).sum("rcs_bundle_alarm", &[("group", "g")]);
    assert_eq!(alarm(), 0.0);
    let ran = site.bundles(&["pin", "g", &"0".repeat(64)]);
    assert!(ran.code == Some(0) && ran.stdout.contains("  alarm     keeps_last\n"), "{ran:?}");
    assert_eq!((site.member("n1")["standing"].clone(), alarm()), (json!("kept"), 1.0));
    let ran = site.bundles(&["diff", "g"]);
    assert!(ran.stdout.starts_with("n1 serves although it should not"), "{ran:?}");
    assert_eq!(site.bundles(&["pin", "g", "--member", "n1"]).code, Some(0));
    assert_eq!((site.member("n1")["standing"].clone(), alarm()), (json!("matching"), 0.0));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_sentence() {
    let folder = scratch();
    let token = file(&folder, "token", "t0ken-of-operators\n");
    let key = file(&folder, "caller.key", "a caller's key\n");
    let site = Site::start("", &["--caller-key-file", &key, "--admin-token-file", &token]);
    let shown = Some("t0ken-of-operators");
    for (path, token, status, part) in [
        ("g/bundles/commit", None, 401, "token"),
        ("g/bundles/commit", Some("wrong"), 403, "wrong token"),
        ("g/bundles/commit", shown, 409, "no set is proposed"),
        ("x/bundles/commit", shown, 404, "no group"),
        ("g/bundles/propose?member=n9", shown, 404, "no member named"),
        ("g/bundles/propose", shown, 400, "say which set"),
        ("g/bundles/pin?set=abc", shown, 400, "64 digits"),
        ("g/bundles/explode", shown, 404, "use propose"),
    ] {
        let (found, body) = site.post(path, token);
        assert!(found == status && body.contains(part), "{path}: {found} {body}");
    }
    let (status, body) = site.router.get("/v1/groups/x/bundles");
    assert!(status == 404 && body.contains("no group"), "{body}");
    for (arguments, code, part) in [
        (&["status", "x"][..], 65, "no group"),
        (&["propose", "g"], 64, "--member"),
        (&["propose", "g", "--set", "abc", "--member", "n1"], 64, "--member"),
        (&["pin", "g"], 64, "DIGEST"),
        (&["pin", "g", "abc"], 64, "RCS_ROUTER_TOKEN"),
        (&["explode", "g"], 64, "explode"),
    ] {
        let ran = site.bundles(arguments);
        assert!(ran.code == Some(code) && ran.stderr.contains(part), "{arguments:?}: {ran:?}");
    }
}

/// A pinned set is enforced from the first member on, and a changed file is followed.
#[test]
fn the_configuration_file_says_which_set_it_is() {
    let folder = scratch();
    let (first, second) = (member("n1"), member("n2"));
    second.tell(connector_infos_at("1.0.0.1"));
    let document = provider(&folder, &[("n1", &first), ("n2", &second)]);
    let config = file(&folder, "router.toml", "");
    let router = Router::serve(&document, &["--dev", "--config", &config]);
    let status = || -> Value { serde_json::from_str(&router.get("/v1/groups/g/bundles").1).unwrap() };
    wait_until("both told their sets", SOON, || {
        status()["members"].as_array().unwrap().iter().all(|row| row["found"].is_string())
    });
    let of_second = status()["members"][1]["found"].as_str().unwrap().to_owned();
    file(&folder, "router.toml", &format!("[group.g.bundles]\npinned = \"{of_second}\"\nserving_min = 2\n"));
    wait_until("the pinned set is accepted", SOON, || status()["origin"] == "pinned");
    let status = status();
    assert_eq!((&status["accepted"], &status["serving_min"]), (&json!(of_second), &json!(2)));
    assert_eq!(
        (&status["members"][0]["serves"], &status["members"][1]["serves"]),
        (&json!(false), &json!(true))
    );

    let wrong = format!(
        "[defaults.bundles]\nreports = \"sometimes\"\n[group.g.bundles]\npinned = \"{of_second}+{of_second}\"\n\
         visible = []\nstand_ins = [\"a/[2,1]\"]\n"
    );
    let wrong = file(&folder, "wrong.toml", &wrong);
    let ran = run(&["check", "--provider", document.to_str().unwrap(), "--config", &wrong]);
    assert_eq!(ran.code, Some(65), "{ran:?}");
    for part in [
        "line 2: defaults.bundles.reports: \"sometimes\" will not do. Give it \"wire_only\" or \"require_agent\".",
        "group.g.bundles: pinned names files",
        "line 5: group.g.bundles.visible: [] will not do. Give it a list of BUNDLE",
        "line 6: group.g.bundles.stand_ins: [\"a/[2,1]\"] will not do: no version can be in \"[2,1]\"",
    ] {
        assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
    }
}
