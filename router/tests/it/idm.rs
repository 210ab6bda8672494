//! IDM's own REST interface, with the requests and answers of the vendor's pages.

use rcs_rig::metrics::http_request;
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};

use crate::changes::Alone;
use crate::support::PATIENCE;

const CONFIG: &str = "/openidm/config/provisioner.openicf.connectorinfoprovider";

fn action(name: &str) -> String {
    format!("/openidm/system?_action={name}")
}

#[test]
fn connector_servers_are_configured_as_in_idm() {
    let alone = Alone::start_with("cluster", &["--idm-api"]);
    let post = |name: &str, body: &str| alone.send("POST", &action(name), "", body);
    let types = post("availableConnectorServers", "").body;
    let listed: Vec<(&str, &str)> = types["connectorServers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["type"].as_str().unwrap(), row["displayName"].as_str().unwrap()))
        .collect();
    assert_eq!(
        listed,
        [
            ("remoteConnectorServer", "Remote Connector Server"),
            ("remoteConnectorServersGroup", "Remote Connector Servers Group"),
            ("remoteConnectorClient", "Remote Connector Server in Client mode"),
            ("remoteConnectorClientsGroup", "Remote Connector Servers Group in Client mode"),
        ]
    );
    assert_eq!(types["connectorServers"][0]["systemType"], "provisioner.openicf");
    let core = |kind: &str| {
        post(
            "createConnectorServerCoreConfig",
            &json!({"type": kind, "systemType": "provisioner.openicf"}).to_string(),
        )
        .body
    };
    assert_eq!(
        core("remoteConnectorServer"),
        json!({
            "displayName": "", "proxyPassword": null, "proxyHost": null, "enabled": true, "useSSL": false,
            "proxyPort": 8080, "port": "", "name": "", "host": "", "proxyUser": null, "housekeepingInterval": 600,
            "connectionGroupCheckInterval": 900, "pingPongInterval": 300, "key": "password", "webSocketConnections": 2,
        })
    );
    assert_eq!(
        core("remoteConnectorClient"),
        json!({"displayName": "", "name": "", "enabled": true, "useSSL": false})
    );
    for kind in ["remoteConnectorServersGroup", "remoteConnectorClientsGroup"] {
        assert_eq!(
            core(kind),
            json!({"displayName": "", "name": "", "serversList": [], "algorithm": "failover"})
        );
    }
    for body in [
        "",
        "{}",
        r#"{"type": "remoteConnectorServer"}"#,
        r#"{"type": "x", "systemType": "provisioner.openicf"}"#,
    ] {
        let refused = post("createConnectorServerCoreConfig", body);
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!(400)), "{body}: {refused:?}");
    }
    wait_until("the members are connected", PATIENCE, || {
        let tested = post("testConnectorServers", "{}").body;
        tested["openicf"].as_array().is_some_and(|rows| {
            rows.len() == 2
                && rows.iter().all(|row| row["type"] == "remoteConnectorServer" && row["ok"].is_boolean())
        })
    });
    // A template does not work as it is.
    let template = json!({"remoteConnectorServers": [core("remoteConnectorServer")]}).to_string();
    assert_eq!(alone.send("PUT", CONFIG, "", &template).status, 422);
}

/// The document of the vendor's page comes back as it was sent, with the key encrypted; a second document takes its place as a whole.
#[test]
fn a_put_replaces_the_whole_document_and_shows_no_key() {
    let alone = Alone::start_with("cluster", &["--idm-api"]);
    let server = json!({
        "type": "remoteConnectorServer", "displayName": "Remote Connector Server 1", "proxyPassword": null,
        "proxyHost": null, "enabled": true, "useSSL": false, "proxyPort": 8080, "port": 8759, "name": "rcs1",
        "host": "rcs.example.com", "proxyUser": null, "housekeepingInterval": 600,
        "connectionGroupCheckInterval": 900, "pingPongInterval": 300, "key": "Passw0rd", "webSocketConnections": 2,
    });
    let mut document = json!({
        "_id": "provisioner.openicf.connectorinfoprovider", "connectorsLocation": "connectors", "enabled": true,
        "remoteConnectorServers": [server],
    });
    let put = |document: &Value, headers: &str| alone.send("PUT", CONFIG, headers, &document.to_string());
    let stored = put(&document, "");
    assert_eq!(stored.status, 200, "{stored:?}");
    let key = &stored.body["remoteConnectorServers"][0]["key"]["$crypto"];
    assert_eq!(key["type"], "x-simple-encryption");
    let fields: Vec<&str> = key["value"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["cipher", "data", "iv", "keySize", "mac", "purpose", "salt", "stableId"]);
    document["remoteConnectorServers"][0]["key"] = stored.body["remoteConnectorServers"][0]["key"].clone();
    assert_eq!(stored.body, document, "the answer is the document");
    // Sent back as it came, it changes nothing: the member keeps its key.
    let again = put(&stored.body, "");
    assert_eq!(again.status, 200, "{again:?}");
    let shown = alone.send("GET", CONFIG, "", "");
    assert_eq!(shown.body["remoteConnectorServers"][0]["name"], "rcs1");
    assert!(!shown.body.to_string().contains("Passw0rd"), "{shown:?}");
    let with_keys = alone.send("POST", "/v1/export", "", "");
    assert_eq!(with_keys.body["remoteConnectorServers"][0]["key"], "Passw0rd");
    assert_eq!(put(&document, "If-Match: \"1\"\r\n").status, 412);
    // Groups stand among the servers, and their members need not be in the document.
    let group = json!({
        "_id": "provisioner.openicf.connectorinfoprovider", "connectorsLocation": "connectors", "enabled": true,
        "remoteConnectorServers": [{
            "type": "remoteConnectorServersGroup", "displayName": ".NET Failover Group", "name": "dotnet-ha",
            "algorithm": "failover", "serversList": [{"name": "remote-host-1"}, {"name": "remote-host-2"}],
        }],
    });
    let stored = put(&group, "");
    assert_eq!((stored.status, stored.body), (200, group));
    assert_eq!(alone.get("/v1/servers").body, json!([]), "the whole document was replaced");
    assert!(!alone.router.process.to_string().contains("Passw0rd"), "no key is logged");
}

#[test]
fn idms_interface_needs_its_option_and_credentials() {
    let alone = Alone::start_with("file", &["--idm-api"]);
    // With --dev on a loopback address no token is needed, but a wrong one is refused.
    let with = |header: &str| http_request(alone.admin(), "GET", CONFIG, header, b"").0;
    assert_eq!(with("X-OpenIDM-Username: openidm-admin\r\nX-OpenIDM-Password: t0ken\r\n"), 200);
    assert_eq!(with("X-OpenIDM-Password: wrong\r\n"), 403);
    let document = alone.send("GET", CONFIG, "", "").body;
    let mut changed = document.clone();
    changed["remoteConnectorServers"][0]["port"] = 1.into();
    let refused = alone.send("PUT", CONFIG, "", &changed.to_string());
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!(409)), "the file decides: {refused:?}");
    let without = Alone::start("cluster");
    assert_eq!(without.send("GET", CONFIG, "", "").status, 404, "it is off unless it is asked for");
}
