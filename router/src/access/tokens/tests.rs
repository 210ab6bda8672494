//! Tokens as they should be, and what attackers send (A01, A04, A07).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rcs_core::engine::Allowed;
use rcs_proto::driver::accept::{Authorization, RefusalStatus};
use rcs_rig::signed::{Signer, key_set, seconds_from_now, unsigned};
use serde_json::{Value, json};

use super::algorithm::Algorithm;
use super::*;
use crate::access::{Access, KeyFiles, Mode, Shows};

pub(super) const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
pub(super) const ISS: &str = "https://kc.example.com/realms/x";

/// A folder with a file of credentials and what it names.
pub(super) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn open(&self, credentials: &str) -> Result<Access, String> {
        let text = credentials.replace("DIR", self.folder.path().to_str().unwrap());
        let path = self.write("credentials.toml", &text);
        open(&path)
    }
}

fn open(path: &Path) -> Result<Access, String> {
    let files = KeyFiles { shared: None, named: Some(path) };
    Access::open(files, Mode::Production).map(|(access, _)| access).map_err(|error| error.to_string())
}

pub(super) async fn ask(access: &Access, token: &str) -> Result<Proved, Refusal> {
    judge(access, token, Carried::Privately).await
}

pub(super) fn shows(authorization: &Authorization, carried: Carried) -> Shows<'_> {
    Shows { authorization, certificate: None, from: FROM, carried }
}

async fn judge(access: &Access, token: &str, carried: Carried) -> Result<Proved, Refusal> {
    let token = Authorization::Bearer(Secret::new(token.to_owned()));
    access.judge(shows(&token, carried)).await.map(|(proved, lease)| {
        assert!(lease.is_some_and(|lease| !lease.is_over()));
        proved
    })
}

pub(super) fn claims(client: &str) -> Value {
    json!({ "iss": ISS, "azp": client, "client_id": client, "sub": "a service account", "exp": seconds_from_now(60), "scope": "a fr:idm:*" })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, names: &[&str]) -> Value {
    for name in names {
        claims.as_object_mut().unwrap().remove(*name);
    }
    claims
}

pub(super) fn caller(name: &str) -> Proved {
    Proved::Caller { principal: name.into(), allowed: Allowed::only(["hr"]) }
}

/// Every attack is refused with a sentence that says what to do, and no sentence has a part of the token.
#[tokio::test]
async fn a_token_proves_one_name_and_whatever_is_wrong_with_it_is_told() {
    let site = Site::new();
    let (rsa, ec, ed, stranger) =
        (Signer::rs256("r"), Signer::es256("e"), Signer::eddsa("d"), Signer::rs256("r"));
    site.write("keys.json", &key_set(&[&rsa, &ec]));
    site.write("other.json", &key_set(&[&ed]));
    let hash = crate::access::Hash::of("mallory's key", [1; 16]);
    let access = site
        .open(&format!(
            "[issuer.kc]\njwks_file = 'DIR/keys.json'\nissuer = '{ISS}'\nalgorithms = ['RS256', 'ES256']\n\
             [issuer.strict]\njwks_file = 'DIR/other.json'\nissuer = 'strict'\nalgorithms = ['EdDSA']\naudience = 'rcs-router'\n\
             scopes = ['fr:idm:*']\nleeway = '0s'\n\
             [caller.idm]\ntoken = 'kc'\ngroups = ['hr']\n[member.n1]\ntoken = 'kc'\n[caller.late]\ntoken = 'kc'\ngroups = ['hr']\nexpires = 2020-01-01\n\
             [caller.strict]\ntoken = 'strict'\ngroups = ['hr']\n[caller.keyed]\nhashes = ['{}']\ngroups = ['hr']\n\
             [caller.both]\nhashes = ['{0}']\ntoken = 'kc'\ngroups = ['hr']\n",
            hash.text()
        ))
        .unwrap();
    let strict = || with(with(claims("strict"), "iss", json!("strict")), "aud", json!(["a", "rcs-router"]));
    let good = rsa.sign(&claims("idm"));
    for (what, token, proved) in [
        ("RSA", good.clone(), caller("idm")),
        ("the same again", good.clone(), caller("idm")),
        ("an elliptic curve", ec.sign(&claims("idm")), caller("idm")),
        (
            "a member",
            rsa.sign(&claims("n1")),
            Proved::Member { name: "n1".into(), owns: ["n1".to_owned()].into() },
        ),
        ("azp only", rsa.sign(&without(claims("idm"), &["client_id"])), caller("idm")),
        (
            "sub only, in a token for this router",
            ed.sign(&with(without(strict(), &["client_id", "azp"]), "sub", json!("strict"))),
            caller("strict"),
        ),
        (
            "expired within the leeway",
            rsa.sign(&with(claims("idm"), "exp", json!(seconds_from_now(-20)))),
            caller("idm"),
        ),
        (
            "a fraction",
            rsa.sign(&with(claims("idm"), "exp", json!(seconds_from_now(60) as f64 + 0.5))),
            caller("idm"),
        ),
        (
            "one key fits, and the token names none",
            ec.sign_under(&json!({"alg": "ES256"}), &claims("idm")),
            caller("idm"),
        ),
        (
            "an access token by its type",
            rsa.sign_under(&json!({"alg": "RS256", "kid": "r", "typ": "at+JWT"}), &claims("idm")),
            caller("idm"),
        ),
        (
            "an access token of Keycloak",
            rsa.sign(&with(claims("idm"), "typ", json!("Bearer"))),
            caller("idm"),
        ),
        (
            "an access token of PingAM",
            rsa.sign(&with(claims("idm"), "tokenName", json!("access_token"))),
            caller("idm"),
        ),
        (
            "an access token of Cognito",
            rsa.sign(&with(claims("idm"), "token_use", json!("access"))),
            caller("idm"),
        ),
        ("Ed25519, audience, scope", ed.sign(&strict()), caller("strict")),
        ("key or token", rsa.sign(&claims("both")), caller("both")),
    ] {
        assert_eq!(ask(&access, &token).await, Ok(proved), "{what}");
    }

    let header = |alg: &str| json!({ "alg": alg, "kid": "r", "typ": "JWT" });
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let other_payload = unsigned(&json!({}), &claims("n1"));
    let other_payload = other_payload.split_once('.').unwrap().1;
    let (invalid, not_allowed) = (RefusalStatus::InvalidToken, RefusalStatus::NotAllowed);
    for (what, token, status, part) in [
        ("another key of this name", stranger.sign(&claims("idm")), invalid, "not signed by [issuer.kc]"),
        ("a cut signature", good[..good.len() - 10].to_owned(), invalid, "not signed by"),
        ("no signature", format!("{head}.{payload}."), invalid, "not signed by"),
        (
            "other claims under the signature",
            format!("{head}.{other_payload}.{signature}"),
            invalid,
            "not signed by",
        ),
        ("none", format!("{}.", unsigned(&header("none"), &claims("idm"))), invalid, "never accepted"),
        ("None", format!("{}.", unsigned(&header("None"), &claims("idm"))), invalid, "never accepted"),
        ("HS256 with the public key", rsa.confuse(&claims("idm")), invalid, "never accepted"),
        ("RS256 said, ES256 done", ec.sign_under(&header("RS256"), &claims("idm")), invalid, "not signed by"),
        (
            "an algorithm of another key",
            rsa.sign_under(&header("ES256"), &claims("idm")),
            invalid,
            "not for the token's algorithm",
        ),
        (
            "an algorithm that is not pinned",
            rsa.sign_under(&header("PS256"), &claims("idm")),
            invalid,
            "signed with PS256, which [issuer.kc] does not accept",
        ),
        (
            "an unknown key",
            rsa.sign_under(&json!({"alg": "RS256", "kid": "s"}), &claims("idm")),
            invalid,
            "names a key (kid)",
        ),
        (
            "critical extensions",
            rsa.sign_under(
                &json!({"alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false}),
                &claims("idm"),
            ),
            invalid,
            "crit",
        ),
        (
            "another type of token",
            rsa.sign_under(&json!({"alg": "RS256", "kid": "r", "typ": "logout+jwt"}), &claims("idm")),
            invalid,
            "another type",
        ),
        (
            "an ID token of Keycloak",
            rsa.sign(&with(claims("idm"), "typ", json!("ID"))),
            invalid,
            "another type",
        ),
        ("a strange type", rsa.sign(&with(claims("idm"), "typ", json!(["Bearer"]))), invalid, "another type"),
        (
            "an ID token of PingAM",
            rsa.sign(&with(claims("idm"), "tokenName", json!("id_token"))),
            invalid,
            "another type",
        ),
        (
            "an ID token of Cognito",
            rsa.sign(&with(claims("idm"), "token_use", json!("id"))),
            invalid,
            "another type",
        ),
        (
            "an ID token",
            rsa.sign(&with(claims("idm"), "at_hash", json!("9ouuPOSU"))),
            invalid,
            "another type",
        ),
        (
            "an ID token with a code",
            rsa.sign(&with(claims("idm"), "c_hash", json!("x"))),
            invalid,
            "another type",
        ),
        (
            "bound to a key",
            rsa.sign(&with(claims("idm"), "cnf", json!({"jkt": "x"}))),
            invalid,
            "bound to a key",
        ),
        (
            "expired",
            rsa.sign(&with(claims("idm"), "exp", json!(seconds_from_now(-40)))),
            invalid,
            "expired at 20",
        ),
        (
            "expired without leeway",
            ed.sign(&with(strict(), "exp", json!(seconds_from_now(-2)))),
            invalid,
            "expired at 20",
        ),
        (
            "not yet valid",
            rsa.sign(&with(claims("idm"), "nbf", json!(seconds_from_now(100)))),
            invalid,
            "not valid before 20",
        ),
        ("no end", rsa.sign(&without(claims("idm"), &["exp"])), invalid, "has no end"),
        (
            "a strange end",
            rsa.sign(&with(claims("idm"), "exp", json!("tomorrow"))),
            invalid,
            "cannot be read",
        ),
        ("a negative end", rsa.sign(&with(claims("idm"), "exp", json!(-5))), invalid, "cannot be read"),
        (
            "another issuer",
            rsa.sign(&with(claims("idm"), "iss", json!("https://evil"))),
            invalid,
            "no [issuer.NAME]",
        ),
        (
            "the issuer of other keys",
            rsa.sign(&with(claims("strict"), "iss", json!("strict"))),
            invalid,
            "RS256, which [issuer.strict] does not",
        ),
        ("no issuer", rsa.sign(&without(claims("idm"), &["iss"])), invalid, "no [issuer.NAME]"),
        ("two issuers", rsa.sign(&with(claims("idm"), "iss", json!([ISS]))), invalid, "no [issuer.NAME]"),
        (
            "another audience",
            ed.sign(&with(strict(), "aud", json!("account"))),
            invalid,
            "another audience (aud) than rcs-router",
        ),
        ("no audience", ed.sign(&without(strict(), &["aud"])), invalid, "another audience"),
        (
            "no scope",
            ed.sign(&with(strict(), "scope", json!("fr:idm:*x a"))),
            invalid,
            "lacks the scope fr:idm:*",
        ),
        (
            "no client",
            rsa.sign(&without(claims("idm"), &["azp", "client_id", "sub"])),
            invalid,
            "names no client",
        ),
        (
            "an ID token of a person with the name of a caller",
            rsa.sign(&with(without(claims("x"), &["client_id", "azp"]), "sub", json!("idm"))),
            invalid,
            "neither client_id nor azp: set audience for [issuer.kc] if sub is to count",
        ),
        (
            "an empty client",
            rsa.sign(&with(claims("idm"), "client_id", json!(""))),
            invalid,
            "names no client",
        ),
        (
            "a client that is no text",
            rsa.sign(&with(claims("idm"), "client_id", json!(["idm"]))),
            invalid,
            "names no client",
        ),
        (
            "another client, and our name elsewhere",
            rsa.sign(&with(claims("other"), "sub", json!("idm"))),
            not_allowed,
            "client other, which has no entry",
        ),
        (
            "the name of another issuer's client",
            rsa.sign(&claims("strict")),
            not_allowed,
            "not proved by tokens of this issuer",
        ),
        (
            "a name that has a key",
            rsa.sign(&claims("keyed")),
            not_allowed,
            "not proved by tokens of this issuer",
        ),
        ("an entry that expired", rsa.sign(&claims("late")), not_allowed, "expired at 2020-01-01T00:00:00Z"),
        ("opaque", "2YotnFZFEjr1zCsicMWpAA".to_owned(), invalid, "introspection"),
        ("encrypted", format!("{head}.a.b.c.d"), invalid, "introspection"),
        ("no base64", format!("{head}.!.{signature}"), invalid, "no [issuer.NAME]"),
        (
            "huge",
            rsa.sign(&with(claims("idm"), "x", json!("x".repeat(8 << 10)))),
            invalid,
            "more than 6144 bytes",
        ),
        (
            "deep",
            format!("{head}.{}.{signature}", BASE64.encode("[".repeat(4000))),
            invalid,
            "no [issuer.NAME]",
        ),
    ] {
        let refusal = ask(&access, &token).await.expect_err(what);
        assert_eq!(refusal.status, status, "{what}: {}", refusal.sentence);
        assert!(refusal.sentence.contains(part), "{what}: {}", refusal.sentence);
        assert!(
            refusal.sentence.len() <= rcs_proto::driver::limits::REASON_PHRASE_BYTES,
            "{}",
            refusal.sentence
        );
        let signature = token.rsplit('.').next().unwrap();
        assert!(signature.is_empty() || signature == "d" || !refusal.sentence.contains(signature), "{what}");
    }
    let refusal = judge(&access, &good, Carried::InClear).await.unwrap_err();
    assert!(refusal.status == not_allowed && refusal.sentence.contains("without TLS"), "A07: {refusal:?}");

    // A key proves no name that only a token proves, and the other way round.
    let basic = |principal: &str, key: &str| {
        let (principal, secret) = (principal.to_owned(), Secret::new(key.to_owned()));
        Authorization::Basic(rcs_proto::driver::accept::Credentials { principal, secret })
    };
    for (principal, key, is_let_in) in [
        ("idm", "mallory's key", false),
        ("idm", "", false),
        ("keyed", "mallory's key", true),
        ("both", "mallory's key", true),
        ("idm", &good, false),
    ] {
        let judged = access.judge(shows(&basic(principal, key), Carried::InClear)).await;
        assert_eq!(judged.is_ok(), is_let_in, "{principal} {key}");
    }
}

/// Whatever is cut off or changed: the token is refused, and nothing panics.
#[tokio::test]
async fn a_token_that_is_cut_or_changed_anywhere_is_refused() {
    let site = Site::new();
    let signer = Signer::es256("k");
    site.write("keys.json", &key_set(&[&signer]));
    let access = site
        .open(&format!(
            "[issuer.kc]\njwks_file = 'DIR/keys.json'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n[caller.idm]\ntoken = 'kc'\ngroups = ['hr']\n"
        ))
        .unwrap();
    let good = signer.sign(&claims("idm"));
    assert!(ask(&access, &good).await.is_ok());
    for at in 0..good.len() {
        assert!(ask(&access, &good[..at]).await.is_err(), "cut at {at}");
        for other in ["A", "."] {
            let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            assert!(changed == good || ask(&access, &changed).await.is_err(), "{other:?} at {at}");
        }
    }
}

#[tokio::test]
async fn without_an_issuer_no_token_is_accepted() {
    let site = Site::new();
    let refusal = ask(&site.open("").unwrap(), "x.y.z").await.unwrap_err();
    assert!(refusal.status == RefusalStatus::Unauthorized && refusal.sentence.contains("accepts no tokens"));
    let key = site.write("key", "a caller's key");
    let files = KeyFiles { shared: Some(&key), named: None };
    let (access, _) = Access::open(files, Mode::Production).unwrap();
    assert_eq!(ask(&access, "x.y.z").await.unwrap_err(), refusal);
}

/// Several keys, an issuer that gives two keys one name, and a token that names none.
#[tokio::test]
async fn two_keys_of_one_name_are_both_tried_and_a_token_without_a_name_needs_a_single_key() {
    let site = Site::new();
    let (one, two) = (Signer::es256("same"), Signer::es256("same"));
    site.write("keys.json", &key_set(&[&one, &two]));
    let access = site
        .open(&format!(
            "[issuer.kc]\njwks_file = 'DIR/keys.json'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n[caller.idm]\ntoken = 'kc'\ngroups = ['hr']\n"
        ))
        .unwrap();
    for signer in [&one, &two] {
        assert_eq!(ask(&access, &signer.sign(&claims("idm"))).await, Ok(caller("idm")));
    }
    let refusal = ask(&access, &two.sign_under(&json!({"alg": "ES256"}), &claims("idm"))).await.unwrap_err();
    assert!(refusal.sentence.contains("names no key (kid), and 2 keys"), "{}", refusal.sentence);
}

/// P9: whoever writes a secret into the file by mistake does not find the secret in the log.
#[test]
fn faults_of_issuers_name_their_place_and_say_what_to_do() {
    let site = Site::new();
    let signer = Signer::es256("k");
    site.write("keys.json", &key_set(&[&signer]));
    site.write("secret", "s3cr3t-client-key\n");
    site.write("empty", "");
    let bomb = format!("{{\"keys\":[{}{{}}]}}", "{},".repeat(200));
    site.write("bomb.json", &bomb);
    site.write("large.json", &format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300 << 10)));
    site.write("shared.json", r#"{"keys":[{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0"}]}"#);
    let keys = format!("jwks_file = 'DIR/keys.json'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n");
    let asks =
        "introspection = 'http://127.0.0.1:1/i'\nclient_id = 'router'\nclient_secret_file = 'DIR/secret'\n";
    assert!(site.open(&format!("[issuer.kc]\n{keys}[issuer.am]\n{asks}")).is_ok());
    for (text, part) in [
        ("[issuer.kc]\n".to_owned(), "issuer.kc needs one of introspection"),
        (format!("[issuer.kc]\n{keys}jwks = 'https://kc/jwks'\n"), "needs one of introspection"),
        ("[issuer.kc]\njwks_file = 'DIR/keys.json'\n".to_owned(), "needs issuer"),
        (format!("[issuer.kc]\n{keys}client_id = 'x'\n"), "has client_id, which does not go with jwks_file"),
        (format!("[issuer.kc]\n{keys}keys_age = '1h'\n"), "has keys_age, which does not go with jwks_file"),
        (
            format!("[issuer.am]\n{asks}algorithms = ['RS256']\n"),
            "has algorithms, which does not go with introspection",
        ),
        (
            "[issuer.am]\nintrospection = 'http://127.0.0.1/i'\n".to_owned(),
            "needs client_id and client_secret_file",
        ),
        (
            asks.replace(
                "introspection = 'http://127.0.0.1:1",
                "[issuer.am]\nintrospection = 'http://am.example.com",
            ),
            "http:// would send secrets in clear text to am.example.com",
        ),
        (asks.replace("introspection = 'http", "[issuer.am]\nintrospection = 'ftp"), "https://"),
        (
            format!("[issuer.am]\n{}", asks.replace("DIR/secret", "DIR/nothing")),
            "client_secret_file: the file",
        ),
        (format!("[issuer.am]\n{}", asks.replace("DIR/secret", "DIR/empty")), "its first line is empty"),
        (format!("[issuer.am]\n{asks}recheck = '2h'\n"), "needs a time from 1s to 1h in recheck"),
        (format!("[issuer.am]\n{asks}recheck = 30\n"), "needs a time from 1s to 1h in recheck"),
        (format!("[issuer.am]\n{asks}after_expiry = 's3cr3t'\n"), "\"keep\" or \"close\" in after_expiry"),
        (format!("[issuer.am]\n{asks}secret = 's3cr3t'\n"), "has secret, which is unknown here"),
        (
            format!("[issuer.am]\n{asks}[issuer.bm]\n{asks}"),
            "issuer.bm is the second issuer with introspection",
        ),
        (format!("[issuer.a]\n{keys}[issuer.b]\n{keys}"), "issuer.b has the issuer of another entry"),
        (
            format!("[issuer.kc]\n{}", keys.replace("ES256", "HS256")),
            "never accepted, such as none, or HS256",
        ),
        (format!("[issuer.kc]\n{}", keys.replace("ES256", "none")), "never accepted, such as none"),
        (format!("[issuer.kc]\n{}", keys.replace("ES256", "RS256")), "has no key for signatures with RS256"),
        (format!("[issuer.kc]\n{}", keys.replace("keys.json", "bomb.json")), "more than 64 keys"),
        (format!("[issuer.kc]\n{}", keys.replace("keys.json", "large.json")), "more than 262144 bytes"),
        (format!("[issuer.kc]\n{}", keys.replace("keys.json", "shared.json")), "has no key for signatures"),
        (format!("[issuer.kc]\n{}", keys.replace("keys.json", "secret")), "is no JSON"),
        (format!("[issuer.'a/b']\n{keys}"), "cannot be the name of an issuer"),
        (
            "[caller.idm]\ntoken = 'kc'\ngroups = ['hr']".to_owned(),
            "caller.idm names an issuer in token that the file does not have",
        ),
        ("[member.n1]\n".to_owned(), "member.n1 needs hashes"),
        (
            format!("[issuer.kc]\n{keys}[member.n1]\ntoken = 'kc'\nhashes = ['s3cr3t']\n"),
            "hashes: number 1 is not a hash",
        ),
    ] {
        let why = site.open(&text).unwrap_err();
        assert!(why.contains(part) && !why.contains("s3cr3t"), "{text}\n{why}");
    }
    let many: String =
        (0..17).map(|n| format!("[issuer.i{n}]\n{}", keys.replace(ISS, &n.to_string()))).collect();
    assert!(site.open(&many).unwrap_err().contains("one more than the 16 issuers"));
}

/// The examples of RFC 7515 (appendix A.3) and RFC 8037 (appendix A.4), and signatures of OpenSSL: keys and signatures that others made.
#[test]
fn signatures_of_the_standards_are_good() {
    for (alg, jwk, token) in [
        (
            Algorithm::Es256,
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
             DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            Algorithm::EdDsa,
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9\
             g7sVvpAr_MuM0KAg",
        ),
        (Algorithm::Rs256, r#"{"kty":"RSA","n":"MODULUS","e":"AQAB"}"#, RS256_OF_OPENSSL),
        (Algorithm::Ps256, r#"{"kty":"RSA","n":"MODULUS","e":"AQAB"}"#, PS256_OF_OPENSSL),
    ] {
        let jwk = jwk.replace("MODULUS", MODULUS);
        let keys = KeySet::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes(), &[alg]).unwrap();
        let key = keys.fitting(None, alg).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64.decode(signature).unwrap();
        assert!(key[0].signed(alg, signed.as_bytes(), &signature));
        assert!(!key[0].signed(alg, &signed.as_bytes()[1..], &signature));
    }
}

/// Made by `openssl genrsa` and `openssl dgst -sha256 -sign`; the private key is gone.
const MODULUS: &str = "qGHpxYIjDWONum-bmgJQ7YWuiR213tv6q5l_a0L_Y4fP6Av_70DINqbV2zPN0bRkUNxnMEk5m-v4Pkr34ZjyRDHjHhKqwOhjDBejA8bc8k4N-03WTD7REaCj\
             C9PaFQ52QLWGbR-y68Pp0cWbmg-T7zyO065O34XUaJVq1SUubJ4d50b8Y6SerGwFePB-PNPl6j1mTrC0kI2kHKLuGVu3b-Oy4SWyQXCGlpULdPC2wPV8cgN9\
             TWQt5Ers_8jTx8oJHCzULJLHGSs_LK9vjuBmeTotvmDqy6vA8gG2lSg0Eifq82EnMUeFHPAbaQHVW3DCru_n5Qx3GB_pzrUChHnnfQ";
const RS256_OF_OPENSSL: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im8ifQ.eyJpc3MiOiJvcGVuc3NsIiwiZXhwIjo0MTAyNDQ0ODAwfQ.osb882NpU0KkE_mz9qlkvZ\
             px29lRWSnwCu7Iff1V5x-W_GyslPhffe_JMMTN3qkLGJ7Ora1F2gjRp0rLM5WH-o80ye3TOLc3XZPSkZdGwzOHIixaDMdPW73dq9e3WiKJ0yOYCOb-4kO9x0\
             GXs81lBGJoI1lcU9qoWiBE599Zu-S9YIBLEQkS_lY5wxmEKh1C7wYOQiqDNzEwvXvPOom6CdJWTwk-PVCRzSgV7XadjI4XOx-ymhuXadsErsxi6L5NEriE1h\
             1QomPaH1OO2wXLYUqlpwkTOS9-BPPOAB_uHlFgHwpLATuzPS9fIpmKNGdXKmnLDKBKSl3GmFDUZvkHxQ";
const PS256_OF_OPENSSL: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im8ifQ.eyJpc3MiOiJvcGVuc3NsIiwiZXhwIjo0MTAyNDQ0ODAwfQ.POh0R8nrOQPQJjzLQ75eAL\
             IwarrYgGS6fI1kxscyCFR375IoeZ_Wfb3SEnpAAOoNTqdvgF3qi2feKKaN7QwoVnrPsRuzfdxrvsLCtjjkNDW8ZBbnHOd3fE0SRqzzzH3qmfap2_qitETsvu\
             ymjbVgkNlLTqCoQlAwNtKo6ygD3SGYaMPd8Jjfg4bOELXMknN3amm1jmyda_Dr9B1lJeKO0Vb37A4lW0XYKEBu-9ipXmrwRTAcXuWWhUGJ5Km3OQswdcBowY\
             YSmjwwmGX2jZg-U20evop-AtfchR0ULqLqKKX94fUNju6Qvn_g4LOYpAykMFQrjs5l-w2evqW051yFEQ";
