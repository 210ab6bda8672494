//! Between messages and the object model.

use bytes::Bytes;
use rcs_proto::icf::{Attribute, ConnectorKey, ObjectClass, OperationOptions, Secret, Uid, Value};
use rcs_proto::legacy::{Wire, decode_optional};
use rcs_proto::messages::{self, OperationRequest};

use super::failure::Failure;
use crate::error::ErrorClass;

pub(super) fn connector_key(request: &OperationRequest) -> ConnectorKey {
    let key = request.connector_key.clone().unwrap_or_default();
    ConnectorKey {
        bundle_name: key.bundle_name,
        bundle_version: key.bundle_version,
        connector_name: key.connector_name,
    }
}

/// An object class; Java's cannot be blank.
pub(super) fn object_class(name: &str) -> Result<ObjectClass, Failure> {
    if name.trim().is_empty() {
        let message = "Parameter 'type' must not be blank.";
        return Err(Failure::new(ErrorClass::IllegalArgument, message));
    }
    Ok(ObjectClass(name.to_owned()))
}

/// The class of one object: `__ALL__` is for sync alone.
pub(super) fn one_object_class(name: &str) -> Result<ObjectClass, Failure> {
    let class = object_class(name)?;
    if class.0.eq_ignore_ascii_case(ObjectClass::ALL) {
        let message = format!("Operation requires a specific object class, not {}", ObjectClass::ALL);
        return Err(Failure::new(ErrorClass::UnsupportedOperation, message));
    }
    Ok(class)
}

pub(super) fn uid(message: Option<&messages::Uid>) -> Result<Uid, Failure> {
    let message = message.filter(|uid| !uid.value.trim().is_empty()).ok_or_else(|| {
        // Java makes no difference between an absent and a blank one.
        Failure::new(ErrorClass::IllegalArgument, "Uid value must not be blank!")
    })?;
    let revision = Some(message.revision.clone()).filter(|revision| !revision.trim().is_empty());
    Ok(Uid { value: message.value.clone(), revision })
}

pub(super) fn uid_message(uid: Uid) -> messages::Uid {
    messages::Uid { value: uid.value, revision: uid.revision.unwrap_or_default() }
}

/// Options; those that connectors read by their type must have it, or a page would silently become everything.
pub(super) fn options(field: &[u8]) -> Result<OperationOptions, Failure> {
    let options: OperationOptions = optional("options", field)?.unwrap_or_default();
    let wrong = options.entries.iter().find(|(name, value)| !has_its_type(name, value));
    match wrong {
        None => Ok(options),
        Some((name, _)) => {
            let message = format!("the option {name} has a value of the wrong type");
            Err(Failure::new(ErrorClass::IllegalArgument, message))
        }
    }
}

/// LEGACY section 9; null counts as absent.
fn has_its_type(name: &str, value: &Value) -> bool {
    match name {
        _ if *value == Value::Null => true,
        "PAGE_SIZE" | "PAGED_RESULTS_OFFSET" => matches!(value, Value::Integer(_)),
        "PAGED_RESULTS_COOKIE" => matches!(value, Value::String(_)),
        "ATTRS_TO_GET" => holds_only(value, |item| matches!(item, Value::String(_))),
        "SORT_KEYS" => holds_only(value, |item| matches!(item, Value::SortKey(_))),
        _ => true,
    }
}

fn holds_only(value: &Value, fits: fn(&Value) -> bool) -> bool {
    matches!(value, Value::Array(_, items) | Value::List(items) if items.iter().all(fits))
}

pub(super) fn attributes(parameter: &'static str, field: &[u8]) -> Result<Vec<Attribute>, Failure> {
    optional("attributes", field)?.ok_or_else(|| Failure::missing(parameter))
}

/// A password, which travels as a guarded string.
pub(super) fn password(field: &[u8]) -> Result<Secret<String>, Failure> {
    match optional::<Value>("password", field)? {
        Some(Value::GuardedString(secret)) => Ok(secret),
        Some(Value::Null) | None => Err(Failure::missing("password")),
        Some(_) => {
            Err(Failure::new(ErrorClass::IllegalArgument, "the request's password is not a guarded string"))
        }
    }
}

/// A field that may be absent (null).
pub(super) fn optional<T: Wire>(part: &str, field: &[u8]) -> Result<Option<T>, Failure> {
    decode_optional(field).map_err(|error| Failure::unreadable(part, error))
}

pub(super) fn token_message(token: &Value) -> messages::SyncToken {
    messages::SyncToken { value: value_field(token) }
}

/// A value as a wire field: null is an empty one.
pub(super) fn value_field(value: &Value) -> Bytes {
    match value {
        Value::Null => Bytes::new(),
        value => value.encode(),
    }
}
