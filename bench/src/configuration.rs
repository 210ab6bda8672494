//! The configuration that every call carries: a connector's defaults with the properties of the command line (WIRE section 6).

use rcs_cli::{Exit, Failure};
use rcs_proto::icf::{ApiConfiguration, ClassName, ConnectorInfo, Secret, Value};
use rcs_proto::legacy::facade_key;
use rcs_proto::messages::{ConnectorKey, Locale, OperationRequest};

/// The connector with this name, or whose name ends so, or the only one. If the target has the connector in several bundles, the first of
/// them.
pub(crate) fn choose<'i>(
    infos: &'i [ConnectorInfo],
    name: Option<&str>,
) -> Result<&'i ConnectorInfo, Failure> {
    let fits = |info: &&ConnectorInfo| {
        name.is_none_or(|name| {
            let known = &info.key.connector_name;
            known == name || known.strip_suffix(name).is_some_and(|front| front.ends_with('.'))
        })
    };
    let found: Vec<&ConnectorInfo> = infos.iter().filter(fits).collect();
    match (found.as_slice(), name) {
        ([one, others @ ..], _)
            if others.iter().all(|other| other.key.connector_name == one.key.connector_name) =>
        {
            Ok(one)
        }
        ([], None) => Err(Exit::BadData.with("the target has no connectors")),
        ([], Some(name)) => {
            Err(Exit::BadData.with(format!("the target has no connector {name}; it has {}", names(infos))))
        }
        _ => Err(Exit::Usage.with(format!("choose one with --connector; the target has {}", names(infos)))),
    }
}

/// What every call carries: the connector and its configuration.
pub(crate) fn base_request(info: &ConnectorInfo, configuration: &ApiConfiguration) -> OperationRequest {
    OperationRequest {
        connector_key: Some(ConnectorKey {
            bundle_name: info.key.bundle_name.clone(),
            bundle_version: info.key.bundle_version.clone(),
            connector_name: info.key.connector_name.clone(),
        }),
        connector_facade_key: facade_key::encode(configuration),
        locale: Some(Locale { language: "en".to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

fn names(infos: &[ConnectorInfo]) -> String {
    let mut names: Vec<String> =
        infos.iter().map(|info| format!("{} {}", info.key.connector_name, info.key.bundle_version)).collect();
    names.sort();
    names.join(", ")
}

/// The connector's default configuration with these properties set.
pub(crate) fn configure(info: &ConnectorInfo, set: &[(String, String)]) -> Result<ApiConfiguration, Failure> {
    let mut configuration = info.configuration.clone().ok_or_else(|| {
        Exit::BadData
            .with("the target sends no default configuration of the connector; use another connector")
    })?;
    for (name, text) in set {
        let Some(property) = configuration.properties.iter_mut().find(|property| property.name == *name)
        else {
            let known: Vec<&str> = configuration.properties.iter().map(|p| p.name.as_str()).collect();
            let text = format!("the connector has no property {name}; it has {}", known.join(", "));
            return Err(Exit::BadData.with(text));
        };
        // The value itself may be a secret.
        property.value = value(&property.class, text).ok_or_else(|| {
            Exit::BadData.with(format!("the value of {name} is not a {}", property.class.name))
        })?;
    }
    let missing = configuration
        .properties
        .iter()
        .find(|property| property.required && matches!(&property.value, Value::Null));
    match missing {
        Some(property) => Err(Exit::Usage.with(format!("the connector needs --set {}=...", property.name))),
        None => Ok(configuration),
    }
}

/// A value of a property's type out of its text. `None` if the text does not fit, or the type has no text.
fn value(class: &ClassName, text: &str) -> Option<Value> {
    if class.dimensions > 0 {
        let member = ClassName { name: class.name.clone(), dimensions: class.dimensions - 1 };
        let members: Option<Vec<Value>> = match text {
            "" => Some(Vec::new()),
            text => text.split(',').map(|text| value(&member, text)).collect(),
        };
        return Some(Value::Array(member, members?));
    }
    let mut characters = text.chars();
    Some(match class.name.as_str() {
        "String" => Value::String(text.to_owned()),
        "GuardedString" => Value::GuardedString(Secret::new(text.to_owned())),
        "File" => Value::File(text.to_owned()),
        "URI" => Value::Uri(text.to_owned()),
        "boolean" | "Boolean" => Value::Boolean(text.parse().ok()?),
        "int" | "Integer" => Value::Integer(text.parse().ok()?),
        "long" | "Long" => Value::Long(text.parse().ok()?),
        "float" | "Float" => Value::Float(text.parse().ok()?),
        "double" | "Double" => Value::Double(text.parse().ok()?),
        "char" | "Character" => match (characters.next(), characters.next()) {
            (Some(character), None) if u32::from(character) <= 0xffff => Value::Character(character),
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcs_proto::icf::{ConfigurationProperty, ConnectorKey};

    fn info(name: &str) -> ConnectorInfo {
        let key = ConnectorKey {
            bundle_name: "b".to_owned(),
            bundle_version: "1".to_owned(),
            connector_name: name.to_owned(),
        };
        ConnectorInfo { display_name_key: None, category_key: None, key, messages: None, configuration: None }
    }

    #[test]
    fn a_connector_is_found_by_its_name_or_its_end() {
        let infos = [info("org.x.CsvConnector"), info("org.x.OtherCsvConnector")];
        for (name, found) in [
            (Some("CsvConnector"), Some(0)),
            (Some("org.x.OtherCsvConnector"), Some(1)),
            (Some("x.CsvConnector"), Some(0)),
            (Some("Connector"), None),
            (None, None),
        ] {
            let chosen = choose(&infos, name).ok().map(|info| &info.key);
            assert_eq!(chosen, found.map(|at: usize| &infos[at].key), "{name:?}");
        }
        assert!(choose(&infos[..1], None).is_ok(), "the only one needs no name");
    }

    #[test]
    fn texts_become_values_of_the_propertys_type() {
        for (name, dimensions, text, expected) in [
            ("String", 0, "x", Some(Value::String("x".to_owned()))),
            ("int", 0, "-7", Some(Value::Integer(-7))),
            ("Boolean", 0, "true", Some(Value::Boolean(true))),
            ("boolean", 0, "yes", None),
            ("char", 0, ";", Some(Value::Character(';'))),
            ("char", 0, ";;", None),
            (
                "String",
                1,
                "a,b",
                Some(Value::Array(
                    ClassName::plain("String"),
                    vec![Value::String("a".to_owned()), Value::String("b".to_owned())],
                )),
            ),
            ("int", 1, "", Some(Value::Array(ClassName::plain("int"), Vec::new()))),
            ("Script", 0, "x", None),
        ] {
            let class = ClassName { name: name.to_owned(), dimensions };
            assert_eq!(value(&class, text), expected, "{name} {text}");
        }
    }

    #[test]
    fn a_property_that_is_needed_or_unknown_is_named_and_its_value_is_not() {
        let property = |name: &str, class: &str, required| ConfigurationProperty {
            order: 0,
            confidential: false,
            required,
            name: name.to_owned(),
            help_key: None,
            display_key: None,
            group_key: None,
            class: ClassName::plain(class),
            value: Value::Null,
            operations: Vec::new(),
        };
        let mut info = info("c");
        info.configuration = Some(ApiConfiguration {
            producer_buffer_size: 100,
            pooling_supported: false,
            pool: None,
            results_handlers: None,
            properties: vec![property("file", "File", true), property("count", "int", false)],
            timeouts_ms: Vec::new(),
            supported_operations: Vec::new(),
        });
        let set = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            configure(&info, &pairs).map_err(|failure| failure.to_string())
        };
        assert!(set(&[]).unwrap_err().contains("--set file"));
        assert!(set(&[("files", "x")]).unwrap_err().contains("file, count"));
        let error = set(&[("count", "s3cret")]).unwrap_err();
        assert!(error.contains("count") && !error.contains("s3cret"), "{error}");
        let configured = set(&[("file", "/x"), ("count", "3")]).unwrap();
        assert_eq!(configured.property("count").unwrap().value, Value::Integer(3));
    }
}
