//! Our node in client mode behind a router, beside a node in server mode (C08, M02).

use rcs_proto::icf::{OperationOptions, Value};
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::{GetOpRequest, OperationRequest, Uid};
use rcs_rig::authorization::{AuthorizationServer, INTROSPECTION_PATH, TOKEN_PATH};
use rcs_rig::configured::Configured;
use rcs_rig::node::{DiallingNode, Node};
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::FakeIdm;
use rcs_rig::wait::wait_until;
use rcs_rig::{hr, workspace};
use rustix::process::Signal;

use crate::bounds::PATIENCE;

const GROUP: &str = "hr";
const MEMBERS: [&str; 3] = ["n1", "c1", "c2"];

/// A caller of the group that reads users of an hr.csv.
pub(crate) struct Reader {
    idm: FakeIdm,
    read: OperationRequest,
}

impl Reader {
    pub(crate) fn connect(router: &Router, csv: &str) -> Self {
        Self::of(FakeIdm::connect(router.listen(), "/openicf/hr", 2), csv)
    }

    /// A caller that is connected.
    pub(crate) fn of(mut idm: FakeIdm, csv: &str) -> Self {
        let infos = idm.ask_for_connectors(PATIENCE);
        let connector = Configured::of(&infos, "CSVFileConnector")
            .with("csvFile", Value::File(csv.to_owned()))
            .with("headerUid", Value::String("uid".to_owned()));
        let options = OperationOptions { case_insensitive: false, entries: Vec::new() }.encode();
        let uid = Some(Uid { value: "bjensen".to_owned(), revision: String::new() });
        let get = GetOpRequest { object_class: "__ACCOUNT__".to_owned(), uid, options };
        Self { idm, read: OperationRequest { get: Some(get), ..connector.request() } }
    }

    /// So many reads, each of which must find its user.
    pub(crate) fn read(&mut self, times: usize) {
        for _ in 0..times {
            let id = self.idm.call(&self.read);
            let answer = self.idm.answer(id);
            let found = answer.answer().and_then(|answer| answer.get.as_ref());
            assert!(found.is_some_and(|get| !get.connector_object.is_empty()), "{answer:?}");
        }
    }
}

fn served(router: &Router) -> [f64; 3] {
    let metrics = router.metrics();
    let labels = |member| [("group", GROUP), ("member", member), ("op", "get"), ("outcome", "ok")];
    MEMBERS.map(|member| metrics.sum("rcs_calls_total", &labels(member)))
}

/// Members that dial are members like any other: exact turns, nothing lost when one dies, and back by themselves.
#[test]
fn members_of_both_modes_take_turns_and_come_back() {
    let folders = [(); 3].map(|()| workspace::scratch());
    let scratch = workspace::scratch();
    let csv = hr::write(scratch.path()).display().to_string();
    let listening = Node::start(folders[0].path());
    let provider = Provider::new()
        .server("n1", listening.port(), 2)
        .client("c1")
        .client("c2")
        .group(GROUP, "roundrobin", &MEMBERS)
        .write(scratch.path());
    let router = Router::start(&provider);
    let url = format!("ws://{}/openicf", router.listen());
    let mut one = DiallingNode::start(folders[1].path(), "c1", &url, 2);
    let mut two = DiallingNode::start(folders[2].path(), "c2", &url, 2);
    router.await_up(GROUP, &MEMBERS);

    let mut reader = Reader::connect(&router, &csv);
    reader.read(30);
    assert_eq!(served(&router), [10.0; 3], "exact turns");
    one.kill();
    reader.read(20);
    one.restart();
    router.await_up(GROUP, &MEMBERS);
    two.process().signal(Signal::TERM);
    reader.read(20);
    let [before, ..] = served(&router);
    assert_eq!(served(&router).iter().sum::<f64>(), 70.0, "no read was lost or repeated");
    assert!(before > 10.0);
}

/// A04: the node proves its name by tokens that it fetches, and the router asks about them. Its client is deactivated, and active again.
#[test]
fn a_node_with_tokens_is_a_member_for_as_long_as_its_client_is_active() {
    let (folder, scratch) = (workspace::scratch(), workspace::scratch());
    let csv = hr::write(scratch.path()).display().to_string();
    let server = AuthorizationServer::start_with(|manner| {
        manner.clients = ["c1", "router"].map(|name| (name.to_owned(), format!("secret-of-{name}"))).to_vec();
    });
    let secret = scratch.path().join("router.secret");
    std::fs::write(&secret, "secret-of-router\n").unwrap();
    let credentials = scratch.path().join("credentials.toml");
    let text = format!(
        "[issuer.as]\nintrospection = '{}'\nclient_id = 'router'\nclient_secret_file = '{}'\nrecheck = '1s'\n[member.c1]\ntoken = 'as'\n",
        server.url(INTROSPECTION_PATH),
        secret.display()
    );
    std::fs::write(&credentials, text).unwrap();
    let provider = Provider::new().client("c1").group(GROUP, "roundrobin", &["c1"]).write(scratch.path());
    let router = Router::start_with(&provider, &["--credentials", credentials.to_str().unwrap()]);
    let url = format!("ws://{}/openicf", router.listen());
    let endpoint = format!("tokenEndpoint={}", server.url(TOKEN_PATH));
    let more = [endpoint.as_str(), "clientId=c1", "clientSecret=secret-of-c1"];
    let _node = DiallingNode::start_with(folder.path(), "c1", &url, 2, &more);
    router.await_up(GROUP, &["c1"]);
    let mut reader = Reader::connect(&router, &csv);
    reader.read(20);

    server.set(|manner| manner.inactive = ["c1".to_owned()].into());
    wait_until("the member is cut off", PATIENCE, || !router.is_up(GROUP, "c1"));
    server.set(|manner| manner.inactive.clear());
    router.await_up(GROUP, &["c1"]);
    reader.read(20);
}
