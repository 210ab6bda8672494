//! Commands and what others could read on the way to a router: API tokens go to other machines by TLS only, where nothing is changed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use crate::support::{PATIENCE, router, run_command};

/// Answers one request with this, and returns the head of the request.
fn answer_one(answer: &'static str) -> (u16, mpsc::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        stream.write_all(answer.as_bytes()).unwrap();
        let _ = told.send(head);
    });
    (port, heard)
}

const UNAUTHORIZED: &str =
    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 21\r\nConnection: close\r\n\r\n{\"error\":\"in truth\"}\n";
const MEMBERS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]";
const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\nConnection: close\r\n\r\n[]";

#[test]
fn looking_shows_no_token_to_another_machine_without_tls() {
    // For a program 0.0.0.0 is another machine than its own; the system leads it to loopback.
    for (words, host, answer, has_token, code, part) in [
        ("call list -o json", "0.0.0.0", UNAUTHORIZED, false, 64, "https://"),
        ("call list -o json", "0.0.0.0", MEMBERS, false, 0, ""),
        ("call list -o json", "127.0.0.1", MEMBERS, true, 0, ""),
        ("call list -o json", "127.0.0.1", UNAUTHORIZED, true, 64, "in truth"),
        ("call list -o json", "127.0.0.1", HALF, true, 69, "broke off"),
        ("events", "0.0.0.0", UNAUTHORIZED, false, 64, "https://"),
        ("events", "127.0.0.1", UNAUTHORIZED, true, 64, "in truth"),
        // A change is meant, so its token is shown.
        ("member drain g n1", "0.0.0.0", UNAUTHORIZED, true, 64, "in truth"),
    ] {
        let (port, heard) = answer_one(answer);
        let mut command = router(&words.split(' ').collect::<Vec<_>>());
        command.args(["--server", &format!("http://{host}:{port}")]).env("RCS_ROUTER_TOKEN", "s3cr3t");
        let ran = run_command(command);
        let head = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(head.iter().any(|line| line.contains("s3cr3t")), has_token, "{words} {host}: {head:?}");
        assert!(ran.code == Some(code) && ran.stderr.contains(part), "{words} {host}: {ran:?}");
        assert!(!ran.stderr.contains("s3cr3t"), "{ran:?}");
    }
}
