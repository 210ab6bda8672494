//! Operations with one answer (WIRE 5.2).

use rcs_proto::icf::{Attribute, CURRENT_PASSWORD, NAME, PASSWORD, Script, UID, Value};
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::{self as m, OperationRequest, OperationResponse};
use rcs_proto::operation::Operation;

use super::convert;
use super::failure::Failure;
use crate::connector::{Connector, UpdateKind};
use crate::error::ErrorClass;

type Answer = Result<OperationResponse, Failure>;

/// Runs one of this family; every other operation is none that connectors here can have.
pub(super) fn run(operation: Operation, request: &OperationRequest, connector: &dyn Connector) -> Answer {
    let answer = match operation {
        Operation::Authenticate => request.authenticate.as_ref().map(|r| authenticate(r, connector)),
        Operation::Create => request.create.as_ref().map(|r| create(r, connector)),
        Operation::Delete => request.delete.as_ref().map(|r| delete(r, connector)),
        Operation::Get => request.get.as_ref().map(|r| get(r, connector)),
        Operation::ResolveUsername => {
            request.resolve_username.as_ref().map(|r| resolve_username(r, connector))
        }
        Operation::Schema => Some(schema(connector)),
        Operation::ScriptOnConnector => request.script_on_connector.as_ref().map(|r| script(r, connector)),
        Operation::Test => Some(test(connector)),
        Operation::Update => request.update.as_ref().map(|r| update(r, connector)),
        Operation::Validate => Some(validate(connector)),
        _ => None,
    };
    answer.unwrap_or_else(|| Err(Failure::unsupported(operation)))
}

/// Java's name of the operation, under which a configuration keeps its timeout.
pub(super) fn api_name(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::Authenticate => "AuthenticationApiOp",
        Operation::Create => "CreateApiOp",
        Operation::Delete => "DeleteApiOp",
        Operation::Get => "GetApiOp",
        Operation::ResolveUsername => "ResolveUsernameApiOp",
        Operation::Schema => "SchemaApiOp",
        Operation::ScriptOnConnector => "ScriptOnConnectorApiOp",
        Operation::Test => "TestApiOp",
        Operation::Update => "UpdateApiOp",
        Operation::Validate => "ValidateApiOp",
        _ => return None,
    })
}

fn authenticate(request: &m::AuthenticateOpRequest, connector: &dyn Connector) -> Answer {
    let class = convert::one_object_class(&request.object_class)?;
    let password = convert::password(&request.password)?;
    let options = convert::options(&request.options)?;
    let uid = connector.authenticate(&class, &request.username, &password, &options)?;
    let answer = m::AuthenticateOpResponse { uid: Some(convert::uid_message(uid)) };
    Ok(OperationResponse { authenticate: Some(answer), ..Default::default() })
}

fn create(request: &m::CreateOpRequest, connector: &dyn Connector) -> Answer {
    let class = convert::one_object_class(&request.object_class)?;
    let attributes = convert::attributes("createAttributes", &request.create_attributes)?;
    if has(&attributes, UID) {
        return Err(Failure::new(
            ErrorClass::InvalidAttributeValue,
            "Parameter 'createAttributes' contains a uid.",
        ));
    }
    no_doubles(&attributes)?;
    let uid = connector.create(&class, &attributes, &convert::options(&request.options)?)?;
    let answer = m::CreateOpResponse { uid: Some(convert::uid_message(uid)) };
    Ok(OperationResponse { create: Some(answer), ..Default::default() })
}

fn update(request: &m::UpdateOpRequest, connector: &dyn Connector) -> Answer {
    let class = convert::one_object_class(&request.object_class)?;
    let uid = convert::uid(request.uid.as_ref())?;
    let attributes = convert::attributes("replaceAttributes", &request.replace_attributes)?;
    // Not the getter: it takes a kind of the future for a replacement.
    let kind = match m::update_op_request::UpdateType::try_from(request.update_type) {
        Ok(m::update_op_request::UpdateType::Replace) => UpdateKind::Replace,
        Ok(m::update_op_request::UpdateType::Add) => UpdateKind::Add,
        Ok(m::update_op_request::UpdateType::Remove) => UpdateKind::Remove,
        Err(_) => {
            let message = format!("there is no kind {} of update", request.update_type);
            return Err(Failure::new(ErrorClass::IllegalArgument, message));
        }
    };
    if has(&attributes, UID) {
        let message = "Parameter 'replaceAttributes' contains a uid.";
        return Err(Failure::new(ErrorClass::InvalidAttributeValue, message));
    }
    if kind != UpdateKind::Replace {
        only_values_of_its_own(&attributes)?;
    }
    no_doubles(&attributes)?;
    let options = convert::options(&request.options)?;
    let uid = connector.update(kind, &class, &uid, &attributes, &options)?;
    let answer = m::UpdateOpResponse { uid: Some(convert::uid_message(uid)) };
    Ok(OperationResponse { update: Some(answer), ..Default::default() })
}

fn delete(request: &m::DeleteOpRequest, connector: &dyn Connector) -> Answer {
    let class = convert::one_object_class(&request.object_class)?;
    let uid = convert::uid(request.uid.as_ref())?;
    connector.delete(&class, &uid, &convert::options(&request.options)?)?;
    Ok(OperationResponse { delete: Some(m::DeleteOpResponse {}), ..Default::default() })
}

fn get(request: &m::GetOpRequest, connector: &dyn Connector) -> Answer {
    let class = convert::one_object_class(&request.object_class)?;
    let uid = convert::uid(request.uid.as_ref())?;
    let object = connector.get(&class, &uid, &convert::options(&request.options)?)?;
    let connector_object = object.map(|object| object.encode()).unwrap_or_default();
    let answer = m::GetOpResponse { connector_object };
    Ok(OperationResponse { get: Some(answer), ..Default::default() })
}

fn resolve_username(request: &m::ResolveUsernameOpRequest, connector: &dyn Connector) -> Answer {
    let class = convert::one_object_class(&request.object_class)?;
    let uid = connector.resolve_username(&class, &request.username, &convert::options(&request.options)?)?;
    let answer = m::ResolveUsernameOpResponse { uid: Some(convert::uid_message(uid)) };
    Ok(OperationResponse { resolve_username: Some(answer), ..Default::default() })
}

fn schema(connector: &dyn Connector) -> Answer {
    let answer = m::SchemaOpResponse { schema: connector.schema()?.encode() };
    Ok(OperationResponse { schema: Some(answer), ..Default::default() })
}

fn script(request: &m::ScriptOnConnectorOpRequest, connector: &dyn Connector) -> Answer {
    let context = request.script_context.as_ref().ok_or_else(|| Failure::missing("request"))?;
    let script = context.script.as_ref().ok_or_else(|| Failure::missing("script"))?;
    let script = Script { language: script.script_language.clone(), text: script.script_text.clone() };
    let no_arguments = Value::Map { case_insensitive: false, entries: Vec::new() };
    let arguments = convert::optional("script arguments", &context.script_arguments)?.unwrap_or(no_arguments);
    let value = connector.script_on_connector(&script, &arguments, &convert::options(&request.options)?)?;
    let answer = m::ScriptOnConnectorOpResponse { object: convert::value_field(&value) };
    Ok(OperationResponse { script_on_connector: Some(answer), ..Default::default() })
}

fn test(connector: &dyn Connector) -> Answer {
    connector.test()?;
    Ok(OperationResponse { test: Some(m::TestOpResponse {}), ..Default::default() })
}

fn validate(connector: &dyn Connector) -> Answer {
    connector.validate()?;
    Ok(OperationResponse { validate: Some(m::ValidateOpResponse {}), ..Default::default() })
}

/// What can be added or removed: values, and not those of attributes that are the framework's own.
fn only_values_of_its_own(attributes: &[Attribute]) -> Result<(), Failure> {
    let operational =
        attributes.iter().find_map(|attribute| OPERATIONAL.iter().find(|name| attribute.is(name)));
    let message = match operational {
        Some(name) => format!("Operational attribute '{name}' can not be added or removed."),
        None if attributes.iter().any(|attribute| attribute.values.is_none()) => {
            "Can not add or remove a 'null' value.".to_owned()
        }
        None => return Ok(()),
    };
    Err(Failure::new(ErrorClass::IllegalArgument, message))
}

/// The attributes whose names and meaning are the framework's.
const OPERATIONAL: [&str; 9] = [
    NAME,
    PASSWORD,
    CURRENT_PASSWORD,
    "__ENABLE__",
    "__ENABLE_DATE__",
    "__DISABLE_DATE__",
    "__LOCK_OUT__",
    "__PASSWORD_EXPIRATION_DATE__",
    "__PASSWORD_EXPIRED__",
];

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.is(name))
}

/// A set of attributes names each once; Java's set would, too.
fn no_doubles(attributes: &[Attribute]) -> Result<(), Failure> {
    let mut names: Vec<String> = attributes.iter().map(|a| a.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| matches!(pair, [one, other] if one == other)) {
        Some(pair) => Err(Failure::new(
            ErrorClass::InvalidAttributeValue,
            format!("the attribute {} is given twice", pair.first().map_or("", String::as_str)),
        )),
        None => Ok(()),
    }
}
