//! What peers chose never steers the terminal of an operator: in no answer, table, log line or error frame are control characters.

use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire as _;
use rcs_rig::scripted::{CONNECTOR_INFOS, FakeIdm, Manners, raw_exchange, upgrade_request, validate_request};
use rcs_rig::wait::wait_until;

use crate::support::{PATIENCE, Router, member, provider, run, scratch};

/// Clears a screen, colours a line in two ways, begins a line of its own, and turns the direction of a text.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}31m\r\nforged\u{7f}\u{202e}\u{2028}\u{8}";

/// The first character that a text must not have.
fn odd(text: &str) -> Option<char> {
    let text = text.replace("\r\n", "\n");
    text.chars().find(|c| *c != '\n' && rcs_cli::printable::is_odd(*c))
}

#[test]
fn no_string_of_a_peer_steers_a_terminal() {
    let folder = scratch();
    let (first, second) = (member("n1"), member("n2"));
    // The second member has a connector of its own, so it is quarantined and shown with what differs.
    let mut infos = Vec::<ConnectorInfo>::decode(CONNECTOR_INFOS).unwrap();
    for info in &mut infos {
        info.key.bundle_version = format!("1.0{HOSTILE}");
        info.key.connector_name.push_str(HOSTILE);
    }
    second.tell(infos.encode());
    let document = provider(&folder, &[("n1", &first), ("n2", &second)]);
    let router = Router::serve(&document, &["--dev"]);
    router.await_ready();

    let mut idm = FakeIdm::new(router.listen, "/openicf", Manners::Polite).with_principal(HOSTILE);
    let socket = idm.dial();
    idm.shake_hands(&socket);
    let mut request = validate_request();
    let mut key = request.connector_key.take().unwrap();
    key.bundle_name.push_str(HOSTILE);
    key.bundle_version = format!("2.0{HOSTILE}");
    request.connector_key = Some(key);
    let id = idm.call(&request);
    let answer = idm.answer(id);
    let error = answer.error().expect("no group has this connector");
    assert_eq!(odd(&error.message), None, "error frame: {:?}", error.message);

    let server = format!("http://{}", router.admin);
    wait_until("the refused call is listed, and the odd member quarantined", PATIENCE, || {
        run(&["call", "list", "--server", &server]).stdout.contains("forged")
            && router.get("/v1/groups/g/bundles").1.contains("forged")
    });
    let mut seen = Vec::new();
    for path in [
        "/v1/status",
        "/v1/members",
        "/v1/callers",
        "/v1/calls",
        "/v1/calls/open",
        "/v1/unknown",
        "/v1/files",
        "/v1/quarantine",
        "/v1/groups/g/bundles",
        "/v1/calls/nonsense%1b%9b",
        "/v1/groups/%1b%c2%9b/bundles",
        "/metrics",
        "/readyz",
    ] {
        seen.push((path.to_owned(), router.get(path).1));
    }
    let call = run(&["call", "list", "--server", &server, "-o", "csv"]);
    let number = call.stdout.lines().last().and_then(|line| line.split(',').nth(1)).unwrap().to_owned();
    for command in [
        "status",
        "status -o json",
        "member list",
        "member list -o wide",
        "member list -o json",
        "call list",
        "call list -o wide",
        "call list -o csv",
        "call list -o json",
        "call list --open",
        "bundles status g",
        "bundles diff g",
        "quarantine list",
        &format!("call explain {number}"),
        &format!("call list --caller {}", HOSTILE.replace(' ', "")),
        &format!("member drain g {}", HOSTILE.replace(' ', "")),
    ] {
        let arguments: Vec<&str> = command.split(' ').chain(["--server", &server]).collect();
        let ran = run(&arguments);
        seen.push((command.to_owned(), format!("{}{}", ran.stdout, ran.stderr)));
    }
    let shown: Vec<&String> =
        seen.iter().filter(|(_, text)| text.contains("forged")).map(|(at, _)| at).collect();
    assert!(shown.len() >= 8, "only {shown:?} show what peers chose: does this test still test anything?");
    for (at, text) in &seen {
        assert_eq!(odd(text), None, "{at}: {text:?}");
    }
    let (_, log) = router.process.output();
    assert!(log.iter().any(|line| line.contains("forged")), "{log:#?}");
    assert_eq!(log.iter().find(|line| odd(line).is_some()), None);
}

/// The reason phrase of a refusal repeats nothing that could steer a terminal.
#[test]
fn a_refusal_is_one_line_of_visible_text() {
    let folder = scratch();
    let first = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &first)]), &["--dev"]);
    let key = Some("Basic YW5vbnltb3VzOmNoYW5nZWl0");
    for path in ["/openicf/%C2%9B31m", "/openicf/x%E2%80%AEy", "/openicf/%1b", "/else/%E2%80%A8where"] {
        let request = upgrade_request(path, key, Some("v1.openicf.forgerock.org"));
        let answer = raw_exchange(router.listen, request.as_bytes());
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert_eq!(odd(&format!("{}{}", answer.head, answer.body)), None, "{path}: {answer:?}");
    }
}
