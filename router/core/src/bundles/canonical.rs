//! One form of what a connector says of itself, whatever order its server wrote it in (LEGACY 9 and 11).
//!
//! Every part is a tag or a length and then its content, so that no two contents have the same bytes. Where order means
//! nothing (sets, maps, properties) the parts are digested one by one and the digests sorted.

use rcs_proto::icf::{
    ApiConfiguration, Attribute, ClassName, ConfigurationProperty, ConnectorInfo, Uid, Value,
};
use rcs_proto::manifest::Hasher;

use super::digest::Digest;

/// Collects a canonical form and digests it. What goes in is not kept.
pub(super) struct Form(Hasher);

impl Form {
    /// A form of this kind: forms of different kinds never have the same digest.
    pub(super) fn of(kind: &str) -> Self {
        Self(Hasher::new()).text(kind)
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn digest(mut self, digest: &Digest) -> Self {
        self.0.update(digest.bytes());
        self
    }

    pub(super) fn end(self) -> Digest {
        self.0.finish()
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let mut form = self.count(bytes.len());
        form.0.update(bytes);
        form
    }

    fn count(self, count: usize) -> Self {
        self.fixed(&(count as u64).to_be_bytes())
    }

    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn flag(self, flag: u8) -> Self {
        self.fixed(&[flag])
    }

    fn optional(self, text: Option<&str>) -> Self {
        match text {
            None => self.flag(0),
            Some(text) => self.flag(1).text(text),
        }
    }

    fn class(self, class: &ClassName) -> Self {
        self.flag(class.dimensions).text(&class.name)
    }

    /// Parts whose order means nothing, those that occur twice counted twice.
    fn bag(self, mut parts: Vec<Digest>) -> Self {
        parts.sort_unstable();
        parts.iter().fold(self.count(parts.len()), |form, part| form.digest(part))
    }

    /// Parts whose order and number mean nothing.
    pub(super) fn set(self, mut parts: Vec<Digest>) -> Self {
        parts.sort_unstable();
        parts.dedup();
        self.bag(parts)
    }

    fn classes(self, classes: &[ClassName]) -> Self {
        self.set(classes.iter().map(|class| Form::of("class").class(class).end()).collect())
    }

    fn values(self, values: &[Value]) -> Self {
        values.iter().fold(self.count(values.len()), Form::value)
    }

    fn uid(self, uid: &Uid) -> Self {
        self.text(&uid.value).optional(uid.revision.as_deref())
    }

    fn attribute(self, attribute: &Attribute) -> Self {
        let form = self.text(&attribute.name);
        match &attribute.values {
            None => form.flag(0),
            Some(values) => form.flag(1).values(values),
        }
    }

    fn value(self, value: &Value) -> Self {
        match value {
            Value::Null => self.flag(0),
            Value::Boolean(value) => self.flag(1).flag(u8::from(*value)),
            Value::Byte(value) => self.flag(2).fixed(&value.to_be_bytes()),
            Value::Character(value) => self.flag(3).fixed(&u32::from(*value).to_be_bytes()),
            Value::Integer(value) => self.flag(4).fixed(&value.to_be_bytes()),
            Value::Long(value) => self.flag(5).fixed(&value.to_be_bytes()),
            // Any not-a-number is the same one to Java.
            Value::Float(value) if value.is_nan() => self.flag(6).fixed(&f32::NAN.to_bits().to_be_bytes()),
            Value::Float(value) => self.flag(6).fixed(&value.to_bits().to_be_bytes()),
            Value::Double(value) if value.is_nan() => self.flag(7).fixed(&f64::NAN.to_bits().to_be_bytes()),
            Value::Double(value) => self.flag(7).fixed(&value.to_bits().to_be_bytes()),
            Value::String(value) => self.flag(8).text(value),
            Value::BigInteger(value) => self.flag(9).text(value),
            Value::BigDecimal { unscaled, scale } => self.flag(10).fixed(&scale.to_be_bytes()).text(unscaled),
            Value::Bytes(value) => self.flag(11).bytes(value),
            Value::GuardedString(value) => self.flag(12).text(value.expose()),
            Value::GuardedBytes(value) => self.flag(13).bytes(value.expose()),
            Value::File(value) => self.flag(14).text(value),
            Value::Uri(value) => self.flag(15).text(value),
            Value::Class(value) => self.flag(16).class(value),
            Value::QualifiedUid(class, uid) => self.flag(17).text(&class.0).uid(uid),
            Value::ObjectClass(value) => self.flag(18).text(&value.0),
            Value::Uid(value) => self.flag(19).uid(value),
            Value::Attribute(value) => self.flag(20).attribute(value),
            Value::SortKey(value) => self.flag(21).flag(u8::from(value.ascending)).text(&value.field),
            Value::Script(value) => self.flag(22).text(&value.language).text(&value.text),
            Value::Array(class, items) => self.flag(23).class(class).values(items),
            Value::List(items) => self.flag(24).values(items),
            Value::Set { case_insensitive, items } => {
                let items = items.iter().map(|item| Form::of("item").value(item).end());
                self.flag(25).flag(u8::from(*case_insensitive)).set(items.collect())
            }
            Value::Map { case_insensitive, entries } => {
                let entries =
                    entries.iter().map(|(key, value)| Form::of("entry").value(key).value(value).end());
                self.flag(26).flag(u8::from(*case_insensitive)).set(entries.collect())
            }
        }
    }
}

/// One property of a connector with its default. The default may be a secret: it leaves here as a part of the digest only.
pub(super) fn property(property: &ConfigurationProperty) -> Digest {
    Form::of("property")
        .text(&property.name)
        .fixed(&property.order.to_be_bytes())
        .flag(u8::from(property.required))
        .flag(u8::from(property.confidential))
        .class(&property.class)
        .optional(property.help_key.as_deref())
        .optional(property.display_key.as_deref())
        .optional(property.group_key.as_deref())
        .value(&property.value)
        .classes(&property.operations)
        .end()
}

/// What a connector says of itself beside its properties, as far as its bundle decides it. Left out are its texts (the names
/// of languages differ between versions of Java), its category (Java servers leave it out) and what the server's own framework sets
/// around every connector: pool limits, result handlers, buffer size, timeouts.
pub(super) fn traits(info: &ConnectorInfo) -> Digest {
    let form = Form::of("traits").optional(info.display_name_key.as_deref());
    let Some(ApiConfiguration { pooling_supported, supported_operations, .. }) = &info.configuration else {
        return form.flag(0).end();
    };
    form.flag(1).flag(u8::from(*pooling_supported)).classes(supported_operations).end()
}

/// The whole connector, from the digests of its parts.
pub(super) fn connector(traits: &Digest, properties: Vec<Digest>) -> Digest {
    Form::of("connector").digest(traits).bag(properties).end()
}
