//! Floods of many strangers: each is refused, told once a second, and touches nobody else (P10, P12).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rcs_proto::driver::descriptors::Descriptors;
use rcs_proto::driver::tls::{Pins, client_config};
use rcs_rig::provider::Provider;
use rcs_rig::scripted::basic;
use rcs_rig::wait::wait_until;
use rustls::{ClientConnection, StreamOwned};

use crate::callers_tls::{Made, Site, made};
use crate::identities::{ask, hash, p99_of_questions, steady_caller, under_attack};
use crate::support::{PATIENCE, Router, file, member, scratch};

/// More networks than there are places for keys that wait to be verified.
const NETWORKS: u64 = 400;
/// Connections that have TLS, and send a request that never ends.
const SLOW: usize = 1_000;

/// Lines of the log that tell of refused connections: one a second for each reason, and the number of the others.
fn told(router: &Router) -> usize {
    router
        .process
        .stderr_lines()
        .iter()
        .filter(|line| line.contains("refused") || line.contains("more connections"))
        .count()
}

fn is_bounded(router: &Router, since: Instant) {
    let (told, most) = (told(router), 6 * (since.elapsed().as_secs() as usize + 2));
    assert!(told <= most, "{told} lines in {:?}\n{}", since.elapsed(), router.process);
}

/// Wrong keys for one name from more networks than keys may wait. A name that nobody attacks gets in for the first time meanwhile, and a steady
/// caller feels nothing.
#[test]
fn wrong_keys_for_one_name_from_everywhere_keep_no_other_name_out() {
    let (folder, member) = (scratch(), member("n1"));
    let document =
        Provider::new().server("n1", member.port(), 1).group("g", "failover", &["n1"]).write(folder.path());
    let entry = |name| {
        format!("[caller.{name}]\nhashes = [\"{}\"]\ngroups = [\"g\"]\n", hash(&format!("{name}-key")))
    };
    let text = ["steady", "fresh", "attacked"].map(entry).concat();
    let router = Router::serve(&document, &["--credentials", &file(&folder, "credentials.toml", &text)]);
    router.await_ready();
    let listen = router.listen;
    let mut steady = steady_caller(listen);
    let quiet = p99_of_questions(&mut steady, 200);

    let wrong = |number, sent| basic("attacked", &format!("wrong-{number}-{sent}"));
    let (refused, (busy, fresh), took) = under_attack(listen, NETWORKS, wrong, || {
        wait_until("the queue is full", PATIENCE, || router.process.said_on_stderr("too many keys wait"));
        let busy = p99_of_questions(&mut steady, 200);
        let began = Instant::now();
        wait_until("a fresh key gets in", PATIENCE, || {
            let (status, line) = ask(listen, "/openicf/g", "fresh", "fresh-key");
            // On a busy machine one key may take longer than a connection waits.
            assert!(
                status == 101 || line.contains("could not be checked in time"),
                "names take turns: {line}"
            );
            status == 101
        });
        (busy, began.elapsed())
    });
    println!(
        "quiet {quiet:?}, busy {busy:?}, fresh {fresh:?}; in {took:?} the attackers were told {refused:?}"
    );
    assert!(refused.keys().all(|status| [403, 503].contains(status)), "{refused:?}");
    // On a busy machine everything is slow, so the bounds are wide. The figures above say more.
    assert!(busy < Duration::from_secs(2) + 10 * quiet, "{busy:?} after {quiet:?}");
    is_bounded(&router, Instant::now() - took);
}

/// A connection whose TLS handshake is done, and whose request has begun.
fn slow(site: &Site, own: &Made) -> StreamOwned<ClientConnection, TcpStream> {
    let config = client_config(std::slice::from_ref(&own.der), Pins::ForNamesItHas).unwrap();
    let client = ClientConnection::new(config, "127.0.0.1".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(site.tls).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(b"GET /openicf HTTP/1.1\r\nX: ").expect("the handshake is done");
    stream.sock.set_nonblocking(true).unwrap();
    stream
}

/// Slowloris inside TLS: each connection sends a byte now and then, so none is ever silent. Callers get in beside them, and each is given up
/// at the deadline of a request, however steadily its bytes come.
#[test]
fn requests_that_trickle_inside_tls_are_given_up_and_keep_nobody_out() {
    Descriptors::raise().unwrap();
    let own = made("router", 300, None);
    let site = Site::new(&own, &[]);
    site.router.await_ready();
    let mut steady = site.router.idm("g");
    let quiet = p99_of_questions(&mut steady, 200);
    let began = Instant::now();
    let mut open: Vec<_> = (0..SLOW).map(|_| slow(&site, &own)).collect();
    let came = began.elapsed();
    let asked = Instant::now();
    let caller = site.dial(&own, None).expect("a caller with TLS, beside them");
    let let_in = asked.elapsed();
    let busy = p99_of_questions(&mut steady, 200);
    wait_until("all are given up although bytes come", PATIENCE, || {
        open.retain_mut(|stream| {
            let _ = stream.write_all(b"x");
            matches!(stream.read(&mut [0; 64]), Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        open.is_empty()
    });
    println!(
        "{SLOW} came in {came:?}, a caller got in after {let_in:?}, all were given up after {:?}; questions: quiet {quiet:?}, busy {busy:?}",
        began.elapsed()
    );
    assert!(busy < Duration::from_secs(2) + 10 * quiet, "{busy:?} after {quiet:?}");
    assert!(!steady.ask_for_connectors(PATIENCE).is_empty());
    is_bounded(&site.router, began);
    drop(caller);
}
