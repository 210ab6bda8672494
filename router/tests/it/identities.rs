//! Callers and members with credentials of their own (A09, X07, P9, P12), and what their keys are attacked with.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rcs_rig::provider::Provider;
use rcs_rig::scripted::{FakeIdm, Manners, basic, raw_exchange, upgrade_request};
use rcs_rig::wait::wait_until;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::support::{PATIENCE, Ran, Router, file, member, router, run_command, scratch};

const PROTOCOL: Option<&str> = Some("v1.openicf.forgerock.org");

/// Hashes a key with the program. The key goes through standard input.
fn hash_key(key: &str, more: &[&str]) -> Ran {
    let mut command = router(&["hash-key"]);
    command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub(crate) fn hash(key: &str) -> String {
    let ran = hash_key(&format!("{key}\n"), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout.trim_end().to_owned()
}

/// The status of an upgrade, and the line that says why.
pub(crate) fn ask(listen: SocketAddr, path: &str, principal: &str, key: &str) -> (u16, String) {
    let request = upgrade_request(path, Some(&basic(principal, key)), PROTOCOL);
    told(TcpStream::connect(listen).unwrap(), &request)
}

/// Sends a request, and reads the first line of the answer.
pub(crate) fn told(mut stream: TcpStream, request: &str) -> (u16, String) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).is_ok_and(|read| read == 1) && byte[0] != b'\r' {
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    (line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), line)
}

#[test]
fn a_key_is_hashed_from_standard_input_or_a_file_and_a_known_one_is_refused() {
    let ran = hash_key("s3cr3t-key\n", &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("$argon2id$v=19$") && ran.stdout.ends_with('\n'), "{ran:?}");
    assert_ne!(ran.stdout, hash_key("s3cr3t-key\n", &[]).stdout, "each hash has a salt of its own");
    let folder = scratch();
    let path = file(&folder, "key", "s3cr3t-key\n");
    assert_eq!(hash_key("", &["--file", &path]).code, Some(0));
    for (key, part) in
        [("changeit\n", "default key"), ("anonymous", "default key"), ("\n", "is empty"), ("", "is empty")]
    {
        let ran = hash_key(key, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(65), ""), "{ran:?}");
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
    assert_eq!(hash_key("changeit", &["--dev"]).code, Some(0));
}

#[test]
fn each_name_gets_in_with_its_own_key_and_to_its_own_groups() {
    let folder = scratch();
    let (one, two) = (member("n1"), member("n2"));
    let document = Provider::new().server("n1", one.port(), 1).server("n2", two.port(), 1);
    let document =
        document.group("a", "failover", &["n1"]).group("b", "failover", &["n2"]).write(folder.path());
    // Beside them, a member in client mode.
    let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&document).unwrap()).unwrap();
    text["remoteConnectorClients"] = json!([{ "name": "n3", "enabled": true, "useSSL": false }]);
    std::fs::write(&document, text.to_string()).unwrap();
    let (idm, late, n3) = (hash("idm-s3cr3t"), hash("late-s3cr3t"), hash("n3-s3cr3t"));
    let callers = format!(
        "[caller.idm]\nhashes = [\"{idm}\"]\ngroups = [\"a\"]\n[caller.late]\nhashes = [\"{late}\"]\ngroups = [\"*\"]\nexpires = 2020-01-01\n"
    );
    let good = format!("{callers}[member.n3]\nhashes = [\"{n3}\"]\n");
    let credentials = file(&folder, "credentials.toml", &good);
    let shared = file(&folder, "caller.key", "shared-s3cr3t\n");
    let provider = document.to_str().unwrap();
    let checked = |credentials: &str| {
        run_command(router(&["check", "--provider", provider, "--credentials", credentials]))
    };
    assert_eq!(checked(&credentials).code, Some(0));
    let mut command =
        router(&["serve", "--provider", provider, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command
        .args(["--caller-key-file", &shared])
        .env("RCS_ROUTER_CREDENTIALS", &credentials)
        .env("RCS_LOG", "debug");
    let mut router = Router::start(command);
    router.await_ready();

    for (path, principal, key, status, part) in [
        ("/openicf/a", "idm", "idm-s3cr3t", 101, ""),
        ("/openicf", "idm", "idm-s3cr3t", 101, ""),
        ("/openicf/b", "idm", "idm-s3cr3t", 403, "not for the group or server \"b\""),
        ("/openicf/n2", "idm", "idm-s3cr3t", 403, "not for the group"),
        ("/openicf/c", "idm", "idm-s3cr3t", 404, "no group or server named"),
        ("/openicf/a", "idm", "shared-s3cr3t", 403, "wrong principal or key"),
        ("/openicf/a", "idm", "n3-s3cr3t", 403, "wrong principal or key"),
        ("/openicf/a", "other", "idm-s3cr3t", 403, "wrong principal or key"),
        ("/openicf/b", "other", "shared-s3cr3t", 101, ""),
        ("/openicf/a", "late", "late-s3cr3t", 403, "expired at 2020-01-01T00:00:00Z"),
        ("/openicf", "n3", "n3-s3cr3t", 101, ""),
        ("/openicf", "n3", "shared-s3cr3t", 403, "wrong principal or key"),
        ("/openicf", "n3", "idm-s3cr3t", 403, "wrong principal or key"),
        ("/openicf/a", "idm", "changeit", 403, "known to everybody"),
    ] {
        let (found, line) = ask(router.listen, path, principal, key);
        assert_eq!(found, status, "{path} {principal} {key}: {line}");
        assert!(line.contains(part), "{line}");
    }
    router.await_log("a member in client mode opened a connection");
    let mut caller = FakeIdm::new(router.listen, "/openicf/a", Manners::Polite)
        .with_principal("idm")
        .with_key("idm-s3cr3t");
    let socket = caller.dial();
    caller.shake_hands(&socket);
    assert!(!caller.ask_for_connectors(PATIENCE).is_empty());

    // A bad file changes nothing and is told once. A good one is in force for new connections.
    std::fs::write(&credentials, "[caller.idm]\nhashes = [\"idm-s3cr3t\"]\ngroups = [\"a\"]\n").unwrap();
    router.await_log("caller.idm hashes: number 1 is not a hash");
    assert_eq!(checked(&credentials).code, Some(65));
    assert!(router.get("/readyz").1.contains("\"rejected_files\":[\"credentials\"]"));
    assert_eq!(ask(router.listen, "/openicf/a", "idm", "idm-s3cr3t").0, 101);
    let renewed = hash("idm-new-s3cr3t");
    let both = format!("[caller.idm]\nhashes = [\"{idm}\", \"{renewed}\"]\ngroups = [\"a\", \"b\"]\n");
    std::fs::write(&credentials, both).unwrap();
    router.await_log("the file of credentials changed");
    for key in ["idm-s3cr3t", "idm-new-s3cr3t"] {
        assert_eq!(ask(router.listen, "/openicf/b", "idm", key).0, 101);
    }
    assert_eq!(ask(router.listen, "/openicf", "n3", "n3-s3cr3t").0, 403, "revoked");
    assert!(!caller.ask_for_connectors(PATIENCE).is_empty());

    let shown = router.get("/metrics").1 + &router.get("/v1/files").1 + &router.get("/v1/members").1;
    router.process.signal(rustix::process::Signal::TERM);
    assert!(router.process.wait(PATIENCE).success());
    let (out, err) = router.process.output();
    let told = out.iter().chain(&err).map(String::as_str).chain([shown.as_str()]);
    let secrets = ["s3cr3t", &idm[40..], &n3[40..], "changeit", "argon2id$"];
    for line in told {
        assert!(!secrets.iter().any(|secret| line.contains(secret)), "P9: {line}");
    }
}

/// A thousand wrong keys a second, each another one, from another network. A steady caller feels nothing, and a caller whose key was never
/// verified before gets in.
#[test]
fn wrong_keys_cost_their_senders_and_nobody_else() {
    let folder = scratch();
    let member = member("n1");
    let document =
        Provider::new().server("n1", member.port(), 1).group("g", "failover", &["n1"]).write(folder.path());
    let text: String = ["steady", "fresh", "other"]
        .map(|name| {
            format!("[caller.{name}]\nhashes = [\"{}\"]\ngroups = [\"g\"]\n", hash(&format!("{name}-key")))
        })
        .concat();
    let router = Router::serve(&document, &["--credentials", &file(&folder, "credentials.toml", &text)]);
    router.await_ready();
    let listen = router.listen;
    let mut steady = steady_caller(listen);
    let mut questions = |number| p99_of_questions(&mut steady, number);
    let quiet = questions(200);
    let alone = Instant::now();
    assert_eq!(ask(listen, "/openicf/g", "other", "other-key").0, 101);
    let alone = alone.elapsed();

    let wrong = |number, sent| basic("other", &format!("wrong-{number}-{sent}"));
    let (refused, (busy, reconnect, fresh), took) = under_attack(listen, 1, wrong, || {
        // The bound of the queue is reached: from then on, wrong keys are refused at once.
        wait_until("the queue is full", PATIENCE, || router.process.said_on_stderr("too many keys wait"));
        let busy = questions(200);
        let reconnect = Instant::now();
        assert_eq!(
            ask(listen, "/openicf/g", "steady", "steady-key").0,
            101,
            "a key that was verified before"
        );
        let reconnect = reconnect.elapsed();
        let fresh = Instant::now();
        assert_eq!(ask(listen, "/openicf/g", "fresh", "fresh-key").0, 101, "networks take turns");
        (busy, reconnect, fresh.elapsed())
    });
    println!(
        "quiet {quiet:?}, busy {busy:?}, alone {alone:?}, reconnect {reconnect:?}, fresh {fresh:?}; in {took:?} the attackers were told {refused:?}"
    );
    assert!(refused.keys().all(|status| [403, 503].contains(status)), "{refused:?}");
    // On a busy machine everything is slow, so the bounds are wide. The figures above say more.
    assert!(busy < Duration::from_millis(500) + 10 * quiet, "{busy:?} after {quiet:?}");
    assert!(
        reconnect < Duration::from_secs(5) && fresh < Duration::from_secs(8) + 10 * alone,
        "{reconnect:?} {fresh:?} {alone:?}"
    );
}

/// A caller with the name `steady` and its key, connected by one socket.
pub(crate) fn steady_caller(listen: SocketAddr) -> FakeIdm {
    let mut steady =
        FakeIdm::new(listen, "/openicf/g", Manners::Polite).with_principal("steady").with_key("steady-key");
    let socket = steady.dial();
    steady.shake_hands(&socket);
    steady
}

/// The 99th percentile of the times that so many questions of a caller for connectors take, one after the other.
pub(crate) fn p99_of_questions(idm: &mut FakeIdm, number: usize) -> Duration {
    let mut times: Vec<Duration> = (0..number)
        .map(|_| {
            let began = Instant::now();
            idm.ask_for_connectors(PATIENCE);
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// Runs a part of a test while attackers in so many other networks ask for sockets a thousand times a second, each time with the
/// `Authorization` that `wrong` makes for the number of the attacker and of the try. Returns how often each status came, what the part
/// returned, and how long all took.
pub(crate) fn under_attack<T>(
    listen: SocketAddr,
    networks: u64,
    wrong: impl Fn(u64, u64) -> String + Sync,
    part: impl FnOnce() -> T,
) -> (BTreeMap<u16, usize>, T, Duration) {
    /// Ends the attack also if the part fails.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (over, began) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let ends = Over(&over);
        let attackers: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn({
                    let (over, wrong) = (&over, &wrong);
                    // All addresses of 127.0.0.0/8 are on the loopback. Each is a network of its own.
                    let from = move |sent: u64| {
                        Ipv4Addr::from(0x7F00_0002 + ((8 * sent + number) % networks) as u32)
                    };
                    move || attack(listen, from, |sent| wrong(number, sent), over)
                })
            })
            .collect();
        let found = part();
        drop(ends);
        let mut refused = BTreeMap::new();
        for attacker in attackers {
            for (status, count) in attacker.join().unwrap() {
                *refused.entry(status).or_insert(0) += count;
            }
        }
        (refused, found, began.elapsed())
    })
}

/// Sends wrong credentials until it is over, 125 a second. Returns how often each status came.
fn attack(
    listen: SocketAddr,
    from: impl Fn(u64) -> Ipv4Addr,
    wrong: impl Fn(u64) -> String,
    over: &AtomicBool,
) -> BTreeMap<u16, usize> {
    let mut told_so_far = BTreeMap::new();
    // The answers take seconds, and the attacker does not wait for them.
    let mut open = VecDeque::new();
    for sent in 0u64.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from(sent), 0)).into()).unwrap();
        socket.connect(&listen.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(upgrade_request("/openicf/g", Some(&wrong(sent)), PROTOCOL).as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        open.push_back(stream);
        for _ in 0..2 {
            let Some(mut stream) = open.pop_front() else { break };
            let mut head = [0; 12];
            match stream.read(&mut head) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => open.push_back(stream),
                _ => {
                    let status = String::from_utf8_lossy(&head[9..]).parse().unwrap_or(0);
                    *told_so_far.entry(status).or_insert(0) += 1;
                }
            }
        }
        thread::park_timeout(Duration::from_millis(8));
    }
    told_so_far
}

/// Header bombs, and a key as long as a header may be.
#[test]
fn a_request_that_is_too_large_is_refused_before_any_key_is_verified() {
    let folder = scratch();
    let member = member("n1");
    let document =
        Provider::new().server("n1", member.port(), 1).group("g", "failover", &["n1"]).write(folder.path());
    let text = format!("[caller.idm]\nhashes = [\"{}\"]\ngroups = [\"g\"]\n", hash("the-key"));
    let router = Router::serve(&document, &["--credentials", &file(&folder, "credentials.toml", &text)]);
    let request = upgrade_request("/openicf/g", Some(&basic("idm", "the-key")), PROTOCOL);
    let bomb = |line: &str, times: usize| request.replacen("\r\n", &format!("\r\n{}", line.repeat(times)), 1);
    for (what, request, statuses) in [
        ("many headers", bomb("X-A: 1\r\n", 200), &[431][..]),
        ("long headers", bomb(&format!("X-A: {}\r\n", "a".repeat(4 << 10)), 4), &[431]),
        ("two keys", bomb(&format!("Authorization: {}\r\n", basic("idm", "the-key")), 1), &[401]),
        (
            "a long key",
            upgrade_request("/openicf/g", Some(&basic("idm", &"k".repeat(4 << 10))), PROTOCOL),
            &[403],
        ),
        ("no name", upgrade_request("/openicf/g", Some(&basic("", "the-key")), PROTOCOL), &[403]),
        ("as it should be", request.clone(), &[101]),
    ] {
        let (status, line) = told(TcpStream::connect(router.listen).unwrap(), &request);
        assert!(statuses.contains(&status), "{what}: {line}");
    }
    let answer =
        raw_exchange(router.listen, upgrade_request("/openicf/g", Some("Basic !!!"), PROTOCOL).as_bytes());
    assert_eq!(answer.status, 401, "{answer:?}");
}
