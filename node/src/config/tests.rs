use super::*;

/// The server-mode sample (P39): the vendor's keys and values.
const SERVER_SAMPLE: &str = include_str!("../../tests/data/server.properties");
/// The client-mode sample (P39).
const CLIENT_SAMPLE: &str = include_str!("../../tests/data/client.properties");

fn read(text: &str) -> Result<NodeConfig, ConfigError> {
    NodeConfig::read(text.as_bytes(), Path::new("/opt/openicf/conf/ConnectorServer.properties"), &[])
}

fn listen(config: &NodeConfig) -> &Listen {
    match &config.mode {
        Mode::Server(listen) => listen,
        Mode::Client(_) => panic!("client mode"),
    }
}

fn urls_of(dial: &Dial) -> Vec<String> {
    dial.urls.iter().map(ToString::to_string).collect()
}

/// P08-P09: what a file that says nothing of it gets, and what makes no sense.
#[test]
fn client_mode_has_defaults_and_bounds() {
    let client = "connectorserver.connectorServerName=rcs1\nconnectorserver.url=ws://a/openicf\n";
    let Mode::Client(dial) = read(client).unwrap().mode else { panic!("server mode") };
    let Rhythm { sockets, max_sockets, connection_ttl, .. } = dial.rhythm;
    assert_eq!((sockets, max_sockets, connection_ttl), (3, 4, None));
    for (line, expected) in [
        ("webSocketConnections=0", "must be 1 at least"),
        ("webSocketConnections=1025", "at most 1024 connections"),
        ("maxWebSocketConnections=2", "must be 3 at least, as webSocketConnections"),
        ("hostId=a b", "without blanks"),
        (
            "tokenEndpoint=am\nconnectorserver.clientId=a\nconnectorserver.clientSecret=b",
            "\"am\" is not usable: expected a URL",
        ),
        (
            "tokenEndpoint=ftp://a/\nconnectorserver.clientId=a\nconnectorserver.clientSecret=b",
            "begins with https://",
        ),
        ("tokenEndpoint=https://a/\nconnectorserver.clientSecret=b", "clientId is needed with tokenEndpoint"),
        (
            "tokenEndpoint=https://a/\nconnectorserver.clientId=b",
            "clientSecretFile is needed with tokenEndpoint",
        ),
        (
            "tokenEndpoint=https://a/\nconnectorserver.clientId=b\nconnectorserver.clientSecret=c\nconnectorserver.clientSecretFile=d",
            "clientSecretFile \"d\" and connectorserver.clientSecret are both set",
        ),
        (
            "tokenEndpoint=https://a/\nconnectorserver.clientId=b\nconnectorserver.clientSecret=c\nconnectorserver.tokenEnd=close",
            "tokenEnd \"close\" must be keep or replace",
        ),
    ] {
        let found = problems(&format!("{client}connectorserver.{line}"));
        assert!(found.len() == 1 && found[0].contains(expected), "{line}: {found:?}");
    }
    for (lines, expected) in [
        ("maxWebSocketConnections=3\nconnectorserver.connectionTtl=60", "no room for a further connection"),
        ("connectionTtl=2", "is shorter than newConnectionsInterval times webSocketConnections"),
        ("principal=anonymous", "differs from connectorServerName"),
        ("proxyPort=1", "has no effect without connectorserver.proxyHost"),
        ("clientId=a", "has no effect without connectorserver.tokenEndpoint"),
        ("clientSecretFile=a", "has no effect without connectorserver.tokenEndpoint"),
        ("tokenEnd=keep", "has no effect without connectorserver.tokenEndpoint"),
        ("trustStoreFile=a", "no URL begins with wss://"),
    ] {
        let notices = read(&format!("{client}connectorserver.{lines}")).unwrap().notices;
        assert!(notices.len() == 1 && notices[0].contains(expected), "{lines}: {notices:?}");
    }
    let notices = read(&client.replace("/openicf", "")).unwrap().notices;
    assert!(notices.len() == 1 && notices[0].contains("/openicf is dialled"), "{notices:?}");
}

fn problems(text: &str) -> Vec<String> {
    match read(text).expect_err(text) {
        ConfigError::Problems(problems) => problems.iter().map(ToString::to_string).collect(),
        ConfigError::Syntax(error) => panic!("{error}"),
    }
}

/// P39, P20-P31, P34, P35.
#[test]
fn server_sample_loads_unchanged() {
    let config = read(SERVER_SAMPLE).unwrap();
    let listen = listen(&config);
    assert_eq!((listen.port, listen.transport), (8759, Transport::Tls));
    assert_eq!(listen.host.to_string(), "0.0.0.0");
    assert!(listen.key.is_default());
    assert_eq!(config.ping_interval, Some(Duration::from_secs(60)));
    assert_eq!(config.principal.as_deref(), Some("anonymous"));
    assert_eq!(config.password.as_ref().unwrap().expose(), "changeit");
    let key_store = config.key_store.as_ref().unwrap();
    assert_eq!(key_store.path, Path::new("/opt/openicf/security/keyStore.pkcs12"));
    assert_eq!(key_store.password.expose(), "changeit");
    assert_eq!(
        config.trust_store.as_ref().unwrap().path,
        Path::new("/opt/openicf/security/truststore.pkcs12")
    );
    assert_eq!(config.bundle_dir, Path::new("/opt/openicf/connectors"));
    assert_eq!(config.lib_dir, Path::new("/opt/openicf/lib"));
    // P29-P31: what does nothing here is named.
    assert_eq!(config.notices.len(), 3, "{:?}", config.notices);
    for name in ["loggerClass", "principal", "password"] {
        let named = format!("connectorserver.{name} has no effect");
        assert!(config.notices.iter().any(|notice| notice.contains(&named)), "{:?}", config.notices);
    }
}

/// P39, P01-P09, P17; its server name breaks P01's own rule, W01.
#[test]
fn client_sample_loads_unchanged() {
    let config = read(CLIENT_SAMPLE).unwrap();
    let Mode::Client(dial) = &config.mode else { panic!("server mode") };
    assert_eq!(urls_of(dial), ["wss://my-tenant.forgeblocks.com:8443/openicf"]);
    assert_eq!(
        (dial.server_name.as_str(), dial.host_id.as_deref()),
        ("myConnectorServer", Some("MY_UNIQUE_RCS_HOST_ID"))
    );
    let rhythm = Rhythm {
        sockets: 3,
        max_sockets: 4,
        housekeeping_interval: Duration::from_secs(20),
        connection_ttl: Some(Duration::from_secs(3000)),
        new_connections_interval: Duration::from_secs(10),
    };
    assert_eq!((dial.rhythm, dial.group_check_interval), (rhythm, Duration::from_secs(900)));
    assert_eq!(
        config.ping_interval,
        Some(Duration::from_secs(20)),
        "housekeeping finds dead sockets by pings"
    );
    let token = dial.token.as_ref().unwrap();
    assert!(token.endpoint.to_string().ends_with("/realms/alpha/access_token"));
    assert_eq!(token.scope.as_deref(), Some("fr:idm:*"));
    assert_eq!((token.client_id.as_str(), token.at_end), ("my-client-id", AtTokenEnd::Keep));
    assert!(matches!(&token.secret, SecretOf::Value(secret) if secret.expose() == "my-client-secret"));
    assert!(dial.proxy.is_none());
    let placeholders =
        config.notices.iter().filter(|notice| notice.contains("the placeholder of an example"));
    assert_eq!(placeholders.count(), 5, "{:?}", config.notices);
    assert_eq!(config.notices.len(), 2 + 5, "{:?}", config.notices);
    assert!(
        config.notices.iter().any(|notice| notice.contains("connectorServerName should have lower-case"))
    );
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = read("").unwrap();
    let listen = listen(&config);
    assert_eq!((listen.port, listen.transport), (8759, Transport::Plain));
    assert!(listen.key.is_default());
    assert_eq!(config.ping_interval, Some(Duration::from_secs(300)));
    assert!(config.key_store.is_none() && config.trust_store.is_none() && config.notices.is_empty());
}

/// P19, W08, P02, P40.
#[test]
fn single_values() {
    let ping = |text| read(text).unwrap().ping_interval;
    assert_eq!(ping("connectorserver.pingPongInterval=0"), None);
    assert_eq!(ping("connectorserver.pingPongInterval = 7 "), Some(Duration::from_secs(7)));
    assert_eq!(listen(&read("connectorserver.port=").unwrap()).port, 8759);
    assert_eq!(listen(&read("connectorserver.address=127.0.0.1").unwrap()).host.to_string(), "127.0.0.1");
    for (text, host) in
        [("ifaddress=[::1]", "::1"), ("ifaddress=localhost", "localhost"), ("address=::1", "::1")]
    {
        assert_eq!(listen(&read(&format!("connectorserver.{text}")).unwrap()).host.to_string(), host);
    }
    assert!(read("connectorserver.address=::1\nconnectorserver.ifaddress=[::1]").is_ok(), "the same, twice");
    let client = "connectorserver.connectorServerName=rcs1\nconnectorserver.url=";
    for urls in ["ws://a/openicf/0 wss://b:443/openicf/1", "ws://a/openicf/0,wss://b:443/openicf/1"] {
        let Mode::Client(dial) = read(&format!("{client}{urls}")).unwrap().mode else {
            panic!("server mode")
        };
        assert_eq!(urls_of(&dial), ["ws://a/openicf/0", "wss://b/openicf/1"]);
    }
}

/// P32: both spellings, and no contradiction.
#[test]
fn use_ssl_in_both_spellings() {
    let store = "connectorserver.keyStoreFile=/k.p12\n";
    for (line, expected) in [
        ("connectorserver.useSSL=true", Transport::Tls),
        ("connectorserver.usessl=TRUE", Transport::Tls),
        ("connectorserver.usessl=false", Transport::Plain),
        ("connectorserver.useSSL=true\nconnectorserver.usessl=true", Transport::Tls),
    ] {
        assert_eq!(listen(&read(&format!("{store}{line}")).unwrap()).transport, expected, "{line}");
    }
}

/// Each problem has its line, its property and what to do.
#[test]
fn problems_are_told_with_their_lines() {
    for (text, expected) in [
        (
            "\nconnectorserver.port=70000",
            "line 2: connectorserver.port \"70000\" must be a whole number from 0 to 65535",
        ),
        (
            "connectorserver.pingPongInterval=-1",
            "line 1: connectorserver.pingPongInterval \"-1\" must be a whole number",
        ),
        ("connectorserver.useSSL=yes", "line 1: connectorserver.useSSL \"yes\" is neither true nor false"),
        ("connectorserver.useSSL=true", "missing: connectorserver.keyStoreFile is needed with useSSL=true"),
        (
            "connectorserver.useSSL=false\nconnectorserver.usessl=true",
            "line 2: connectorserver.usessl \"true\" contradicts connectorserver.useSSL",
        ),
        (
            "connectorserver.key=Passw0rd",
            "line 1: connectorserver.key is not a key hash (base64 of 20 bytes): do not type the key in, set it with `rcs-node set-key",
        ),
        (
            "connectorserver.address=localhost:8759",
            "line 1: connectorserver.address \"localhost:8759\" is neither an IP address nor a host name",
        ),
        (
            "connectorserver.userSSL=true",
            "line 1: connectorserver.useSSL is misspelt as connectorserver.userSSL, so no server",
        ),
        (
            "connectorserver.address=::1\nconnectorserver.ifaddress=::2",
            "line 2: connectorserver.ifaddress \"::2\" differs from connectorserver.address",
        ),
        ("connectorserver.keyStoreType=JKS", "line 1: connectorserver.keyStoreType \"JKS\" must be PKCS12"),
        ("connectorserver.url=wss://a", "missing: connectorserver.connectorServerName is needed with url"),
        (
            "connectorserver.url=https://a\nconnectorserver.connectorServerName=a",
            "line 1: connectorserver.url \"https://a\" must hold ws:// or wss:// URLs",
        ),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
    }
    let all = problems(
        "connectorserver.port=x\nconnectorserver.pingPongInterval=x\nconnectorserver.address=a b\nconnectorserver.key=x\n\
         connectorserver.useSSL=true\nconnectorserver.keyStoreType=BKS",
    );
    assert_eq!(all.len(), 6, "{all:?}");
    let control = problems("connectorserver.port=\\u001b[2J\\r\\nforged");
    assert!(control[0].contains(r#""\u{1b}[2J\r\nforged""#), "{control:?}");
    let examined = NodeConfig::examine(b"a=\\u1\nb=\\u2\nconnectorserver.port=x", Path::new("a"), &[]);
    assert_eq!((examined.syntax.len(), examined.problems.len()), (2, 1), "{examined:?}");
    assert!(matches!(read("a=\\u1"), Err(ConfigError::Syntax(_))));
}

/// P38, P33, W04, and unknown names.
#[test]
fn misplaced_and_unknown_properties_are_named() {
    let client = "connectorserver.connectorServerName=rcs1\nconnectorserver.url=wss://a/openicf\n";
    for (text, expected) in [
        (
            "connectorserver.hostId=a".to_owned(),
            "line 1: connectorserver.hostId is a property of client mode",
        ),
        (
            format!("{client}connectorserver.port=1"),
            "line 3: connectorserver.port is a property of server mode",
        ),
        (format!("{client}connectorserver.useSSL=true"), "ws or wss in the url decides"),
        ("connectorserver.Port=1".to_owned(), "did you mean connectorserver.port? Case counts"),
        ("connectorserver.prot=1".to_owned(), "did you mean connectorserver.port?"),
        ("connectorserver.loggingConfigFile=a".to_owned(), "loggingConfigFile has no effect"),
        ("connectorserver.nonsense=1".to_owned(), "line 1: connectorserver.nonsense is unknown"),
        ("secret word".to_owned(), "line 1: the name does not begin with `connectorserver.`"),
        (
            "connectorserver.useSSL=true\nconnectorserver.keyStoreFile=a\nconnectorserver.keyStorePass=a\nconnectorserver.keyPass=b"
                .to_owned(),
            "line 4: connectorserver.keyPass differs from keyStorePass",
        ),
        (
            "connectorserver.useSSL=true\nconnectorserver.keyStoreFile=a\nconnectorserver.keyPass=b".to_owned(),
            "line 3: connectorserver.keyPass has no effect: a PKCS12 store has one password",
        ),
        ("connectorserver.keyStoreFile=a".to_owned(), "keyStoreFile has no effect without connectorserver.useSSL=true"),
        ("connectorserver.keyPass=b".to_owned(), "keyPass has no effect without connectorserver.keyStoreFile"),
        ("connectorserver.trustStorePass=b".to_owned(), "trustStorePass has no effect without connectorserver.trustStoreFile"),
        ("connectorserver.password=b".to_owned(), "password has no effect in server mode"),
        (
            format!("{client}connectorserver.hostId=<host-id>"),
            "line 3: connectorserver.hostId is the placeholder of an example",
        ),
        (
            client.replace("openicf", "openicf wss://a/openicf"),
            "line 2: connectorserver.url has a URL twice",
        ),
        (
            format!(
                "{client}connectorserver.tokenEndpoint=https://a/t\nconnectorserver.clientId=b\nconnectorserver.clientSecret=c\n\
                 connectorserver.principal=d"
            ),
            "line 6: connectorserver.principal has no effect with connectorserver.tokenEndpoint",
        ),
    ] {
        let notices = read(&text).unwrap().notices;
        assert!(notices.len() == 1 && notices[0].contains(expected), "{text}: {notices:?}");
    }
}

/// P40: `-D` wins over the file; the last one wins over the others.
#[test]
fn overrides_win_over_the_file() {
    let overrides: Vec<Override> = ["connectorserver.port=1", "connectorserver.port=0"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let config =
        NodeConfig::read(b"connectorserver.port=8759", Path::new("a.properties"), &overrides).unwrap();
    assert_eq!(listen(&config).port, 0);
    let bad = ["connectorserver.port=x".parse().unwrap()];
    let error = NodeConfig::read(b"", Path::new("a.properties"), &bad).expect_err("no port");
    assert!(error.to_string().starts_with("command line: connectorserver.port"), "{error}");
    "connectorserver.port".parse::<Override>().expect_err("no value");
}

#[test]
fn paths_start_from_the_install_root() {
    let root = |path: &str| NodeConfig::read(b"", Path::new(path), &[]).unwrap().install_root;
    for (path, expected) in [
        ("/opt/openicf/conf/ConnectorServer.properties", "/opt/openicf"),
        ("/etc/rcs/ConnectorServer.properties", "/etc/rcs"),
        ("conf/ConnectorServer.properties", "."),
        ("openicf/conf/ConnectorServer.properties", "openicf"),
        ("ConnectorServer.properties", "."),
    ] {
        assert_eq!(root(path), Path::new(expected), "{path}");
    }
    let config = read("connectorserver.libDir=/var/lib/rcs").unwrap();
    assert_eq!(config.lib_dir, Path::new("/var/lib/rcs"));
}

/// P9: nothing secret in Debug or in a message.
#[test]
fn secrets_are_never_shown() {
    let text = "connectorserver.password=hunter2\nconnectorserver.keyStorePass=hunter2\nconnectorserver.keyPass=x\n\
                connectorserver.keyStoreFile=k\nhunter2=hunter2";
    let shown = format!("{:?}", read(text).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown = read("connectorserver.key=hunter2").expect_err("bad").to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
}
