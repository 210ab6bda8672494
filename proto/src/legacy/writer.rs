//! Trees into blobs, byte for byte as Java writes them (LEGACY sections 2 and 13).

use bytes::Bytes;

use super::guarded;
use super::pool::Names;
use super::scalar::wide_bits;
use super::scan::{ANONYMOUS_FIELD, ARRAY_CLASS, END, HEADER, NAMED_CLASS, NAMED_FIELD, NULL_CLASS};
use super::tree::{Class, Field, Node, Object};

/// Writes a complete blob: magic number, version, pool and the object.
///
/// # Panics
/// If the blob would reach 4 GiB.
pub fn write(node: &Node<'_>) -> Bytes {
    let mut writer = Writer::default();
    writer.node(node);
    let names = writer.names.in_order();
    let pool_bytes: usize = names.iter().map(|name| name.len() + 8).sum();
    let mut blob = Vec::with_capacity(HEADER.len() + 4 + pool_bytes + writer.body.len());
    blob.extend_from_slice(&HEADER);
    blob.extend_from_slice(&length(names.len()));
    for (code, name) in names.iter().enumerate() {
        blob.extend_from_slice(&length(name.len()));
        blob.extend_from_slice(name.as_bytes());
        blob.extend_from_slice(&length(code));
    }
    blob.extend_from_slice(&writer.body);
    blob.into()
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("a blob stays below 4 GiB").to_be_bytes()
}

/// The pool goes before the object and is known only after it: so the body is a buffer of its own. Lengths in front of bodies
/// are filled in afterwards, nothing is copied once per level.
#[derive(Default)]
struct Writer<'n> {
    body: Vec<u8>,
    names: Names<'n>,
}

impl<'n> Writer<'n> {
    fn node(&mut self, node: &'n Node<'_>) {
        match node {
            Node::Null => self.body.push(NULL_CLASS),
            Node::Array(component, members) => {
                self.body.push(ARRAY_CLASS);
                self.class(component);
                self.members(members);
            }
            Node::Object(object) => self.object(object),
            scalar => {
                self.named_class(scalar.type_name());
                self.field(None, |writer| writer.scalar(scalar));
            }
        }
        self.body.push(END);
    }

    fn object(&mut self, object: &'n Object<'_>) {
        self.named_class(object.type_name());
        for (name, value) in object.fields() {
            match value {
                Field::Text(text) => self.field(Some(name), |writer| writer.string(text)),
                Field::Class(class) => self.field(Some(name), |writer| writer.class(class)),
                Field::Int(number) => self.field(Some(name), |writer| writer.put(&number.to_be_bytes())),
                Field::Long(number) => self.field(Some(name), |writer| writer.put(&number.to_be_bytes())),
                Field::Bool(value) => self.field(Some(name), |writer| writer.put(&[value.into()])),
                Field::Object(node) => self.field(Some(name), |writer| writer.node(node)),
            }
        }
        self.members(object.members());
    }

    fn members(&mut self, members: &'n [Node<'_>]) {
        for member in members {
            self.field(None, |writer| writer.node(member));
        }
    }

    fn scalar(&mut self, node: &'n Node<'_>) {
        match node {
            Node::Boolean(value) => self.put(&[(*value).into()]),
            Node::Byte(number) => self.put(&number.to_be_bytes()),
            Node::Integer(number) => self.put(&number.to_be_bytes()),
            Node::Long(number) => self.put(&number.to_be_bytes()),
            Node::Float(bits) => self.put(&wide_bits(f32::from_bits(*bits).into()).to_be_bytes()),
            Node::Double(bits) => self.put(&wide_bits(f64::from_bits(*bits)).to_be_bytes()),
            Node::Character(character) => {
                // A character beyond the BMP is two units: Java would write each of them as a question mark.
                let unit = if character.len_utf16() == 1 { *character } else { '?' };
                self.string(unit.encode_utf8(&mut [0; 4]));
            }
            Node::String(text)
            | Node::Uri(text)
            | Node::File(text)
            | Node::BigInteger(text)
            | Node::Name(text) => self.string(text),
            Node::Bytes(bytes) => self.bytes(bytes),
            Node::GuardedString(secret) => self.bytes(&guarded::seal_text(secret.expose())),
            Node::GuardedBytes(secret) => self.bytes(&guarded::seal(secret.expose())),
            Node::Class(class) => self.class(class),
            Node::Null | Node::Array(..) | Node::Object(_) => {
                unreachable!("{} is no scalar of its own", node.type_name())
            }
        }
    }

    fn field(&mut self, name: Option<&'n str>, body: impl FnOnce(&mut Self)) {
        match name {
            None => self.body.push(ANONYMOUS_FIELD),
            Some(name) => {
                self.body.push(NAMED_FIELD);
                self.code(name);
            }
        }
        let start = self.body.len();
        self.body.extend_from_slice(&[0; 4]);
        body(self);
        let length = length(self.body.len() - start - 4);
        self.body[start..start + 4].copy_from_slice(&length);
    }

    fn class(&mut self, class: &'n Class<'_>) {
        for _ in 0..class.dimensions {
            self.body.push(ARRAY_CLASS);
        }
        self.named_class(&class.name);
    }

    fn named_class(&mut self, name: &'n str) {
        self.body.push(NAMED_CLASS);
        self.code(name);
    }

    fn code(&mut self, name: &'n str) {
        let code = self.names.code(name);
        self.put(&code.to_be_bytes());
    }

    fn string(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.put(&length(bytes.len()));
        self.put(bytes);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
}
