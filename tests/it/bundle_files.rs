//! Files that only the agents beside the members can see: a member whose script differs gets no call until it is put right, and no
//! caller notices (P5). Here with nodes, so that it needs no Java.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcs_proto::icf::{OperationOptions, Value};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{GetOpRequest, OperationRequest, Uid};
use rcs_rig::configured::Configured;
use rcs_rig::metrics::http_get;
use rcs_rig::node::Node;
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::FakeIdm;
use rcs_rig::{hr, workspace};

use crate::fleet::path;
use crate::site::{GROUP, MEMBERS};

/// From a change of a file to what the router makes of it: agents see it at once, and settle for a second at most.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// Calls at a time.
const AT_A_TIME: usize = 8;
/// Calls that a quarantined member must not get any of.
const WITHOUT_IT: f64 = 500.0;
/// The script, below each member's libDir.
const SCRIPT: &str = "lib/scripts/onCreate.groovy";

/// A node, the agent beside it, and their folder.
struct Member {
    node: Node,
    folder: PathBuf,
}

impl Member {
    fn start(scratch: &Path, name: &str) -> Self {
        let folder = scratch.join(name);
        fs::create_dir_all(folder.join("lib/scripts")).expect("the scratch folder takes folders");
        fs::create_dir(folder.join("connectors")).expect("the scratch folder takes folders");
        let member = Self { node: Node::start(&folder), folder };
        member.write("return uid");
        member.file("connectors/a.jar", "no real one");
        member
    }

    fn write(&self, script: &str) {
        self.file(SCRIPT, script);
    }

    fn file(&self, path: &str, text: &str) {
        fs::write(self.folder.join(path), text).expect("the scratch folder takes a file");
    }

    fn agent(&self, name: &str, router: &Router) -> Process {
        let mut command = Command::new(workspace::binary("rcs-node"));
        command.arg("agent").arg("--properties").arg(self.folder.join("ConnectorServer.properties"));
        command.args(["--member", name, "--report", &format!("http://{}", router.admin())]);
        Process::start(&format!("the agent of {name}"), command)
    }
}

/// Calls that never stop while something is waited for; each must succeed.
struct Load {
    idm: FakeIdm,
    request: OperationRequest,
}

impl Load {
    fn start(router: &Router, csv: &Path) -> Self {
        let mut idm = FakeIdm::connect(router.listen(), &path(), 2);
        let infos = idm.ask_for_connectors(SEEN_WITHIN);
        let csv = Configured::of(&infos, "CSVFileConnector")
            .with("csvFile", Value::File(csv.to_string_lossy().into_owned()))
            .with("headerUid", Value::String("uid".to_owned()));
        let options = OperationOptions { case_insensitive: false, entries: Vec::new() }.encode();
        let uid = Some(Uid { value: hr::UIDS[0].to_owned(), revision: String::new() });
        let get = GetOpRequest { object_class: "__ACCOUNT__".to_owned(), uid, options };
        Self { idm, request: OperationRequest { get: Some(get), ..csv.request() } }
    }

    fn until(&mut self, reason: &str, mut is_so: impl FnMut() -> bool) {
        let start = std::time::Instant::now();
        while !is_so() {
            let ids: Vec<i64> = (0..AT_A_TIME).map(|at| self.idm.call_on(at % 2, &self.request)).collect();
            for id in ids {
                let answer = self.idm.answer(id);
                let got = answer.answer().and_then(|answer| answer.get.as_ref());
                assert!(got.is_some_and(|got| !got.connector_object.is_empty()), "{reason}: {answer:?}");
            }
            assert!(start.elapsed() < SEEN_WITHIN, "waited in vain: {reason}");
        }
    }
}

#[test]
fn a_script_that_only_the_agent_sees_keeps_its_member_out_until_it_is_put_right() {
    let scratch = workspace::scratch();
    let csv = hr::write(scratch.path());
    let members = MEMBERS.map(|name| Member::start(scratch.path(), name));
    let provider = MEMBERS
        .iter()
        .zip(&members)
        .fold(Provider::new(), |document, (name, member)| document.server(name, member.node.port(), 2));
    let provider = provider.group(GROUP, "roundrobin", &MEMBERS).write(scratch.path());
    let config = scratch.path().join("router.toml");
    let settings =
        format!("[group.{GROUP}.bundles]\nreports = \"require_agent\"\nnone_left = \"fail_closed\"\n");
    fs::write(&config, settings).expect("the scratch folder takes a file");
    let router = Router::start_with(&provider, &["--config", config.to_str().expect("UTF-8")]);
    rcs_rig::wait::wait_until("nobody serves without a report", SEEN_WITHIN, || {
        MEMBERS.iter().all(|name| row(&router, name)["cause"] == "missing_agent_report")
    });
    assert!(!router.is_ready());
    let agents = [0, 1].map(|at| members[at].agent(MEMBERS[at], &router));
    router.await_up(GROUP, &MEMBERS);

    let mut load = Load::start(&router, &csv);
    load.until("both members serve", || MEMBERS.iter().all(|name| calls(&router, name) > 50.0));
    members[1].write("return uid + 1");
    load.until("the script is seen", || row(&router, "n2")["standing"] == "quarantined");
    let of_n2 = calls(&router, "n2");
    let of_n1 = calls(&router, "n1");
    load.until("the other member has them all", || calls(&router, "n1") > of_n1 + WITHOUT_IT);
    assert_eq!(calls(&router, "n2"), of_n2, "calls of a quarantined member\n{}", agents[1]);
    let quarantined = router.metrics().sum("rcs_member_quarantined", &[("group", GROUP), ("member", "n2")]);
    assert_eq!(quarantined, 1.0);

    let difference = &row(&router, "n2")["difference"];
    assert_eq!(difference.as_array().map(Vec::len), Some(1), "{difference}");
    let item = &difference[0];
    assert_eq!((&item["change"], &item["path"]), (&"changed".into(), &"scripts/onCreate.groovy".into()));
    let diff = Command::new(workspace::binary("rcs-router"))
        .args(["bundles", "diff", GROUP, "--server", &format!("http://{}", router.admin())])
        .output()
        .expect("the router's command line starts");
    let text = String::from_utf8_lossy(&diff.stdout);
    assert!(text.contains("n2 (quarantined)") && text.contains(SCRIPT), "{text}");

    members[1].write("return uid");
    load.until("it is put right", || row(&router, "n2")["standing"] == "matching");
    load.until("it serves again", || calls(&router, "n2") > of_n2 + 50.0);
}

fn row(router: &Router, member: &str) -> serde_json::Value {
    let (status, body) = http_get(router.admin(), &format!("/v1/groups/{GROUP}/bundles"));
    assert_eq!(status, 200, "{body}");
    let status: serde_json::Value = serde_json::from_str(&body).expect("the API speaks JSON");
    let rows = status["members"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["name"] == member).unwrap_or_default()
}

/// Calls that a member has answered; those of the warm-up are not the callers'.
fn calls(router: &Router, member: &str) -> f64 {
    router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("member", member)])
}
