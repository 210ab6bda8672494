//! Blobs into trees: every rule of LEGACY sections 3 to 5 and 12 is checked on the way.
//!
//! Memory stays within a small multiple of the input: texts and bytes are borrowed from it, room is made only for fields that
//! were seen, and defaults are never stored.

use std::borrow::Cow;
use std::collections::HashSet;

use super::error::LegacyError;
use super::rules;
use super::scalar;
use super::scan::{Blob, RawClass, RawField, RawObject, Span};
use super::schema::{self, Allowed, FieldRow, Kind, Members, Need, Scalar, TypeRow};
use super::tree::{Class, Node, Object, Slot};
use crate::limits::{LEGACY_BLOB_BYTES_MAX, LEGACY_DEPTH_MAX};

/// Reads one complete blob: magic number, version, pool and one object, nothing behind it.
///
/// # Errors
/// Whatever LEGACY section 12 wants refused.
pub fn read(blob: &[u8]) -> Result<Node<'_>, LegacyError> {
    read_within(blob, LEGACY_BLOB_BYTES_MAX)
}

/// As [`read`], for blobs of up to that many bytes. More than [`LEGACY_BLOB_BYTES_MAX`] is allowed, up to 4 GiB.
///
/// # Errors
/// As [`read`].
pub fn read_within(blob: &[u8], max_bytes: usize) -> Result<Node<'_>, LegacyError> {
    let limit = max_bytes.min(u32::MAX as usize);
    if blob.len() > limit {
        return Err(LegacyError::TooLarge { bytes: blob.len(), limit });
    }
    let (blob, span) = Blob::open(blob)?;
    Reader { blob }.node(span, 1)
}

struct Reader<'a> {
    blob: Blob<'a>,
}

impl<'a> Reader<'a> {
    fn node(&mut self, span: Span, depth: usize) -> Result<Node<'a>, LegacyError> {
        if depth > LEGACY_DEPTH_MAX {
            return Err(LegacyError::Limit { offset: span.start as usize, limit: "nested objects" });
        }
        let raw = self.blob.object(span)?;
        match raw.class {
            RawClass { marks: 0, name: None } if raw.fields.is_empty() => Ok(Node::Null),
            RawClass { name: None, .. } => Err(LegacyError::Null(raw.at)),
            RawClass { marks: 0, name: Some(name) } => {
                let row = schema::object_type(self.blob.pool.name(name));
                self.typed(&raw, row.ok_or(LegacyError::UnknownType(raw.at))?, depth)
            }
            RawClass { marks, name: Some(name) } => self.array(&raw, marks - 1, name, depth),
        }
    }

    fn array(
        &mut self,
        raw: &RawObject,
        dimensions: u8,
        name: u16,
        depth: usize,
    ) -> Result<Node<'a>, LegacyError> {
        let component = self.class(RawClass { marks: dimensions, name: Some(name) }, raw.at)?;
        let component = component.ok_or(LegacyError::Null(raw.at))?;
        let members = self.members(raw, &[], depth)?;
        for member in &members {
            rules::array_member(&component, member)?;
        }
        Ok(Node::Array(component, members))
    }

    fn typed(
        &mut self,
        raw: &RawObject,
        row: &'static TypeRow,
        depth: usize,
    ) -> Result<Node<'a>, LegacyError> {
        let anonymous = raw.fields.iter().filter(|field| field.name.is_none()).count();
        let fits = match row.members {
            Members::None => anonymous == 0,
            Members::Scalar(_) => anonymous == 1,
            Members::Exactly(count, _) => anonymous == count,
            Members::Any(_) => true,
        };
        if !fits {
            return Err(LegacyError::Members { offset: raw.at, type_name: row.name });
        }
        match row.members {
            Members::Scalar(kind) => {
                let body = raw.fields.iter().find(|field| field.name.is_none()).map(|field| field.body);
                self.scalar(kind, body.expect("one anonymous field was counted"))
            }
            Members::None => self.structured(raw, row, &[], depth),
            Members::Exactly(_, allowed) | Members::Any(allowed) => self.structured(raw, row, allowed, depth),
        }
    }

    fn scalar(&self, kind: Scalar, body: Span) -> Result<Node<'a>, LegacyError> {
        if kind != Scalar::Class {
            return scalar::read(kind, self.blob.cursor(body));
        }
        let class = self.class(self.blob.class(body)?, body.start as usize)?;
        Ok(class.map_or(Node::Null, Node::Class))
    }

    fn structured(
        &mut self,
        raw: &RawObject,
        row: &'static TypeRow,
        allowed: Allowed,
        depth: usize,
    ) -> Result<Node<'a>, LegacyError> {
        let mut object = Object::of(row);
        for field in &raw.fields {
            let Some(name) = field.name else { continue };
            let name = self.blob.pool.name(name);
            let Some(index) = row.fields.iter().position(|known| known.name == name) else { continue };
            if let Some(slot) = self.slot(row, &row.fields[index], field, depth)? {
                object.put(index as u8, slot);
            }
        }
        for (index, field) in row.fields.iter().enumerate() {
            check_need(row, field, object.fields.iter().find(|(at, _)| usize::from(*at) == index))?;
        }
        if !matches!(row.members, Members::None) {
            object.members = self.members(raw, allowed, depth)?;
        }
        match row.name {
            "Set" => drop_equal_members(&mut object)?,
            "Map" => refuse_equal_keys(&object)?,
            _ => {}
        }
        rules::check(object)
    }

    fn slot(
        &mut self,
        row: &'static TypeRow,
        field: &FieldRow,
        raw: &RawField,
        depth: usize,
    ) -> Result<Option<Slot<'a>>, LegacyError> {
        let mut cursor = self.blob.cursor(raw.body);
        let slot = match field.kind {
            Kind::Text(_) => Slot::Text(Cow::Borrowed(self.blob.string(raw.body)?)),
            Kind::Class => {
                let class = self.class(self.blob.class(raw.body)?, raw.body.start as usize)?;
                return Ok(class.map(Slot::Class));
            }
            Kind::Int(_) => Slot::Int(cursor.array().map(i32::from_be_bytes)?),
            Kind::Long(_) => Slot::Long(cursor.array().map(i64::from_be_bytes)?),
            Kind::Bool(_) | Kind::Flag => Slot::Bool(cursor.u8()? != 0),
            Kind::Object(allowed) => {
                let node = self.node(raw.body, depth + 1)?;
                expect_one_of(allowed, &node, row)?;
                return Ok(Some(Slot::Object(node)));
            }
        };
        if matches!(slot, Slot::Int(_) | Slot::Long(_) | Slot::Bool(_)) {
            cursor.finish()?;
        }
        Ok(Some(slot))
    }

    fn members(
        &mut self,
        raw: &RawObject,
        allowed: Allowed,
        depth: usize,
    ) -> Result<Vec<Node<'a>>, LegacyError> {
        let bodies = raw.fields.iter().filter(|field| field.name.is_none());
        let mut members = Vec::with_capacity(bodies.clone().count());
        for field in bodies {
            let node = self.node(field.body, depth + 1)?;
            if let Some(expected) = allowed.first()
                && !allowed.contains(&node.type_name())
            {
                return Err(LegacyError::Type { expected, found: node.type_name() });
            }
            members.push(node);
        }
        Ok(members)
    }

    /// The class that a class value names, or none for null.
    fn class(&self, raw: RawClass, at: usize) -> Result<Option<Class<'a>>, LegacyError> {
        match raw.name {
            None if raw.marks == 0 => Ok(None),
            None => Err(LegacyError::Null(at)),
            Some(name) => {
                let known = schema::class_name(self.blob.pool.name(name));
                let name = known.ok_or(LegacyError::UnknownClass(at))?;
                Ok(Some(Class { name: Cow::Borrowed(name), dimensions: raw.marks }))
            }
        }
    }
}

fn expect_one_of(allowed: Allowed, node: &Node<'_>, row: &'static TypeRow) -> Result<(), LegacyError> {
    if allowed.is_empty() || node.is_null() || allowed.contains(&node.type_name()) {
        return Ok(());
    }
    let expected = allowed.first().copied().unwrap_or(row.name);
    Err(LegacyError::Type { expected, found: node.type_name() })
}

fn check_need(
    row: &'static TypeRow,
    field: &'static FieldRow,
    given: Option<&(u8, Slot<'_>)>,
) -> Result<(), LegacyError> {
    let present = match given {
        None | Some((_, Slot::Object(Node::Null))) => false,
        Some((_, Slot::Text(text))) => field.need != Need::NotBlank || !rules::is_blank(text),
        Some(_) => true,
    };
    if present || field.need == Need::Optional {
        return Ok(());
    }
    Err(LegacyError::Missing { type_name: row.name, field: field.name })
}

/// A set's equal members collapse, as in Java, the first stays. Members of a folding set are texts.
fn drop_equal_members(set: &mut Object<'_>) -> Result<(), LegacyError> {
    let folding = set.get_bool("caseInsensitive");
    let mut seen = HashSet::new();
    let mut keep = Vec::with_capacity(set.members.len());
    for member in &set.members {
        keep.push(seen.insert(identity(member, folding, "Set")?));
    }
    if keep.contains(&false) {
        let mut keep = keep.into_iter();
        drop(seen);
        set.members.retain(|_| keep.next().unwrap_or(true));
    }
    Ok(())
}

/// Equal keys in a map are refused: Java lets the later entry win, another reader might not.
fn refuse_equal_keys(map: &Object<'_>) -> Result<(), LegacyError> {
    let folding = map.get_bool("caseInsensitive");
    let mut seen = HashSet::new();
    for entry in &map.members {
        let entry = entry.expect("MapEntry")?;
        let key = entry.members().first().unwrap_or(&Node::Null);
        if !seen.insert(identity(key, folding, "Map")?) {
            return Err(LegacyError::Rule { type_name: "Map", rule: "has equal keys" });
        }
    }
    Ok(())
}

/// What makes a member or a key the same as another.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'t, 'a> {
    Folded(String),
    Whole(&'t Node<'a>),
}

fn identity<'t, 'a>(
    node: &'t Node<'a>,
    folding: bool,
    type_name: &'static str,
) -> Result<Identity<'t, 'a>, LegacyError> {
    match node {
        Node::String(text) if folding => {
            // Java compares upper-cased, then lower-cased characters.
            let upper = text.chars().flat_map(char::to_uppercase);
            Ok(Identity::Folded(upper.flat_map(char::to_lowercase).collect()))
        }
        _ if folding => {
            Err(LegacyError::Rule { type_name, rule: "folds case but holds something else than text" })
        }
        node => Ok(Identity::Whole(node)),
    }
}
