//! `GET /v1/openapi.json`: the description of the API for programs, in OpenAPI 3.1.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::gate::Needs;
    use super::*;

    /// The routes of the admin address, without those of IDM's own interface.
    fn routes() -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for route in include_str!("mod.rs").split(".route(\"").skip(1) {
            let (path, rest) = route.split_once("\", ").unwrap();
            let method = rest.split('(').next().unwrap();
            if !path.starts_with("/openidm/") {
                found.insert(format!("{method} {path}"));
            }
        }
        found
    }

    #[test]
    fn every_route_is_described_and_no_other() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        let mut described = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                described.insert(format!("{method} {path}"));
                assert!(
                    ids.insert(operation["operationId"].as_str().unwrap()),
                    "{path} has an id of its own"
                );
                // Probes do not come to the gate.
                let expected = match Needs::of(&method.to_uppercase().parse().unwrap(), path) {
                    _ if ["/livez", "/readyz"].contains(&path.as_str()) => Value::Null,
                    Needs::Scraping | Needs::Looking => json!([{}, {"token": []}]),
                    _ => json!([{"token": []}]),
                };
                assert_eq!(operation["security"], expected, "as the gate judges: {method} {path}");
                for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                    let parameters = operation["parameters"].as_array().unwrap();
                    assert!(
                        parameters.iter().any(|one| one["name"] == name && one["in"] == "path"),
                        "{path}"
                    );
                }
            }
        }
        assert_eq!(described, routes());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let mut seen = 0;
        for reference in DESCRIPTION.split("\"$ref\": \"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(description.pointer(pointer).is_some(), "{pointer}");
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }
}
