//! Forms, and Basic authentication of OAuth2 clients.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcs_proto::icf::Secret;

/// Fields as `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        encode(name, &mut body);
        body.push('=');
        encode(value, &mut body);
    }
    body
}

/// The value of an `Authorization` header by which an OAuth2 client proves itself: Basic, with an id and a secret that are encoded as in a
/// form (RFC 6749, section 2.3.1 and appendix B).
pub fn basic(id: &str, secret: &Secret<String>) -> Secret<String> {
    let mut user = String::new();
    encode(id, &mut user);
    user.push(':');
    encode(secret.expose(), &mut user);
    let user = Secret::new(user);
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(user.expose())))
}

fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => to.push('+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => to.push(char::from(byte)),
            // Writing to a String cannot fail.
            other => write!(to, "%{other:02X}").expect("a String takes any text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_a_form() {
        assert_eq!(form(&[]), "");
        let fields = [("grant_type", "client_credentials"), ("scope", "fr:idm:* a&b=é")];
        assert_eq!(form(&fields), "grant_type=client_credentials&scope=fr%3Aidm%3A*+a%26b%3D%C3%A9");
    }

    #[test]
    fn id_and_secret_are_encoded_before_basic() {
        // printf 'my%3Aid:p%2Bw+d' | base64
        let header = basic("my:id", &Secret::new("p+w d".to_owned()));
        assert_eq!(header.expose(), "Basic bXklM0FpZDpwJTJCdytk");
        assert_eq!(basic("a", &Secret::new("b".to_owned())).expose(), "Basic YTpi");
    }
}
