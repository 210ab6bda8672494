//! A blob as a tree: every type of the format in one shape, borrowing its texts and bytes from the blob.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::error::LegacyError;
use super::schema::{self, FieldRow, Kind, TypeRow};
use crate::icf::Secret;

/// One object of the format. Floating-point numbers are kept as their bits, so that values can be compared as Java does.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Node<'a> {
    /// Java's null.
    Null,
    /// `Boolean`
    Boolean(bool),
    /// `Character`
    Character(char),
    /// `Integer`
    Integer(i32),
    /// `Long`
    Long(i64),
    /// `Byte`
    Byte(i8),
    /// `Float`, as the bits of a binary32.
    Float(u32),
    /// `Double`, as the bits of a binary64.
    Double(u64),
    /// `String`
    String(Cow<'a, str>),
    /// `URI`
    Uri(Cow<'a, str>),
    /// `File`
    File(Cow<'a, str>),
    /// `BigInteger`: decimal digits without superfluous zeros, `-` in front if negative.
    BigInteger(Cow<'a, str>),
    /// `ByteArray`
    Bytes(Cow<'a, [u8]>),
    /// `Class`
    Class(Class<'a>),
    /// `Name`: the attribute `__NAME__`.
    Name(Cow<'a, str>),
    /// `GuardedString`, decrypted.
    GuardedString(Secret<String>),
    /// `GuardedByteArray`, decrypted.
    GuardedBytes(Secret<Vec<u8>>),
    /// An array: its component and its members.
    Array(Class<'a>, Vec<Node<'a>>),
    /// An object of any other type.
    Object(Box<Object<'a>>),
}

/// A class as a value: a name of LEGACY section 3 and its number of array marks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Class<'a> {
    /// Type name as on the wire.
    pub name: Cow<'a, str>,
    /// Array marks in front of it.
    pub dimensions: u8,
}

/// An object with fields: those that the blob gave, by the index of their row in the type's table, and its members.
#[derive(Clone)]
pub struct Object<'a> {
    pub(super) row: &'static TypeRow,
    pub(super) fields: Vec<(u8, Slot<'a>)>,
    pub(super) members: Vec<Node<'a>>,
}

/// A named field's value as an object holds it.
#[derive(Clone)]
pub(super) enum Slot<'a> {
    Text(Cow<'a, str>),
    Class(Class<'a>),
    Int(i32),
    Long(i64),
    Bool(bool),
    Object(Node<'a>),
}

/// A named field's value as it is seen from outside, Java's default in place of a missing one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field<'t, 'a> {
    /// A text.
    Text(&'t str),
    /// A class value.
    Class(&'t Class<'a>),
    /// A number of four bytes.
    Int(i32),
    /// A number of eight bytes.
    Long(i64),
    /// A flag or a bool.
    Bool(bool),
    /// An object, [`Node::Null`] if there is none.
    Object(&'t Node<'a>),
}

// A field that is missing is the same as one that says the default, as it is for Java.
impl PartialEq for Object<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.row.name == other.row.name && self.members == other.members && self.fields().eq(other.fields())
    }
}

impl Eq for Object<'_> {}

impl Hash for Object<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.row.name.hash(state);
        self.members.hash(state);
        for field in self.fields() {
            field.hash(state);
        }
    }
}

impl<'a> Class<'a> {
    /// A class that is no array.
    pub fn plain(name: &'a str) -> Self {
        Self { name: Cow::Borrowed(name), dimensions: 0 }
    }
}

impl<'a> Node<'a> {
    /// A `String`.
    pub fn text(text: &'a str) -> Self {
        Node::String(Cow::Borrowed(text))
    }

    /// A `List`.
    pub fn list(members: Vec<Node<'a>>) -> Self {
        Object::new("List").with_members(members).into()
    }

    /// A `Set`; a case-insensitive one folds its members' case.
    pub fn set(case_insensitive: bool, members: Vec<Node<'a>>) -> Self {
        Object::new("Set").bool("caseInsensitive", case_insensitive).with_members(members).into()
    }

    /// A `Map`; a case-insensitive one folds its keys' case.
    pub fn map(case_insensitive: bool, entries: Vec<(Node<'a>, Node<'a>)>) -> Self {
        let entry = |(key, value)| Object::new("MapEntry").with_members(vec![key, value]).into();
        let entries = entries.into_iter().map(entry).collect();
        Object::new("Map").bool("caseInsensitive", case_insensitive).with_members(entries).into()
    }

    /// The type's name: the one on the wire, `null` and `Array` for what has none.
    pub fn type_name(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Boolean(_) => "Boolean",
            Node::Character(_) => "Character",
            Node::Integer(_) => "Integer",
            Node::Long(_) => "Long",
            Node::Byte(_) => "Byte",
            Node::Float(_) => "Float",
            Node::Double(_) => "Double",
            Node::String(_) => "String",
            Node::Uri(_) => "URI",
            Node::File(_) => "File",
            Node::BigInteger(_) => "BigInteger",
            Node::Bytes(_) => "ByteArray",
            Node::Class(_) => "Class",
            Node::Name(_) => "Name",
            Node::GuardedString(_) => "GuardedString",
            Node::GuardedBytes(_) => "GuardedByteArray",
            Node::Array(..) => "Array",
            Node::Object(object) => object.row.name,
        }
    }

    /// Whether this is Java's null.
    pub fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    /// The text of a `String`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// The object, if this is one of that type.
    pub fn as_object(&self, type_name: &str) -> Option<&Object<'a>> {
        match self {
            Node::Object(object) if object.row.name == type_name => Some(object),
            _ => None,
        }
    }

    /// The object of that type, or the error that says what stands there instead.
    pub(super) fn expect(&self, expected: &'static str) -> Result<&Object<'a>, LegacyError> {
        self.as_object(expected).ok_or(LegacyError::Type { expected, found: self.type_name() })
    }

    /// Members of a `List`, `Set` or other type of that name; none if this is null.
    pub(super) fn members_of(&self, expected: &'static str) -> Result<&[Node<'a>], LegacyError> {
        if self.is_null() { Ok(&[]) } else { Ok(self.expect(expected)?.members()) }
    }

    /// Keys and values of a `Map`; none if this is null.
    pub(super) fn entries<'t>(
        &'t self,
    ) -> Result<impl Iterator<Item = (&'t Node<'a>, &'t Node<'a>)>, LegacyError> {
        let members = self.members_of("Map")?;
        Ok(members.iter().filter_map(Node::pair))
    }

    /// Key and value of a `MapEntry`.
    fn pair(&self) -> Option<(&Node<'a>, &Node<'a>)> {
        match self.as_object("MapEntry")?.members() {
            [key, value] => Some((key, value)),
            _ => None,
        }
    }
}

impl<'a> From<Object<'a>> for Node<'a> {
    fn from(object: Object<'a>) -> Self {
        Node::Object(Box::new(object))
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.name)
    }
}

impl<'a> Object<'a> {
    /// An object of that type without fields and members.
    ///
    /// # Panics
    /// If LEGACY section 5 lists no such type: type names are the program's own, never a peer's.
    pub fn new(type_name: &str) -> Self {
        let row = schema::object_type(type_name).expect("the type is in the table");
        Self::of(row)
    }

    pub(super) fn of(row: &'static TypeRow) -> Self {
        Self { row, fields: Vec::new(), members: Vec::new() }
    }

    /// The type's name.
    pub fn type_name(&self) -> &'static str {
        self.row.name
    }

    /// The anonymous fields, in order.
    pub fn members(&self) -> &[Node<'a>] {
        &self.members
    }

    /// Whether the type has anonymous fields.
    pub fn has_members(&self) -> bool {
        !matches!(self.row.members, schema::Members::None)
    }

    /// The named fields in the order of the table, as they are written: a missing text or class and a flag that is not set
    /// are left out, anything else that is missing has its default.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Field<'_, 'a>)> {
        let rows = self.row.fields.iter().enumerate();
        let written = |row: &FieldRow, value: &Field<'_, '_>| {
            !matches!((row.kind, value), (Kind::Flag, Field::Bool(false)))
        };
        rows.filter_map(move |(index, row)| {
            let value = self.at(index).filter(|value| written(row, value))?;
            Some((row.name, value))
        })
    }

    /// One field by its name; `None` for a text or a class that is missing, and for a name that the type lacks.
    pub fn field(&self, name: &str) -> Option<Field<'_, 'a>> {
        self.at(self.row.fields.iter().position(|row| row.name == name)?)
    }

    /// A text field.
    pub fn get_text(&self, name: &str) -> Option<&str> {
        match self.field(name)? {
            Field::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A class field.
    pub fn get_class(&self, name: &str) -> Option<&Class<'a>> {
        match self.field(name)? {
            Field::Class(class) => Some(class),
            _ => None,
        }
    }

    /// An int field; 0 for a name that the type lacks.
    pub fn get_int(&self, name: &str) -> i32 {
        if let Some(Field::Int(number)) = self.field(name) { number } else { 0 }
    }

    /// A long field; 0 for a name that the type lacks.
    pub fn get_long(&self, name: &str) -> i64 {
        if let Some(Field::Long(number)) = self.field(name) { number } else { 0 }
    }

    /// A bool field or a flag; false for a name that the type lacks.
    pub fn get_bool(&self, name: &str) -> bool {
        matches!(self.field(name), Some(Field::Bool(true)))
    }

    /// An object field; null for a name that the type lacks.
    pub fn get(&self, name: &str) -> &Node<'a> {
        if let Some(Field::Object(node)) = self.field(name) { node } else { &Node::Null }
    }

    /// Sets a text field.
    pub fn text(self, name: &str, text: &'a str) -> Self {
        self.with(name, Slot::Text(Cow::Borrowed(text)))
    }

    /// Sets a text field, if there is a text.
    pub fn maybe_text(self, name: &str, text: Option<&'a str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// Sets a class field.
    pub fn class(self, name: &str, class: Class<'a>) -> Self {
        self.with(name, Slot::Class(class))
    }

    /// Sets an int field.
    pub fn int(self, name: &str, number: i32) -> Self {
        self.with(name, Slot::Int(number))
    }

    /// Sets a long field.
    pub fn long(self, name: &str, number: i64) -> Self {
        self.with(name, Slot::Long(number))
    }

    /// Sets a bool field or a flag.
    pub fn bool(self, name: &str, value: bool) -> Self {
        self.with(name, Slot::Bool(value))
    }

    /// Sets an object field.
    pub fn object(self, name: &str, node: Node<'a>) -> Self {
        self.with(name, Slot::Object(node))
    }

    /// Sets the anonymous fields.
    pub fn with_members(mut self, members: Vec<Node<'a>>) -> Self {
        self.members = members;
        self
    }

    fn with(mut self, name: &str, slot: Slot<'a>) -> Self {
        let found = self.row.fields.iter().position(|row| row.name == name);
        let index = found.expect("the type has this field");
        assert!(slot.fits(self.row.fields[index].kind), "{}.{name} is of another kind", self.row.name);
        self.put(index as u8, slot);
        self
    }

    /// Sets a field by its row, keeping the table's order.
    pub(super) fn put(&mut self, index: u8, slot: Slot<'a>) {
        match self.fields.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(at) => self.fields[at].1 = slot,
            Err(at) => self.fields.insert(at, (index, slot)),
        }
    }

    fn at(&self, index: usize) -> Option<Field<'_, 'a>> {
        let given = self.fields.iter().find(|(at, _)| usize::from(*at) == index);
        if let Some((_, slot)) = given {
            return Some(slot.as_field());
        }
        match self.row.fields[index].kind {
            Kind::Text(default) => default.map(Field::Text),
            Kind::Class => None,
            Kind::Int(default) => Some(Field::Int(default)),
            Kind::Long(default) => Some(Field::Long(default)),
            Kind::Bool(default) => Some(Field::Bool(default)),
            Kind::Flag => Some(Field::Bool(false)),
            Kind::Object(_) => Some(Field::Object(&Node::Null)),
        }
    }
}

impl<'a> Slot<'a> {
    fn fits(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Slot::Text(_), Kind::Text(_))
                | (Slot::Class(_), Kind::Class)
                | (Slot::Int(_), Kind::Int(_))
                | (Slot::Long(_), Kind::Long(_))
                | (Slot::Bool(_), Kind::Bool(_) | Kind::Flag)
                | (Slot::Object(_), Kind::Object(_))
        )
    }

    fn as_field(&self) -> Field<'_, 'a> {
        match self {
            Slot::Text(text) => Field::Text(text),
            Slot::Class(class) => Field::Class(class),
            Slot::Int(number) => Field::Int(*number),
            Slot::Long(number) => Field::Long(*number),
            Slot::Bool(value) => Field::Bool(*value),
            Slot::Object(node) => Field::Object(node),
        }
    }
}
