//! Reads what a token endpoint answers. Fields that are not known are ignored: endpoints get new ones.

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::icf::Secret;
use serde::Deserialize;
use serde_json::Value;

use super::error::TokenError;
use crate::https::{HttpsError, Response};
use crate::limits::{ASSUMED_LIFE, LIFE_MAX, SHOWN_CHARACTERS_MAX, TOKEN_BYTES_MAX};

/// A token as it came.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Secret<String>,
    pub(super) life: Life,
}

/// How long a token is valid from its receipt on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// As the answer says.
    Said(Duration),
    /// The answer says nothing that makes sense.
    Unknown,
}

impl Life {
    /// The time that renewals are reckoned by.
    pub(super) fn reckoned(self) -> Duration {
        match self {
            Self::Said(life) => life.min(LIFE_MAX),
            Self::Unknown => ASSUMED_LIFE,
        }
    }
}

#[derive(Deserialize)]
struct Success {
    access_token: Secretive,
    token_type: Option<String>,
    expires_in: Option<Value>,
}

/// A text that is a secret from the moment on at which it was read.
struct Secretive(Secret<String>);

impl<'de> Deserialize<'de> for Secretive {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

#[derive(Deserialize)]
struct Failure {
    error: Option<String>,
}

/// The token of an answer.
pub(super) fn read(answer: &Response, client: &str, scope: Option<&str>) -> Result<Granted, TokenError> {
    let status = answer.status();
    if !(200..=299).contains(&status) {
        return Err(refusal(answer, client, scope));
    }
    let not_read = |error: HttpsError| TokenError::Exchange(Arc::new(error));
    let success: Success = answer.json().map_err(not_read)?;
    let kind = success.token_type.unwrap_or_default();
    if !kind.eq_ignore_ascii_case("Bearer") {
        return Err(TokenError::TokenType { kind: kind.chars().take(SHOWN_CHARACTERS_MAX).collect() });
    }
    let token = success.access_token.0;
    match token.expose() {
        empty if empty.is_empty() => Err(TokenError::Unusable("it is empty")),
        long if long.len() > TOKEN_BYTES_MAX => Err(TokenError::Unusable(
            "it is longer than the head of a request may be; have the authorization server put less into it",
        )),
        odd if !odd.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(TokenError::Unusable("it has characters that no header may have"))
        }
        _ => Ok(Granted { token, life: life(success.expires_in.as_ref()) }),
    }
}

/// Some servers write the number as a text, or with a fraction.
fn life(expires_in: Option<&Value>) -> Life {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    // A life beyond what a Duration holds is absurd as well.
    let life = seconds
        .filter(|seconds| *seconds >= 1.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    life.map_or(Life::Unknown, Life::Said)
}

fn refusal(answer: &Response, client: &str, scope: Option<&str>) -> TokenError {
    let status = answer.status();
    let client = client.to_owned();
    let code = answer.json::<Failure>().ok().and_then(|failure| failure.error);
    match (code.as_deref(), status) {
        (_, 429 | 500..=599) => TokenError::Unavailable { status },
        (Some("invalid_client"), _) => TokenError::InvalidClient { client, status },
        (Some("invalid_scope"), _) => {
            TokenError::InvalidScope { client, scope: scope.unwrap_or_default().to_owned(), status }
        }
        // Keycloak says `unauthorized_client` of a wrong secret. Of a grant it says so with 400, as the standard has it.
        (Some("unauthorized_client"), 401) => TokenError::InvalidClient { client, status },
        (Some("unauthorized_client" | "unsupported_grant_type"), _) => {
            TokenError::GrantRefused { client, status }
        }
        (_, 401) => TokenError::InvalidClient { client, status },
        (_, 404) => TokenError::NoEndpoint,
        _ => TokenError::Refused { status, code: code.filter(|code| is_code(code)) },
    }
}

/// Whether a text is a code of the kind that the standard has, and no sentence that might hold anything.
fn is_code(text: &str) -> bool {
    (1..=SHOWN_CHARACTERS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(status: u16, body: &str) -> Result<Granted, TokenError> {
        read(&Response::of(status, body), "rcs", Some("fr:idm:*"))
    }

    #[test]
    fn a_token_is_read_whatever_else_the_answer_has() {
        for body in [
            r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3599}"#,
            r#"{"new":{"deep":[1,{}]},"scope":"a","id_token":null,"token_type":"bearer","expires_in":"3599","access_token":"t0ken"}"#,
            r#"{"access_token":"t0ken","token_type":"BEARER","expires_in":3599.0}"#,
        ] {
            let granted = granted(200, body).unwrap();
            assert_eq!(
                (granted.token.expose().as_str(), granted.life),
                ("t0ken", Life::Said(Duration::from_secs(3599)))
            );
            assert!(!format!("{granted:?}").contains("t0ken"));
        }
    }

    /// O03
    #[test]
    fn an_absurd_life_counts_as_unknown() {
        for life in [
            "",
            r#","expires_in":null"#,
            r#","expires_in":0"#,
            r#","expires_in":-5"#,
            r#","expires_in":"soon""#,
            r#","expires_in":1e300"#,
            r#","expires_in":[]"#,
        ] {
            let body = format!(r#"{{"access_token":"t","token_type":"Bearer"{life}}}"#);
            assert_eq!(granted(200, &body).unwrap().life, Life::Unknown, "{life}");
        }
        let long =
            granted(200, r#"{"access_token":"t","token_type":"Bearer","expires_in":999999999}"#).unwrap();
        assert_eq!(long.life.reckoned(), LIFE_MAX);
        assert_eq!(Life::Unknown.reckoned(), ASSUMED_LIFE);
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        for (status, body, says) in [
            (
                400,
                r#"{"error":"invalid_client","error_description":"c4n4ry"}"#,
                "refuses the client \"rcs\" or its secret (HTTP 400): compare both",
            ),
            (401, "", "refuses the client \"rcs\" or its secret (HTTP 401)"),
            (
                400,
                r#"{"error":"invalid_scope"}"#,
                "refuses the scope \"fr:idm:*\" (HTTP 400): correct the scope",
            ),
            (400, r#"{"error":"unauthorized_client"}"#, "does not grant client credentials"),
            (
                401,
                r#"{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}"#,
                "refuses the client \"rcs\" or its secret (HTTP 401)",
            ),
            (400, r#"{"error":"unsupported_grant_type"}"#, "does not grant client credentials"),
            (
                400,
                r#"{"error":"invalid_request"}"#,
                "refuses the request (HTTP 400, invalid_request): look in its log",
            ),
            (400, r#"{"error":"c4n4ry says no"}"#, "refuses the request (HTTP 400): look in its log"),
            (403, "<html>c4n4ry</html>", "refuses the request (HTTP 403)"),
            (404, "", "no token endpoint at this path"),
            (429, "", "overloaded or out of order (HTTP 429)"),
            (503, r#"{"error":"temporarily_unavailable"}"#, "overloaded or out of order (HTTP 503)"),
            (200, "<html>c4n4ry</html>", "not the JSON that was expected: it is not JSON; check the URL"),
            (200, r#"{"access_token":5,"token_type":"Bearer"}"#, "a field is missing, or has another type"),
            (200, r#"{"token_type":"Bearer"}"#, "a field is missing"),
            (
                200,
                r#"{"access_token":"c4n4ry","token_type":"DPoP"}"#,
                "tokens of the type \"DPoP\", and only Bearer",
            ),
            (200, r#"{"access_token":"c4n4ry"}"#, "tokens of the type \"\""),
            (200, r#"{"access_token":"","token_type":"Bearer"}"#, "it is empty"),
            (
                200,
                r#"{"access_token":"c4n4ry\r\nX: y","token_type":"Bearer"}"#,
                "characters that no header may have",
            ),
            (200, &format!(r#"{{"access_token":"{long}","token_type":"Bearer"}}"#), "longer than the head"),
        ] {
            let error = granted(status, body).expect_err(says);
            let words = error.to_string();
            assert!(words.contains(says) && !words.ends_with('.'), "{status} {body}: {words}");
            assert!(!format!("{words} {error:?}").contains("c4n4ry"), "{words}");
        }
    }
}
