//! What the test of Keycloak stands on: its clients, three routers, and what is connected to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rcs_rig::canary::canary;
use rcs_rig::keycloak::{Keycloak, SCOPE, access_token};
use rcs_rig::metrics::http_get;
use rcs_rig::node::{DiallingNode, Node};
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, Manners};
use rcs_rig::workspace;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node_dials::Reader;

pub(super) const GROUP: &str = "hr";
/// Clients of Keycloak, and for how many seconds their tokens live. The tokens of `near` and `far` end while the test runs.
const CLIENTS: [(&str, u32); 6] =
    [("router", 300), ("steady", 300), ("near", 20), ("far", 20), ("idm", 300), ("stranger", 300)];
/// The first secret of a client.
pub(super) fn secret(client: &str) -> String {
    canary(&format!("secret-of-{client}"))
}

/// Three routers, and what is connected to them.
///
/// ```text
/// idm ─▶ asked (introspection) ─▶ near: a node that dials
///                              ─▶ far:  a router that dials ─▶ n: a node
/// idm ─▶ signed (key set)      ─▶ steady: a node that dials both
/// ```
pub(super) struct Site {
    pub(super) keycloak: Keycloak,
    pub(super) asked: Router,
    pub(super) signed: Router,
    pub(super) far: Router,
    pub(super) near: DiallingNode,
    pub(super) steady: DiallingNode,
    pub(super) agent: Process,
    _listening: Node,
    pub(super) folder: TempDir,
    /// Further secrets, which Keycloak has drawn.
    pub(super) drawn: Vec<String>,
    /// When the client `steady` was deactivated, and how long it took until `asked` had closed its connections.
    deactivated: Option<Instant>,
    pub(super) cut_off_after: Option<Duration>,
}

impl Site {
    pub(super) fn start(keycloak: Keycloak) -> Self {
        let folder = workspace::scratch();
        for (client, life) in CLIENTS {
            keycloak.add_client(client, &secret(client), life);
            write(&folder, &format!("{client}.secret"), &format!("{}\n", secret(client)));
        }
        let files = Files { keycloak: &keycloak, folder: &folder };
        let asked = files.accepting("asked", &files.by_asking());
        let signed = files.accepting("signed", &files.by_keys());
        let both = format!("{} {}", asked.url(None), signed.url(None));
        let near = files.dialling_node("near", &asked.url(None), "connectionTtl=3");
        let steady = files.dialling_node("steady", &both, "tokenEnd=replace");
        let listening = Node::start(&files.place("n"));
        let far = files.dialling_router(&listening, &asked.url(None));
        let agent = files.agent(steady.properties(), &asked);
        Self {
            asked,
            signed,
            far,
            near,
            steady,
            agent,
            _listening: listening,
            drawn: Vec::new(),
            deactivated: None,
            cut_off_after: None,
            keycloak,
            folder,
        }
    }

    pub(super) fn set_steady(&mut self, is_enabled: bool) {
        self.keycloak.set_client("steady", |client| client["enabled"] = json!(is_enabled));
        self.deactivated = (!is_enabled).then(Instant::now);
    }

    /// Looks whether the deactivated client is cut off.
    pub(super) fn is_cut_off(&mut self) -> bool {
        if self.cut_off_after.is_none() && !self.asked.is_up("s", "steady") {
            self.cut_off_after = self.deactivated.map(|at| at.elapsed());
        }
        self.cut_off_after.is_some()
    }

    pub(super) fn token(&self, client: &str) -> String {
        access_token(&self.keycloak.grant(client, &secret(client), SCOPE))
    }

    /// A caller of a group that shows a token.
    pub(super) fn caller(&self, router: &Router, group: &str) -> Reader {
        let mut idm = FakeIdm::new(router.listen(), &format!("/openicf/{group}"), Manners::Polite)
            .with_token(&self.token("idm"));
        for _ in 0..2 {
            let socket = idm.dial();
            idm.shake_hands(&socket);
        }
        Reader::of(idm, &self.folder.path().join("hr.csv").display().to_string())
    }
}

/// What programs are started with.
struct Files<'a> {
    keycloak: &'a Keycloak,
    folder: &'a TempDir,
}

impl Files<'_> {
    /// A folder of its own for a program.
    fn place(&self, name: &str) -> PathBuf {
        let place = self.folder.path().join(name);
        fs::create_dir_all(&place).expect("the scratch folder takes a folder");
        place
    }

    fn secret_of(&self, client: &str) -> String {
        self.folder.path().join(format!("{client}.secret")).display().to_string()
    }

    fn trusted(&self) -> String {
        self.keycloak.certificate().display().to_string()
    }

    fn by_asking(&self) -> String {
        let (url, secret) = (self.keycloak.endpoint("token/introspect"), self.secret_of("router"));
        format!("introspection = '{url}'\nclient_id = 'router'\nclient_secret_file = '{secret}'\n")
    }

    fn by_keys(&self) -> String {
        let (url, issuer) = (self.keycloak.endpoint("certs"), self.keycloak.issuer());
        format!("jwks = '{url}'\nissuer = '{issuer}'\nscopes = ['{SCOPE}']\n")
    }

    /// A router that lets in whoever shows a token of Keycloak.
    fn accepting(&self, name: &str, issuer: &str) -> Router {
        let (place, trusted) = (self.place(name), self.trusted());
        let members =
            ["near", "far", "steady"].map(|member| format!("[member.{member}]\ntoken = 'kc'\n")).concat();
        let credentials = place.join("credentials.toml");
        let text = format!(
            "[issuer.kc]\n{issuer}trust_store = '{trusted}'\n[caller.idm]\ntoken = 'kc'\ngroups = ['*']\n{members}"
        );
        fs::write(&credentials, text).expect("the scratch folder takes a file");
        let provider = Provider::new().client("near").client("far").client("steady");
        let provider =
            provider.group(GROUP, "roundrobin", &["near", "far"]).group("s", "failover", &["steady"]);
        let credentials = credentials.display().to_string();
        Router::start_logged(&provider.write(&place), &["--credentials", &credentials], Some("trace"))
    }

    fn dialling_node(&self, client: &str, urls: &str, more: &str) -> DiallingNode {
        let properties = [
            format!("tokenEndpoint={}", self.keycloak.endpoint("token")),
            format!("clientId={client}"),
            format!("clientSecretFile={}", self.secret_of(client)),
            format!("scope={SCOPE}"),
            format!("trustStoreFile={}", self.trusted()),
            "trustStoreType=PEM".to_owned(),
            more.to_owned(),
        ];
        let properties = properties.each_ref().map(String::as_str);
        DiallingNode::start_logged(&self.place(client), client, urls, 2, &properties, Some("trace"))
    }

    /// The router `far`, in client mode, before a node that listens.
    fn dialling_router(&self, listening: &Node, url: &str) -> Router {
        let place = self.place("far");
        let table = format!(
            "[idm.far]\nurl = '{url}'\ntoken_endpoint = '{}'\nclient_id = 'far'\nclient_secret_file = '{}'\nscope = '{SCOPE}'\n\
             trust_store = '{}'\nconnections = 2\nconnection_ttl = '3s'\nnew_connections_interval = '0s'\nhousekeeping_interval = '1s'\n",
            self.keycloak.endpoint("token"),
            self.secret_of("far"),
            self.trusted(),
        );
        let config = place.join("router.toml");
        fs::write(&config, table).expect("the scratch folder takes a file");
        let provider = Provider::new().server("n", listening.port(), 2).write(&place);
        Router::start_logged(&provider, &["--config", &config.display().to_string()], Some("trace"))
    }

    /// An agent reads the properties of its server, those of OAuth2 among them.
    fn agent(&self, properties: &Path, router: &Router) -> Process {
        let mut agent = Command::new(workspace::binary("rcs-node"));
        agent.args(["agent", "--interval", "1s", "--report", &format!("http://{}", router.admin())]);
        agent.arg("--properties").arg(properties).arg("--key-file").arg(self.secret_of("stranger"));
        agent.env("RCS_LOG", "trace");
        Process::start("rcs-node agent", agent)
    }
}

pub(super) fn write(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).expect("the scratch folder takes a file");
}

pub(super) fn status(router: &Router) -> Value {
    serde_json::from_str(&http_get(router.admin(), "/v1/status").1).unwrap_or_default()
}

pub(super) fn logged(process: &Process, part: &str) -> usize {
    process.stderr_lines().iter().filter(|line| line.contains(part)).count()
}
