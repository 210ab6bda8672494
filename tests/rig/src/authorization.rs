//! A scripted OAuth2 authorization server on loopback: access tokens by client credentials, introspection (RFC 7662), and a set of keys
//! (JWKS), with a knob for each way in which a real one can fail. It speaks HTTP without TLS.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};

use crate::wait::{PATIENCE, wait_until};

/// Longest request taken.
const REQUEST_MAX: usize = 64 * 1024;
/// Path of the token endpoint. Tokens are given at every path with this end, as realms have paths of their own.
pub const TOKEN_PATH: &str = "/oauth2/access_token";
const TOKEN_END: &str = "/access_token";
/// Path of the introspection endpoint.
pub const INTROSPECTION_PATH: &str = "/oauth2/introspect";
/// Path of the set of keys.
pub const KEYS_PATH: &str = "/oauth2/jwks";

/// Makes the text of the `n`-th token (from 1) for a request.
pub type MakesTokens = Arc<dyn Fn(&Asked, usize) -> String + Send + Sync>;

/// What the server does. A test changes it with [`AuthorizationServer::set`].
#[derive(Clone)]
pub struct Manner {
    /// Clients that may have tokens and introspect tokens: id and secret. A client may have several secrets.
    pub clients: Vec<(String, String)>,
    /// Scopes that a client may ask for. A request without one gets a token.
    pub scopes: Vec<String>,
    /// `expires_in` as it is sent; `None` leaves it out. A whole number is also the life of the token, in seconds.
    pub life: Option<Value>,
    /// `token_type`; `None` leaves it out.
    pub token_type: Option<String>,
    /// Further fields of the answer.
    pub extra: Map<String, Value>,
    /// Every token request gets this status and body.
    pub refusal: Option<(u16, String)>,
    /// Connections to any path are closed without an answer.
    pub is_down: bool,
    /// Answers to token requests wait until this is false.
    pub is_slow: bool,
    /// The text of tokens. By default it is opaque: `opaque-N`.
    pub makes: MakesTokens,
    /// Introspection calls no token of these clients active.
    pub inactive: BTreeSet<String>,
    /// Every introspection request of a known client gets this status and body.
    pub introspects: Option<(u16, String)>,
    /// The set of keys, as JSON.
    pub keys: String,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            clients: vec![("RCSClient".to_owned(), "client-secret".to_owned())],
            scopes: vec!["fr:idm:*".to_owned()],
            life: Some(json!(3600)),
            token_type: Some("Bearer".to_owned()),
            extra: Map::new(),
            refusal: None,
            is_down: false,
            is_slow: false,
            makes: Arc::new(|_, n| format!("opaque-{n}")),
            inactive: BTreeSet::new(),
            introspects: None,
            keys: r#"{"keys":[]}"#.to_owned(),
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path without query.
    pub path: String,
    /// Id and secret of Basic authentication, decoded.
    pub client: Option<(String, String)>,
    /// Fields of the form, decoded.
    pub form: Vec<(String, String)>,
    /// The head as it came.
    pub head: String,
}

impl Asked {
    /// A field of the form.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A token that was handed out.
struct Issued {
    text: String,
    client: String,
    scope: Option<String>,
    ends: Option<Instant>,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    issued: Vec<Issued>,
}

struct Shared {
    manner: Mutex<Manner>,
    changed: Condvar,
    state: Mutex<State>,
    stop: AtomicBool,
}

/// The server. It ends with this value.
pub struct AuthorizationServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl AuthorizationServer {
    /// A server on a free port, which does all that it should.
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// A server on a free port.
    pub fn start_with(change: impl FnOnce(&mut Manner)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut manner = Manner::default();
        change(&mut manner);
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            changed: Condvar::new(),
            state: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let work = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if work.stop.load(Ordering::SeqCst) {
                    return;
                }
                let work = Arc::clone(&work);
                thread::spawn(move || work.serve(stream));
            }
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Changes what it does from now on.
    pub fn set(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut lock(&self.shared.manner));
        self.shared.changed.notify_all();
    }

    /// All requests so far to this path.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        lock(&self.shared.state).asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// All tokens that were handed out, in order.
    pub fn issued(&self) -> Vec<String> {
        lock(&self.shared.state).issued.iter().map(|issued| issued.text.clone()).collect()
    }

    /// Waits until there were `n` token requests.
    pub fn await_token_requests(&self, n: usize) {
        wait_until(&format!("{n} token requests"), PATIENCE, || self.asked(TOKEN_PATH).len() >= n);
    }

    /// Whether a token was handed out, and is neither over nor that of an inactive client.
    pub fn is_active(&self, token: &str) -> bool {
        let inactive = lock(&self.shared.manner).inactive.clone();
        self.shared.active(token, &inactive).is_some()
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.set(|manner| manner.is_slow = false);
        // The acceptor wakes for one more connection.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound is set");
        let Some(asked) = read(&mut stream) else { return };
        lock(&self.state).asked.push(asked.clone());
        let mut manner = lock(&self.manner);
        while manner.is_slow && asked.path.ends_with(TOKEN_END) && !self.stop.load(Ordering::SeqCst) {
            let waited = self.changed.wait_timeout(manner, Duration::from_secs(1));
            manner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let manner = manner.clone();
        if manner.is_down {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        let (status, body) = match asked.path.as_str() {
            path if path.ends_with(TOKEN_END) => self.token(&asked, &manner),
            INTROSPECTION_PATH => self.introspection(&asked, &manner),
            KEYS_PATH => (200, manner.keys),
            _ => (404, "{}".to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        // Whoever has given up has closed.
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    }

    fn token(&self, asked: &Asked, manner: &Manner) -> (u16, String) {
        let failed = |status: u16, error: &str| (status, json!({ "error": error }).to_string());
        if let Some(refusal) = &manner.refusal {
            return refusal.clone();
        }
        let Some(client) = asked.client.as_ref().filter(|client| manner.clients.contains(client)) else {
            return failed(401, "invalid_client");
        };
        if asked.field("grant_type") != Some("client_credentials") {
            return failed(400, "unsupported_grant_type");
        }
        let scope = asked.field("scope");
        if scope
            .is_some_and(|scope| !scope.split(' ').all(|one| manner.scopes.iter().any(|known| known == one)))
        {
            return failed(400, "invalid_scope");
        }
        let mut state = lock(&self.state);
        let text = (manner.makes)(asked, state.issued.len() + 1);
        let life = manner.life.as_ref().and_then(Value::as_u64).map(Duration::from_secs);
        state.issued.push(Issued {
            text: text.clone(),
            client: client.0.clone(),
            scope: scope.map(str::to_owned),
            ends: life.and_then(|life| Instant::now().checked_add(life)),
        });
        let mut answer = manner.extra.clone();
        answer.insert("access_token".to_owned(), json!(text));
        answer.extend(manner.token_type.iter().map(|kind| ("token_type".to_owned(), json!(kind))));
        answer.extend(manner.life.iter().map(|life| ("expires_in".to_owned(), life.clone())));
        answer.extend(scope.map(|scope| ("scope".to_owned(), json!(scope))));
        (200, Value::Object(answer).to_string())
    }

    fn introspection(&self, asked: &Asked, manner: &Manner) -> (u16, String) {
        if !asked.client.as_ref().is_some_and(|client| manner.clients.contains(client)) {
            return (401, json!({ "error": "invalid_client" }).to_string());
        }
        if let Some(answer) = &manner.introspects {
            return answer.clone();
        }
        let active = asked.field("token").and_then(|token| self.active(token, &manner.inactive));
        (200, active.unwrap_or_else(|| json!({ "active": false })).to_string())
    }

    /// What introspection says of an active token.
    fn active(&self, token: &str, inactive: &BTreeSet<String>) -> Option<Value> {
        let state = lock(&self.state);
        let issued = state.issued.iter().find(|issued| issued.text == token)?;
        let left = issued.ends.map(|ends| ends.checked_duration_since(Instant::now()));
        if inactive.contains(&issued.client) || left == Some(None) {
            return None;
        }
        let mut answer = json!({ "active": true, "client_id": issued.client, "token_type": "Bearer" });
        if let Some(scope) = &issued.scope {
            answer["scope"] = json!(scope);
        }
        if let Some(left) = left.flatten() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            answer["exp"] = json!((now + left).as_secs());
        }
        Some(answer)
    }
}

/// Reads one request whole.
fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    let (head, body) = loop {
        if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if all.len() >= end + 4 + length {
                break (head, String::from_utf8_lossy(&all[end + 4..end + 4 + length]).into_owned());
            }
        }
        let got = stream.read(&mut chunk).ok().filter(|got| *got > 0 && all.len() < REQUEST_MAX)?;
        all.extend(&chunk[..got]);
    };
    let target = head.split(' ').nth(1)?;
    let client = header(&head, "authorization")
        .and_then(|value| value.strip_prefix("Basic ").map(str::to_owned))
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .and_then(|user| String::from_utf8(user).ok())
        .and_then(|user| user.split_once(':').map(|(id, secret)| (decoded(id), decoded(secret))));
    let form = body.split('&').filter_map(|field| field.split_once('='));
    let form = form.map(|(name, value)| (decoded(name), decoded(value))).collect();
    Some(Asked { path: target.split('?').next()?.to_owned(), client, form, head })
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// A name or value of a form.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
