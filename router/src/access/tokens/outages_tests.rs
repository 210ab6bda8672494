//! Authorization servers that answer strangely, are down, or are replaced by others.

use std::time::Duration;

use rcs_core::agreed::At;
use rcs_proto::driver::accept::{Authorization, RefusalStatus};
use rcs_rig::authorization::{AuthorizationServer, INTROSPECTION_PATH, KEYS_PATH};
use rcs_rig::signed::{Signer, key_set};
use serde_json::{Value, json};

use super::tests::{ISS, Site, ask, caller, claims, shows};
use super::upkeep::{self, expired, to_ask};
use super::*;
use crate::access::Access;
use crate::limits::RECHECK_AGAIN_AFTER_FAILURE;

fn entry(server: &AuthorizationServer, client: &str, more: &str) -> String {
    let url = server.url(INTROSPECTION_PATH);
    format!(
        "[issuer.am]\nintrospection = '{url}'\nclient_id = '{client}'\nclient_secret_file = 'DIR/secret'\n{more}\n\
         [caller.idm]\ntoken = 'am'\ngroups = ['hr']\n"
    )
}

fn open(site: &Site, server: &AuthorizationServer, client: &str, more: &str) -> Access {
    site.write("secret", "client-secret");
    site.open(&entry(server, client, more)).unwrap()
}

fn says(server: &AuthorizationServer, status: u16, body: &Value) {
    server.set(|manner| manner.introspects = Some((status, body.to_string())));
}

fn active() -> Value {
    json!({ "active": true, "client_id": "idm" })
}

fn tokens(access: &Access) -> (Arc<Table>, Arc<Leases>) {
    let named = access.named.as_ref().unwrap();
    let table = Arc::clone(&named.table.borrow());
    (table, Arc::clone(&named.tokens.leases))
}

#[tokio::test]
async fn a_token_that_an_endpoint_dislikes_turns_no_other_token_away() {
    let (site, server) = (Site::new(), AuthorizationServer::start());
    let access = open(&site, &server, "RCSClient", "");
    for (number, status) in [400, 404, 414, 422].into_iter().enumerate() {
        says(&server, status, &json!({}));
        let refusal = ask(&access, &format!("disliked-{number}")).await.unwrap_err();
        assert_eq!(refusal.status, RefusalStatus::InvalidToken);
        assert!(
            refusal.sentence.contains(&format!("does not accept the token (HTTP {status})")),
            "{refusal:?}"
        );
        assert_eq!(access.issuers()[0].up, Some(true), "{status}");
        says(&server, 200, &active());
        assert_eq!(ask(&access, &format!("good-{number}")).await, Ok(caller("idm")), "after {status}");
    }
    for (status, site) in [401, 403, 429, 500, 503].map(|status| (status, Site::new())) {
        let access = open(&site, &server, "RCSClient", "");
        says(&server, status, &json!({}));
        let refusal = ask(&access, "any").await.unwrap_err();
        assert_eq!(refusal.status, RefusalStatus::CannotVerify, "{status}");
        assert!(refusal.sentence.contains("[issuer.am] cannot be asked"), "{refusal:?}");
        assert!(!refusal.sentence.contains("HTTP"), "the reason is for the log alone: {refusal:?}");
        assert_eq!(access.issuers()[0].up, Some(false), "{status}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_access_token_opens_nothing() {
    let (site, server) = (Site::new(), AuthorizationServer::start());
    let access = open(&site, &server, "RCSClient", "");
    for (number, (token_type, is_let_in)) in [
        (json!("Bearer"), true),
        (json!("bearer"), true),
        (json!("Access_Token"), true),
        (Value::Null, true),
        (json!("refresh_token"), false),
        (json!("DPoP"), false),
        (json!(["Bearer"]), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut answer = active();
        answer["token_type"] = token_type.clone();
        says(&server, 200, &answer);
        let judged = ask(&access, &format!("token-{number}")).await;
        match is_let_in {
            true => assert_eq!(judged, Ok(caller("idm")), "{token_type}"),
            false => assert!(
                judged.is_err_and(|refusal| refusal.sentence.contains("another type")),
                "{token_type}"
            ),
        }
    }
    // An endpoint tells of active access tokens only who has them.
    says(&server, 200, &json!({ "active": true, "sub": "idm" }));
    assert_eq!(ask(&access, "sub-only").await, Ok(caller("idm")));
}

#[tokio::test]
async fn a_question_without_an_answer_is_asked_again_soon() {
    let hour = Duration::from_secs(60 * 60);
    let (site, server) = (Site::new(), AuthorizationServer::start());
    let access = open(&site, &server, "RCSClient", "recheck = '1h'");
    let (table, leases) = tokens(&access);
    says(&server, 200, &active());
    let token = Authorization::Bearer(Secret::new("opaque".to_owned()));
    let (_, lease) = access.judge(shows(&token, Carried::Privately)).await.unwrap();
    let issuer = || Arc::clone(table.issuers().named("am").unwrap());
    let held = leases.open().pop().unwrap();
    assert!(held.due(hour) > Instant::now() + hour / 2);
    for (status, body) in [(503, json!({})), (400, json!({}))] {
        says(&server, status, &body);
        let (_, _, fault) = upkeep::ask(issuer(), Arc::clone(&held), Arc::clone(&leases)).await;
        assert_eq!(fault, None, "an outage revokes nothing");
        assert!(held.due(hour) <= Instant::now() + RECHECK_AGAIN_AFTER_FAILURE, "after HTTP {status}");
    }
    // Of many tokens one is enough to learn that an outage is over.
    let subject = Subject { name: "idm".to_owned(), until: None, fresh_until: None };
    let long_ago = Instant::now() - RECHECK_AGAIN_AFTER_FAILURE;
    let more = [1, 2].map(|number| leases.grant(([number; 32], &held.token), &issuer(), &subject, long_ago));
    leases.open().iter().for_each(|held| held.was_asked(long_ago, false));
    says(&server, 503, &json!({}));
    let _ = ask(&access, "another").await;
    assert_eq!(to_ask(&table, &leases).len(), 1);
    says(&server, 200, &active());
    let (_, _, fault) = upkeep::ask(issuer(), Arc::clone(&held), Arc::clone(&leases)).await;
    assert_eq!(fault, None);
    assert_eq!(to_ask(&table, &leases).len(), 2, "the others are asked about at once");
    drop(more);
    says(&server, 200, &json!({ "active": false }));
    let (_, _, fault) = upkeep::ask(issuer(), Arc::clone(&held), Arc::clone(&leases)).await;
    assert_eq!(fault, Some(TokenFault::Inactive));
    assert!(held.due(hour) > Instant::now() + hour / 2);
    drop(lease);
}

#[tokio::test]
async fn a_token_is_shown_to_the_server_that_let_it_in_and_to_no_other() {
    let [before, after] = [0; 2].map(|_| AuthorizationServer::start());
    let sites = [0; 4].map(|_| Site::new());
    let access = open(&sites[0], &before, "RCSClient", "recheck = '1s'");
    let (table, leases) = tokens(&access);
    let issuer = table.issuers().named("am").unwrap();
    let secret = Secret::new("opaque".to_owned());
    let subject = Subject { name: "idm".to_owned(), until: Some(At(1)), fresh_until: None };
    let lease = leases.grant(([7; 32], &secret), issuer, &subject, Instant::now());
    let held = leases.open().pop().unwrap();
    held.was_asked(Instant::now() - Duration::from_secs(5), true);
    for (site, server, client, is_asked) in [
        (&sites[1], &before, "RCSClient", true),
        (&sites[2], &after, "RCSClient", false),
        (&sites[3], &before, "another", false),
    ] {
        let changed = open(site, server, client, "recheck = '2s'\nafter_expiry = 'close'");
        let (table, _) = tokens(&changed);
        assert_eq!(to_ask(&table, &leases).len(), usize::from(is_asked), "{client}");
    }
    let changed = open(&sites[2], &after, "RCSClient", "after_expiry = 'close'");
    assert_eq!(expired(&tokens(&changed).0, &leases).len(), 1, "after_expiry holds all the same");
    drop(lease);
}

/// A token need not name its key, and the key may be a new one.
#[tokio::test]
async fn the_first_token_of_a_new_key_is_let_in_though_it_names_no_key() {
    let (one, two, stranger) = (Signer::es256("one"), Signer::es256("two"), Signer::es256("one"));
    let (site, server) =
        (Site::new(), AuthorizationServer::start_with(|manner| manner.keys = key_set(&[&one])));
    let url = server.url(KEYS_PATH);
    let access = site
        .open(&format!(
            "[issuer.kc]\njwks = '{url}'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n[caller.idm]\ntoken = 'kc'\ngroups = ['hr']\n"
        ))
        .unwrap();
    let unnamed = |signer: &Signer| signer.sign_under(&json!({"alg": "ES256"}), &claims("idm"));
    assert_eq!(ask(&access, &unnamed(&one)).await, Ok(caller("idm")));
    server.set(|manner| manner.keys = key_set(&[&two]));
    assert_eq!(ask(&access, &unnamed(&two)).await, Ok(caller("idm")));
    assert_eq!(server.asked(KEYS_PATH).len(), 2);
    let refusal = ask(&access, &unnamed(&stranger)).await.unwrap_err();
    assert!(refusal.sentence.contains("not signed by"), "{refusal:?}");
    assert_eq!(server.asked(KEYS_PATH).len(), 3);
    // A token that names a key which is known has its answer at once.
    assert!(
        ask(&access, &stranger.sign_under(&json!({"alg": "ES256", "kid": "two"}), &claims("idm")))
            .await
            .is_err()
    );
    assert_eq!(server.asked(KEYS_PATH).len(), 3);
}
