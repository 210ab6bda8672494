//! A real OAuth2 authorization server: Keycloak, as it is published. It is fetched and built once, and started for a test.

use std::env;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::canary::canary;
use crate::java::Java;
use crate::metrics::http_request;
use crate::process::Process;
use crate::scripted::basic;
use crate::workspace;

/// The version, of Maven Central.
const VERSION: &str = "26.0.7";
/// The environment variable that has Keycloak fetched.
const WANTED: &str = "RCS_KEYCLOAK";
/// Bound of a start. A quiet machine needs 15 s, mostly of processor time.
const START: Duration = Duration::from_secs(600);
/// The realm of the tests.
const REALM: &str = "rcs";
/// The scope that the vendor's connector servers request. Each token with it carries a canary, which is found in the token's text too.
pub const SCOPE: &str = "fr:idm:*";
/// A small server that starts quickly: it shares few processors.
const JVM_OPTIONS: &str = "-Xms64m -Xmx512m -XX:MaxMetaspaceSize=256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true";

/// A running Keycloak with an empty realm. It ends with this value.
pub struct Keycloak {
    process: Process,
    /// Where it speaks HTTP without TLS: for the admin interface only.
    plain: SocketAddr,
    /// `https://HOST:PORT`.
    base: String,
    password: String,
    folder: TempDir,
    _java: Java,
}

impl Keycloak {
    /// A Keycloak, or `None` where Java or Maven is missing, or where Keycloak was never fetched: the test named `test` then says so and
    /// returns. With `RCS_KEYCLOAK=1` or `RCS_REQUIRE_ALL=1` in the environment Keycloak is fetched instead.
    pub fn or_skip(test: &str) -> Option<Self> {
        let java = Java::or_skip(test)?;
        let Some(home) = workspace::locked("keycloak", distribution) else {
            // Past the test runner's capture, or nobody would see what was not tested.
            let _ = writeln!(
                std::io::stderr().lock(),
                "SKIPPED {test}: Keycloak is not on this machine; {WANTED}=1 has it fetched once (141 MB)"
            );
            return None;
        };
        Some(Self::start(java, &home))
    }

    fn start(java: Java, home: &Path) -> Self {
        let folder = workspace::scratch();
        make_certificate(folder.path());
        let password = canary("keycloak-admin");
        let mut command = kc(home, &["start", "--optimized", "--cache=local", "--hostname-strict=false"]);
        command.args(["--http-enabled=true", "--http-host=127.0.0.1", "--http-port=0", "--https-port=0"]);
        command.arg(format!("--https-key-store-file={}", folder.path().join("keycloak.p12").display()));
        command.arg("--https-key-store-password=changeit");
        command.env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin").env("KC_BOOTSTRAP_ADMIN_PASSWORD", &password);
        let process = Process::start("keycloak", command);
        let (plain, base) = loop {
            let line = process.read_line("Keycloak says where it listens", START);
            if let Some(found) = listening(&line) {
                break found;
            }
        };
        let keycloak = Self { process, plain, base, password, folder, _java: java };
        keycloak.make_realm();
        keycloak
    }

    /// `https://HOST:PORT/realms/REALM`: what tokens say in `iss`.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{REALM}", self.base)
    }

    /// The address of one of the realm's endpoints: `token`, `token/introspect`, `certs`.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/protocol/openid-connect/{name}", self.issuer())
    }

    /// The certificate that it shows, as PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("keycloak.pem")
    }

    /// The process, to freeze it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Adds a client that may have tokens by client credentials; they live for so many seconds.
    pub fn add_client(&self, id: &str, secret: &str, life: u32) {
        let client = json!({
            "clientId": id, "secret": secret, "serviceAccountsEnabled": true, "standardFlowEnabled": false,
            "publicClient": false, "optionalClientScopes": [SCOPE],
            "attributes": { "access.token.lifespan": life.to_string() },
        });
        self.administer("POST", "/clients", &client);
    }

    /// Changes a client, as an administrator would: its representation is read, changed, and written.
    pub fn set_client(&self, id: &str, change: impl FnOnce(&mut Value)) {
        let mut client = self.client(id);
        change(&mut client);
        self.administer("PUT", &path_of(&client), &client);
    }

    /// Has Keycloak draw a new secret for a client; the old secret is void at once. Returns the new secret.
    pub fn regenerate_secret(&self, id: &str) -> String {
        let path = format!("{}/client-secret", path_of(&self.client(id)));
        let made = self.administer("POST", &path, &json!({}));
        made["value"].as_str().unwrap_or_else(|| panic!("no secret: {made}")).to_owned()
    }

    /// What a client gets that asks for this scope.
    pub fn grant(&self, id: &str, secret: &str, scope: &str) -> Value {
        let form = format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"));
        self.ask_for_token(REALM, &format!("Authorization: {}\r\n", basic(id, secret)), &form)
    }

    fn client(&self, id: &str) -> Value {
        let found = self.administer("GET", &format!("/clients?clientId={id}"), &Value::Null);
        found.get(0).unwrap_or_else(|| panic!("no client {id}: {found}")).clone()
    }

    fn make_realm(&self) {
        // Tokens name the address with TLS, whoever asks for them.
        let realm = json!({ "realm": REALM, "enabled": true, "attributes": { "frontendUrl": self.base } });
        self.send("POST", "/admin/realms", &realm);
        let mark = json!({
            "name": "mark", "protocol": "openid-connect", "protocolMapper": "oidc-hardcoded-claim-mapper",
            "config": { "claim.name": "mark", "claim.value": canary("token"), "jsonType.label": "String",
                        "access.token.claim": "true", "id.token.claim": "true", "introspection.token.claim": "true" },
        });
        let scope = json!({
            "name": SCOPE, "protocol": "openid-connect", "attributes": { "include.in.token.scope": "true" }, "protocolMappers": [mark],
        });
        self.administer("POST", "/client-scopes", &scope);
    }

    /// A request to the admin interface of the realm.
    fn administer(&self, method: &str, path: &str, body: &Value) -> Value {
        self.send(method, &format!("/admin/realms/{REALM}{path}"), body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let form =
            format!("grant_type=password&client_id=admin-cli&username=admin&password={}", self.password);
        let granted = self.ask_for_token("master", "", &form);
        let token = access_token(&granted);
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = http_request(self.plain, method, path, &headers, body.as_bytes());
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}\n{}", self.process);
        serde_json::from_str(&answer).unwrap_or_default()
    }

    fn ask_for_token(&self, realm: &str, headers: &str, form: &str) -> Value {
        let path = format!("/realms/{realm}/protocol/openid-connect/token");
        let headers = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        let (status, answer) = http_request(self.plain, "POST", &path, &headers, form.as_bytes());
        assert_eq!(status, 200, "{answer}\n{}", self.process);
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("no token: {e}: {answer}"))
    }
}

/// The access token of an answer.
pub fn access_token(granted: &Value) -> String {
    granted["access_token"].as_str().unwrap_or_else(|| panic!("no token: {granted}")).to_owned()
}

/// What a signed token says. Nothing is verified.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    payload
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_else(|| panic!("not signed: {token}"))
}

fn path_of(client: &Value) -> String {
    format!("/clients/{}", client["id"].as_str().unwrap_or_else(|| panic!("no id: {client}")))
}

/// The two addresses of `... Listening on: http://HOST:PORT and https://HOST:PORT`.
fn listening(line: &str) -> Option<(SocketAddr, String)> {
    let (_, addresses) = line.split_once("Listening on: http://")?;
    let (plain, base) = addresses.split_once(" and ")?;
    Some((plain.parse().ok()?, base.trim().to_owned()))
}

/// The folder of a Keycloak that was built, in the target folder; `None` if it is not there and nobody wants it fetched.
fn distribution() -> Option<PathBuf> {
    let folder = workspace::target_dir().join("keycloak").join(VERSION);
    let (home, done) = (folder.join(format!("keycloak-{VERSION}")), folder.join("built"));
    if done.is_file() {
        return Some(home);
    }
    if env::var_os(WANTED).is_none() && env::var_os("RCS_REQUIRE_ALL").is_none() {
        return None;
    }
    // What an interrupted run left.
    let _ = fs::remove_dir_all(&folder);
    // First with what is on this machine: it is quicker, and works without a network.
    if fetch(&folder, &["-o"]).is_err() {
        fetch(&folder, &[]).unwrap_or_else(|said| panic!("Keycloak {VERSION} cannot be fetched:\n{said}"));
    }
    said(kc(&home, &["build", "--db=dev-mem"]))
        .unwrap_or_else(|said| panic!("Keycloak is not built:\n{said}"));
    fs::write(&done, "").unwrap_or_else(|e| panic!("cannot write {}: {e}", done.display()));
    Some(home)
}

fn fetch(folder: &Path, more: &[&str]) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let mut mvn = Command::new("mvn");
    // There the plugin notes what it has unpacked, and would not unpack it again.
    mvn.current_dir(folder);
    // The version of the plugin that the Java module of the tests builds with.
    mvn.args(["-B", "-q"]).args(more).arg("org.apache.maven.plugins:maven-dependency-plugin:2.8:unpack");
    mvn.arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"));
    mvn.arg(format!("-DoutputDirectory={}", folder.display()));
    said(mvn)
}

/// `kc.sh` with these arguments.
fn kc(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg(home.join("bin/kc.sh")).args(arguments).env("JAVA_OPTS", JVM_OPTIONS);
    command
}

/// A certificate for this machine's loopback address, as `keycloak.p12` and `keycloak.pem`.
fn make_certificate(folder: &Path) {
    for arguments in [
        "-genkeypair -keyalg EC -groupname secp256r1 -dname CN=keycloak -ext san=ip:127.0.0.1 -storetype PKCS12",
        "-exportcert -rfc -file keycloak.pem",
    ] {
        let mut keytool = Command::new("keytool");
        keytool.current_dir(folder).args(arguments.split(' '));
        keytool.args(["-alias", "keycloak", "-keystore", "keycloak.p12", "-storepass", "changeit"]);
        said(keytool).unwrap_or_else(|said| panic!("keytool {arguments}: {said}"));
    }
}

/// Runs a command to its end.
///
/// # Errors
/// What a command said that failed.
fn said(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|e| e.to_string())?;
    let said = || String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said()) }
}
