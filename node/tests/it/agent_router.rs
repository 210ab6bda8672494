//! A router as far as an agent sees one: gives out challenges, judges reports, remembers digests.
#![allow(clippy::panic, reason = "what an agent does not do fails the test on the spot, with the reason")]

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcs_proto::manifest::{Challenge, Digest, FileManifest, Nonce, ProofKey, Report, ReportedSet};

/// What an agent did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Whole(FileManifest),
    Heartbeat(Digest),
    /// A heartbeat whose digest is not known, answered with 409.
    UnknownDigest,
    WrongProof,
    UnknownMember,
}

/// A listening router. Its thread ends with the test process.
pub(crate) struct AgentRouter {
    pub(crate) url: String,
    seen: Receiver<Seen>,
    state: Arc<State>,
}

struct State {
    member: &'static str,
    key: ProofKey,
    digests: Mutex<HashSet<Digest>>,
    nonces: Mutex<HashSet<Nonce>>,
    /// Connections that are closed without an answer first.
    rude: AtomicUsize,
}

impl AgentRouter {
    pub(crate) fn start(member: &'static str, key: &str) -> Self {
        Self::with_rudeness(member, key, 0)
    }

    pub(crate) fn with_rudeness(member: &'static str, key: &str, connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(State {
            member,
            key: ProofKey::of_key(key),
            digests: Mutex::default(),
            nonces: Mutex::default(),
            rude: AtomicUsize::new(connections),
        });
        let (tell, seen) = channel();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.rude.load(Ordering::SeqCst) > 0 {
                    shared.rude.fetch_sub(1, Ordering::SeqCst);
                    continue;
                }
                shared.serve(stream, &tell);
            }
        });
        Self { url, seen, state }
    }

    /// The next thing that an agent did.
    #[track_caller]
    pub(crate) fn next(&self, reason: &str, bound: Duration) -> Seen {
        self.seen
            .recv_timeout(bound)
            .unwrap_or_else(|_| panic!("nothing from the agent in {bound:?}: {reason}"))
    }

    /// The next whole manifest; heartbeats before it are passed over.
    #[track_caller]
    pub(crate) fn whole(&self, reason: &str, bound: Duration) -> FileManifest {
        loop {
            match self.next(reason, bound) {
                Seen::Whole(manifest) => return manifest,
                Seen::Heartbeat(_) => {}
                other => panic!("{reason}: {other:?}"),
            }
        }
    }

    /// As a router that was started anew.
    pub(crate) fn forget(&self) {
        self.state.digests.lock().expect("no thread panicked").clear();
    }
}

impl State {
    fn serve(&self, stream: TcpStream, tell: &Sender<Seen>) {
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).expect("the agent sends a head");
            line.trim_end().to_owned()
        };
        let request = line();
        let headers: Vec<String> =
            std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty())).collect();
        let header = |name: &str| {
            let found =
                headers.iter().filter_map(|header| header.split_once(": ")).find(|(key, _)| *key == name);
            found.map(|(_, value)| value.to_owned())
        };
        let length = header("Content-Length").expect("agents give a length").parse().expect("a number");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the agent sends its body");
        let (status, answer) = self.answer(&request, header("RCS-Agent-Proof"), &body, tell);
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
        let _ = reader.get_mut().write_all(format!("{head}{answer}").as_bytes());
    }

    fn answer(
        &self,
        request: &str,
        proof: Option<String>,
        body: &[u8],
        tell: &Sender<Seen>,
    ) -> (&str, String) {
        // The test may be over.
        let tell = |seen| drop(tell.send(seen));
        if request == format!("GET /v1/members/{}/challenge HTTP/1.1", self.member) {
            let mut nonces = self.nonces.lock().expect("no thread panicked");
            let nonce = Nonce::from((nonces.len() as u128).to_be_bytes());
            nonces.insert(nonce);
            return ("200 OK", Challenge { nonce }.encode());
        }
        if request != format!("POST /v1/members/{}/manifest HTTP/1.1", self.member) {
            tell(Seen::UnknownMember);
            return ("404 Not Found", "no such member".to_owned());
        }
        let report = Report::decode(body).expect("agents send what can be read");
        assert!(self.nonces.lock().expect("no thread panicked").contains(&report.nonce), "a nonce of ours");
        let proof = proof.expect("agents prove who they are");
        if self.key.verify(&report.nonce, &report.member, body, &proof).is_err() {
            tell(Seen::WrongProof);
            return ("401 Unauthorized", "the proof is wrong".to_owned());
        }
        let mut digests = self.digests.lock().expect("no thread panicked");
        match report.set {
            ReportedSet::Whole(manifest) => {
                digests.insert(manifest.digest());
                tell(Seen::Whole(manifest));
            }
            ReportedSet::Unchanged(digest) if digests.contains(&digest) => tell(Seen::Heartbeat(digest)),
            ReportedSet::Unchanged(_) => {
                tell(Seen::UnknownDigest);
                return ("409 Conflict", "send the whole manifest".to_owned());
            }
        }
        ("200 OK", String::new())
    }
}
