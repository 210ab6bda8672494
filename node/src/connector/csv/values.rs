//! Between attributes and cells: an object of a row, and the cells that a change gives.

use rcs_proto::icf::{Attribute, ConnectorObject, NAME, ObjectClass, PASSWORD, Secret, UID, Value};

use super::format::trim;
use super::table::{Row, Table};
use crate::connector::UpdateKind;
use crate::error::{ErrorClass, IcfError};

/// New values of cells, by column.
pub(super) type Changes = Vec<(usize, Option<String>)>;

/// The object that a row stands for: `__NAME__`, `__UID__`, every cell that has a value under its header, and the password.
pub(super) fn object_of(table: &Table, row: &Row) -> ConnectorObject {
    let uid = table.uid_of(row);
    let name = table.name_column().and_then(|column| row.cell(column)).unwrap_or(uid);
    let mut attributes = Vec::with_capacity(table.columns().len() + 2);
    attributes.push(Attribute::text(NAME, name));
    attributes.push(Attribute::text(UID, uid));
    for (column, header) in table.columns().iter().enumerate() {
        let Some(value) = row.cell(column) else { continue };
        if table.password_column() == Some(column) {
            let secret = Value::GuardedString(Secret::new(value.to_owned()));
            attributes.push(Attribute::new(PASSWORD, vec![secret]));
        } else if header != UID && header != NAME {
            attributes.push(Attribute::text(header, value));
        }
    }
    ConnectorObject { object_class: ObjectClass(ObjectClass::ACCOUNT.to_owned()), attributes }
}

/// The identifier of a new row: its name, else the attribute of the identifier's column, else one that is made up, as the
/// published connector does it.
///
/// # Errors
/// `IllegalArgumentException` for a blank one.
pub(super) fn new_uid(table: &Table, attributes: &[Attribute]) -> Result<String, IcfError> {
    let header = table.columns().get(table.uid_column()).map(String::as_str).unwrap_or_default();
    let by_header = attributes.iter().find(|attribute| attribute.is(header));
    let by_name = attributes.iter().find(|attribute| attribute.is(NAME));
    let chosen = match table.name_column() {
        Some(_) => by_header.or(by_name),
        None => by_name.or(by_header),
    };
    match chosen {
        Some(attribute) => cell_of(attribute, Holds::Text)?.ok_or_else(blank_uid),
        None => Ok(random_uuid()),
    }
}

/// The cells that these attributes change in a row whose values are `old`. Attributes without a column are left out, as the
/// published connector does it.
///
/// # Errors
/// `InvalidAttributeValueException` for what a cell cannot hold, `InvalidPasswordException` for a password it cannot hold,
/// `IllegalArgumentException` for a blank identifier.
pub(super) fn changes(
    table: &Table,
    kind: UpdateKind,
    attributes: &[Attribute],
    old: impl Fn(usize) -> Option<String>,
) -> Result<Changes, IcfError> {
    let mut changes: Changes = Vec::new();
    // The special names come last, so that they win over a column's own name.
    let (special, plain): (Vec<_>, Vec<_>) =
        attributes.iter().partition(|attribute| attribute.is(NAME) || attribute.is(PASSWORD));
    for attribute in plain.into_iter().chain(special) {
        let Some(column) = column_of(table, attribute) else { continue };
        let holds = if table.password_column() == Some(column) { Holds::Password } else { Holds::Text };
        let value = match kind {
            UpdateKind::Replace => cell_of(attribute, holds)?,
            UpdateKind::Add => match cell_of(attribute, holds)? {
                Some(value) => Some(value),
                None => continue,
            },
            UpdateKind::Remove => match old(column) {
                Some(value) if takes_away(attribute, holds, &value)? => None,
                _ => continue,
            },
        };
        if column == table.uid_column() && value.is_none() {
            return Err(blank_uid());
        }
        changes.retain(|(earlier, _)| *earlier != column);
        changes.push((column, value));
    }
    changes.retain(|(column, value)| old(*column) != *value);
    Ok(changes)
}

fn column_of(table: &Table, attribute: &Attribute) -> Option<usize> {
    if attribute.is(NAME) {
        table.name_column().or(Some(table.uid_column()))
    } else if attribute.is(PASSWORD) {
        table.password_column()
    } else {
        table.column(&attribute.name)
    }
}

fn takes_away(attribute: &Attribute, holds: Holds, old: &str) -> Result<bool, IcfError> {
    for value in attribute.values.iter().flatten() {
        if text_of(attribute, value, holds)?.as_deref() == Some(old) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Password,
}

/// The one value that a cell can hold; none, null and an empty text are all an empty cell.
fn cell_of(attribute: &Attribute, holds: Holds) -> Result<Option<String>, IcfError> {
    match attribute.values.as_deref().unwrap_or_default() {
        [] => Ok(None),
        [value] => text_of(attribute, value, holds),
        _ => Err(invalid(attribute, "has several values, and a CSV cell holds one; send one")),
    }
}

fn text_of(attribute: &Attribute, value: &Value, holds: Holds) -> Result<Option<String>, IcfError> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::GuardedString(secret) if holds == Holds::Password => secret.expose().clone(),
        Value::GuardedString(_) => {
            return Err(invalid(attribute, "is secret, and its column is not the password's"));
        }
        Value::Boolean(value) => value.to_string(),
        Value::Byte(value) => value.to_string(),
        Value::Character(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Double(value) => format!("{value:?}"),
        Value::BigInteger(digits) => digits.clone(),
        Value::Uri(text) | Value::File(text) => text.clone(),
        _ => return Err(invalid(attribute, "has a type that a CSV cell cannot hold; send a text")),
    };
    let trimmed = trim(&text);
    if holds == Holds::Password && trimmed.len() != text.len() {
        return Err(IcfError::new(
            ErrorClass::InvalidPassword,
            "a password in a CSV file can neither begin nor end with a blank",
        ));
    }
    Ok(if trimmed.is_empty() { None } else { Some(trimmed.to_owned()) })
}

fn invalid(attribute: &Attribute, what: &str) -> IcfError {
    IcfError::new(ErrorClass::InvalidAttributeValue, format!("the attribute {:?} {what}", attribute.name))
}

fn blank_uid() -> IcfError {
    IcfError::new(ErrorClass::IllegalArgument, "the identifier must not be blank")
}

/// A random identifier in the form of a UUID, version 4.
fn random_uuid() -> String {
    let bits = fastrand::u128(..);
    let versioned =
        (bits & !(0xf000_u128 << 64) & !(0xc000_u128 << 48)) | (0x4000_u128 << 64) | (0x8000_u128 << 48);
    let hex = format!("{versioned:032x}");
    let mut parts = Vec::with_capacity(5);
    let mut rest = hex.as_str();
    for length in [8, 4, 4, 4] {
        let (part, tail) = rest.split_at(length);
        parts.push(part);
        rest = tail;
    }
    parts.push(rest);
    parts.join("-")
}
