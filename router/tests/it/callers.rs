//! Who may call (P12, A09), and that no key is ever told (P9).

use rcs_rig::scripted::{raw_exchange, upgrade_request};

use crate::support::{Router, file, member, provider, router, scratch};

const PROTOCOL: Option<&str> = Some("v1.openicf.forgerock.org");
/// idm:N0-b0dy-kn0ws
const RIGHT: Option<&str> = Some("Basic aWRtOk4wLWIwZHkta24wd3M=");
/// anonymous:changeit
const KNOWN: Option<&str> = Some("Basic YW5vbnltb3VzOmNoYW5nZWl0");

#[test]
fn without_dev_only_the_key_of_the_file_gets_in() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let key = file(&folder, "caller.key", "N0-b0dy-kn0ws\nnot this line\n");
    let provider = document.to_str().unwrap();
    let mut command =
        router(&["serve", "--provider", provider, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.env("RCS_ROUTER_CALLER_KEY_FILE", key).env("RCS_LOG", "trace");
    let mut router = Router::start(command);
    router.await_ready();

    for (authorization, status) in [(RIGHT, 101), (KNOWN, 403), (None, 401)] {
        let request = upgrade_request("/openicf/g", authorization, PROTOCOL);
        // One that is let in, and says nothing more, is let go when its handshake is overdue.
        let answer = raw_exchange(router.listen, request.as_bytes());
        assert_eq!(answer.status, status, "{answer:?}");
        if status != 101 {
            // The sentence is the reason phrase (WIRE 1.1).
            let status_line = answer.head.lines().next().unwrap_or_default();
            assert!(
                status_line.split(' ').count() > 4 && answer.body.is_empty() && answer.closed,
                "{answer:?}"
            );
        }
    }
    let body = router.get("/metrics").1 + &router.get("/v1/members").1;
    router.process.signal(rustix::process::Signal::TERM);
    assert!(router.process.wait(crate::support::PATIENCE).success());
    let (out, err) = router.process.output();
    for secret in ["N0-b0dy-kn0ws", "not this line", "aWRtOk4wLWIwZHkta24wd3M", "changeit"] {
        let told = out.iter().chain(&err).find(|line| line.contains(secret));
        assert_eq!(told, None, "P9: {secret:?} was told");
        assert!(!body.contains(secret), "P9: {secret:?} was told");
    }
}
