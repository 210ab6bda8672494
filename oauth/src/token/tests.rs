//! Tokens against a scripted authorization server.

use std::sync::atomic::{AtomicUsize, Ordering};

use rcs_proto::driver::tls::{Pins, client_config};
use rcs_rig::authorization::{AuthorizationServer, TOKEN_PATH};
use rcs_rig::wait::{PATIENCE, wait_until};
use serde_json::json;

use super::*;
use crate::https::Plain;

fn https() -> Https {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Https::new(client_config(&[made.cert.der().clone()], Pins::ForNamesItHas).unwrap()).within(PATIENCE)
}

fn options(server: &AuthorizationServer, secret: ClientSecret) -> TokenOptions {
    TokenOptions {
        endpoint: Url::parse(&server.url(TOKEN_PATH), Plain::Loopback).unwrap(),
        client_id: "RCSClient".to_owned(),
        secret,
        scope: Some("fr:idm:*".to_owned()),
    }
}

fn good() -> ClientSecret {
    ClientSecret::fixed(Secret::new("client-secret".to_owned()))
}

fn start(server: &AuthorizationServer) -> Tokens {
    Tokens::start(https(), options(server, good()))
}

/// Waits for the server on a thread that may wait: the runtime goes on.
async fn until(what: &'static str, state: impl Fn() -> bool + Send + 'static) {
    tokio::task::spawn_blocking(move || wait_until(what, PATIENCE, state)).await.unwrap();
}

fn requests(server: &AuthorizationServer) -> usize {
    server.asked(TOKEN_PATH).len()
}

/// P17
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_wait_are_one_request() {
    let server = Arc::new(AuthorizationServer::start_with(|manner| manner.is_slow = true));
    let tokens = start(&server);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await.unwrap() })
        })
        .collect();
    let watched = Arc::clone(&server);
    until("a request came", move || requests(&watched) > 0).await;
    server.set(|manner| manner.is_slow = false);
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap().secret().expose(), "opaque-1");
    }
    let asked = server.asked(TOKEN_PATH);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].client, Some(("RCSClient".to_owned(), "client-secret".to_owned())));
    assert_eq!(asked[0].field("grant_type"), Some("client_credentials"));
    assert_eq!(asked[0].field("scope"), Some("fr:idm:*"));
    assert!(!format!("{tokens:?} {:?}", tokens.token().await).contains("opaque"));
    assert!(!format!("{tokens:?}").contains("client-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_one_request_for_all_as_well() {
    let server = Arc::new(AuthorizationServer::start_with(|manner| {
        manner.is_slow = true;
        manner.scopes.clear();
    }));
    let tokens = start(&server);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await.expect_err("no such scope").to_string() })
        })
        .collect();
    let watched = Arc::clone(&server);
    until("a request came", move || requests(&watched) > 0).await;
    server.set(|manner| manner.is_slow = false);
    for waiter in waiting {
        assert!(waiter.await.unwrap().contains("refuses the scope \"fr:idm:*\""));
    }
    // The first pause is half a second at least; on a very slow machine it may be over.
    assert!(requests(&server) <= 3, "{} requests", requests(&server));
    server.set(|manner| manner.scopes = vec!["fr:idm:*".to_owned()]);
    let watched = Arc::clone(&server);
    until("a token came without being wanted", move || !watched.issued().is_empty()).await;
    assert_eq!(tokens.token().await.unwrap().secret().expose(), "opaque-1");
}

/// O03, and an outage during which the old token serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_in_time_and_survives_an_outage() {
    let server = Arc::new(AuthorizationServer::start_with(|manner| manner.life = Some(json!(2))));
    let tokens = start(&server);
    assert_eq!(tokens.token().await.unwrap().secret().expose(), "opaque-1");
    let watched = Arc::clone(&server);
    until("it was renewed although nobody wanted it", move || watched.issued().len() >= 3).await;
    server.set(|manner| manner.life = Some(json!(3600)));
    let (held, runtime) = (tokens.clone(), tokio::runtime::Handle::current());
    let soon = Instant::now() + std::time::Duration::from_secs(600);
    until("one with a long life is in use", move || {
        runtime.block_on(held.token()).is_ok_and(|token| token.ends().is_some_and(|ends| ends > soon))
    })
    .await;
    let token = tokens.token().await.unwrap();

    server.set(|manner| manner.is_down = true);
    tokens.refused(&token);
    let still = tokens.token().await.unwrap();
    assert!(still.is(&token), "the endpoint is down, and the old token is not over");
    let asked = requests(&server);
    let watched = Arc::clone(&server);
    until("it goes on asking", move || requests(&watched) > asked).await;
    server.set(|manner| manner.is_down = false);
    let (watched, seen) = (Arc::clone(&server), server.issued().len());
    until("the endpoint is back", move || watched.issued().len() > seen).await;
    assert!(!tokens.token().await.unwrap().is(&token));
}

/// O04: one request for many who were refused, and no loop.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_replaced_at_once_and_once() {
    let server = AuthorizationServer::start();
    let tokens = start(&server);
    let first = tokens.token().await.unwrap();
    for _ in 0..20 {
        tokens.refused(&first);
        let next = tokens.token().await.unwrap();
        assert_eq!(next.secret().expose(), "opaque-2");
        tokens.refused(&first);
    }
    assert_eq!(requests(&server), 2);
}

/// A03: a secret that changes is used at once, and a wrong one is not sent again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_used_at_once() {
    let server = Arc::new(AuthorizationServer::start());
    let secret = Arc::new(Mutex::new("wrong".to_owned()));
    let (read, reads) = (Arc::clone(&secret), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&reads);
    let secret_now = ClientSecret::read_by(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Secret::new(read.lock().unwrap().clone()))
    });
    let tokens = Tokens::start(https(), options(&server, secret_now));
    let error = tokens.token().await.expect_err("a wrong secret").to_string();
    assert!(error.contains("refuses the client \"RCSClient\" or its secret (HTTP 401)"), "{error}");
    "client-secret".clone_into(&mut secret.lock().unwrap());
    assert_eq!(tokens.token().await.unwrap().secret().expose(), "opaque-1");
    assert!(requests(&server) <= 3, "{} requests", requests(&server));

    // A secret that cannot be read is told, and the token in use serves.
    let broken = ClientSecret::read_by(|| Err("the file /secret cannot be read: it is a pipe".to_owned()));
    let error = Tokens::start(https(), options(&server, broken)).token().await.expect_err("no secret");
    assert_eq!(
        error.to_string(),
        "the client's secret cannot be read: the file /secret cannot be read: it is a pipe"
    );
}

/// A file that hangs costs one thread, and whoever waits is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_never_read_holds_one_thread() {
    let server = AuthorizationServer::start();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (held, reads) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&reads);
    let hanging = ClientSecret::read_by(move || {
        count.fetch_add(1, Ordering::SeqCst);
        // Until the test drops its end.
        let _ = held.lock().unwrap().recv();
        Ok(Secret::new("client-secret".to_owned()))
    });
    let tokens = Tokens::start(https(), options(&server, hanging));
    let error = tokens.token().await.expect_err("nothing was read").to_string();
    assert!(error.contains("was not read within 10s"), "{error}");
    tokens.token().await.expect_err("still nothing");
    assert_eq!((reads.load(Ordering::SeqCst), requests(&server)), (1, 0));
    drop(release);
    let server = Arc::new(server);
    let watched = Arc::clone(&server);
    until("the secret was read in the end", move || !watched.issued().is_empty()).await;
}

/// The task ends with the last copy.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_renews_for_nobody() {
    let server = Arc::new(AuthorizationServer::start_with(|manner| manner.life = Some(json!(1))));
    let tokens = start(&server);
    tokens.token().await.unwrap();
    let inner = Arc::downgrade(&tokens.0);
    drop(tokens);
    until("the source is gone", move || inner.upgrade().is_none()).await;
}
