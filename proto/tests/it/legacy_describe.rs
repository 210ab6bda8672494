//! Trees as the JSON of the vectors (LEGACY section 10), and back.

use rcs_proto::icf::Secret;
use rcs_proto::legacy::{Class, Field, Node, Object};
use serde_json::{Map, Value, json};

use crate::vectors::{hex, unhex};

/// The description of a tree. Floating-point numbers are described by their bits alone, see [`without_decimals`].
pub(crate) fn describe(node: &Node<'_>) -> Value {
    let content = match node {
        Node::Null => return Value::Null,
        Node::Boolean(value) => json!(value),
        Node::Character(character) => json!(character.to_string()),
        Node::Integer(number) => json!(number),
        Node::Long(number) => json!(number),
        Node::Byte(number) => json!(number),
        Node::Float(bits) => bits_of(f64::from(f32::from_bits(*bits))),
        Node::Double(bits) => bits_of(f64::from_bits(*bits)),
        Node::String(text)
        | Node::Uri(text)
        | Node::File(text)
        | Node::BigInteger(text)
        | Node::Name(text) => {
            json!(text)
        }
        Node::Bytes(bytes) => json!(hex(bytes)),
        Node::Class(class) => class_text(class),
        Node::GuardedString(secret) => json!(secret.expose()),
        Node::GuardedBytes(secret) => json!(hex(secret.expose())),
        Node::Array(component, items) => json!({"component": class_text(component), "items": all(items)}),
        Node::Object(object) => describe_object(object),
    };
    json!({ node.type_name(): content })
}

/// The same description without the texts of floating-point numbers: their bits say it all.
pub(crate) fn without_decimals(description: &Value) -> Value {
    match description {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("bits") => {
            json!({"bits": fields["bits"]})
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), without_decimals(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_decimals).collect(),
        other => other.clone(),
    }
}

/// The tree that a description stands for.
pub(crate) fn build(description: &Value) -> Node<'static> {
    let Value::Object(fields) = description else { return Node::Null };
    let (name, content) = fields.iter().next().unwrap();
    let text = || content.as_str().unwrap().to_owned();
    match name.as_str() {
        "Boolean" => Node::Boolean(content.as_bool().unwrap()),
        "Character" => Node::Character(text().chars().next().unwrap()),
        "Integer" => Node::Integer(content.as_i64().unwrap() as i32),
        "Long" => Node::Long(content.as_i64().unwrap()),
        "Byte" => Node::Byte(content.as_i64().unwrap() as i8),
        "Float" => Node::Float((f64::from_bits(bits(content)) as f32).to_bits()),
        "Double" => Node::Double(bits(content)),
        "String" => Node::String(text().into()),
        "URI" => Node::Uri(text().into()),
        "File" => Node::File(text().into()),
        "BigInteger" => Node::BigInteger(text().into()),
        "Name" => Node::Name(text().into()),
        "ByteArray" => Node::Bytes(unhex(&text()).into()),
        "Class" => Node::Class(class(content)),
        "GuardedString" => Node::GuardedString(Secret::new(text())),
        "GuardedByteArray" => Node::GuardedBytes(Secret::new(unhex(&text()))),
        "Array" => Node::Array(class(&content["component"]), build_all(&content["items"])),
        "List" => Node::list(build_all(content)),
        "Set" => Node::set(content["caseInsensitive"].as_bool().unwrap(), build_all(&content["items"])),
        "Map" => {
            let entries = content["entries"].as_array().unwrap().iter();
            let entries = entries.map(|pair| (build(&pair[0]), build(&pair[1]))).collect();
            Node::map(content["caseInsensitive"].as_bool().unwrap(), entries)
        }
        name => build_object(name, content.as_object().unwrap()),
    }
}

fn describe_object(object: &Object<'_>) -> Value {
    match object.type_name() {
        "List" => all(object.members()),
        "Set" => json!({
            "caseInsensitive": object.get_bool("caseInsensitive"),
            "items": all(object.members()),
        }),
        "Map" => {
            let entries: Vec<Value> = object
                .members()
                .iter()
                .map(|entry| all(entry.as_object("MapEntry").unwrap().members()))
                .collect();
            json!({"caseInsensitive": object.get_bool("caseInsensitive"), "entries": entries})
        }
        _ => {
            let mut fields: Map<String, Value> =
                object.fields().map(|(name, field)| (name.to_owned(), describe_field(field))).collect();
            if object.has_members() {
                fields.insert("*".to_owned(), all(object.members()));
            }
            Value::Object(fields)
        }
    }
}

fn describe_field(field: Field<'_, '_>) -> Value {
    match field {
        Field::Text(text) => json!(text),
        Field::Class(class) => class_text(class),
        Field::Int(number) => json!(number),
        Field::Long(number) => json!(number),
        Field::Bool(value) => json!(value),
        Field::Object(node) => describe(node),
    }
}

/// JSON does not tell the kinds of fields apart, so the kind is taken from a sample of the type where one exists.
fn build_object(type_name: &str, fields: &Map<String, Value>) -> Node<'static> {
    let mut object = Object::new(type_name);
    for (name, value) in fields {
        let name = name.as_str();
        let is_class = matches!(
            (type_name, name),
            ("AttributeInfo" | "OperationOptionInfo" | "ConfigurationProperty", "type")
                | ("BatchResult", "ResultClass")
                | ("OperationRequest", "operation")
        );
        object = match (value, name) {
            (items, "*") => object.with_members(build_all(items)),
            (value, name) if is_class => object.class(name, class(value)),
            (Value::String(text), name) => object.text(name, text.clone().leak()),
            (Value::Bool(value), name) => object.bool(name, *value),
            (Value::Number(number), "maxWait" | "minEvictableIdleTimeMillis") => {
                object.long(name, number.as_i64().unwrap())
            }
            (Value::Number(number), name) => object.int(name, number.as_i64().unwrap() as i32),
            (value, name) => object.object(name, build(value)),
        };
    }
    object.into()
}

fn all(nodes: &[Node<'_>]) -> Value {
    nodes.iter().map(describe).collect()
}

fn build_all(items: &Value) -> Vec<Node<'static>> {
    items.as_array().unwrap().iter().map(build).collect()
}

fn bits_of(number: f64) -> Value {
    let bits = if number.is_nan() { 0x7FF8_0000_0000_0000 } else { number.to_bits() };
    json!({"bits": format!("{bits:016x}")})
}

fn bits(content: &Value) -> u64 {
    u64::from_str_radix(content["bits"].as_str().unwrap(), 16).unwrap()
}

fn class_text(class: &Class<'_>) -> Value {
    json!(format!("{}{}", class.name, "[]".repeat(class.dimensions.into())))
}

fn class(content: &Value) -> Class<'static> {
    let text = content.as_str().unwrap();
    let name = text.trim_end_matches("[]");
    Class { name: name.to_owned().into(), dimensions: ((text.len() - name.len()) / 2) as u8 }
}
