//! The ICF object model: what connectors talk about, free of any byte format.
//!
//! These types are what a connector (in `node`) receives and returns, what the bench sends, and what the router reads when
//! it has to look into a payload. [`crate::legacy`] turns them into the bytes of docs/protocol/legacy.md and back. Values keep the order in
//! which they were read, so that re-encoding gives the same bytes; *comparing* sets must ignore order (LEGACY section 11).

pub mod exceptions;

use std::fmt;

use zeroize::Zeroize;

/// The special attribute that carries an object's identifier (`Uid` on the wire).
pub const UID: &str = "__UID__";
/// The special attribute that carries an object's name (`Name` on the wire).
pub const NAME: &str = "__NAME__";
/// The operational attribute that carries a new password; always exactly one [`Value::GuardedString`].
pub const PASSWORD: &str = "__PASSWORD__";
/// The operational attribute that carries the password in force.
pub const CURRENT_PASSWORD: &str = "__CURRENT_PASSWORD__";

/// A secret in clear text. `Debug` and `Display` never show the secret (promise P9). Its memory is overwritten with zeros when it is
/// dropped.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> Secret<T> {
    /// Wraps a clear-text secret.
    pub fn new(clear: T) -> Self {
        Self(clear)
    }

    /// The clear text; call it only where the secret is compared or encrypted.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// One value of an attribute, an option, a configuration property or a sync token (LEGACY sections 4 and 5).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Java's null.
    Null,
    /// `Boolean`
    Boolean(bool),
    /// `Byte`
    Byte(i8),
    /// `Character`: one UTF-16 unit, so never a character beyond the BMP.
    Character(char),
    /// `Integer`
    Integer(i32),
    /// `Long`
    Long(i64),
    /// `Float`: binary64 on the wire, narrowed on reading.
    Float(f32),
    /// `Double`
    Double(f64),
    /// `String`
    String(String),
    /// `BigInteger`, as its decimal text.
    BigInteger(String),
    /// `BigDecimal`: unscaled decimal text and scale.
    BigDecimal {
        /// Decimal digits, `-` in front if negative.
        unscaled: String,
        /// Digits behind the point; may be negative.
        scale: i32,
    },
    /// `ByteArray`
    Bytes(Vec<u8>),
    /// `GuardedString`, decrypted (LEGACY section 6).
    GuardedString(Secret<String>),
    /// `GuardedByteArray`, decrypted.
    GuardedBytes(Secret<Vec<u8>>),
    /// `File`, as the path was written.
    File(String),
    /// `URI`
    Uri(String),
    /// `Class`: a class as a value.
    Class(ClassName),
    /// `QualifiedUid`
    QualifiedUid(ObjectClass, Uid),
    /// `ObjectClass`
    ObjectClass(ObjectClass),
    /// `Uid` as a plain value (options may hold one), or the value of a `__UID__` attribute that has a revision.
    Uid(Uid),
    /// `Attribute` or `Name` as a plain value (a script may return one).
    Attribute(Attribute),
    /// `SortKey`
    SortKey(SortKey),
    /// `Script`
    Script(Script),
    /// A typed Java array.
    Array(ClassName, Vec<Value>),
    /// `List`
    List(Vec<Value>),
    /// `Set`; `case_insensitive` is Java's folding set.
    Set {
        /// Whether Java folds the members' case.
        case_insensitive: bool,
        /// Members in the order on the wire.
        items: Vec<Value>,
    },
    /// `Map`; `case_insensitive` is Java's folding map.
    Map {
        /// Whether Java folds the keys' case.
        case_insensitive: bool,
        /// Entries in the order on the wire.
        entries: Vec<(Value, Value)>,
    },
}

impl Value {
    /// The text of a `String` or of a `Uid`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Uid(uid) => Some(&uid.value),
            _ => None,
        }
    }
}

/// A class as a value: a name of LEGACY section 3 with its number of array marks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassName {
    /// Type name as on the wire, e.g. `String`, `long`, `ByteArray`, `SearchApiOp`.
    pub name: String,
    /// Array dimensions, 0 for none.
    pub dimensions: u8,
}

impl ClassName {
    /// A class that is no array.
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), dimensions: 0 }
    }
}

/// `Uid`: an object's identifier, and optionally the revision it was read at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uid {
    /// The identifier; never blank.
    pub value: String,
    /// Revision, absent or not blank.
    pub revision: Option<String>,
}

impl Uid {
    /// An identifier without a revision.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), revision: None }
    }
}

/// `ObjectClass`: the kind of a resource's object, e.g. `__ACCOUNT__`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectClass(pub String);

impl ObjectClass {
    /// The predefined class of accounts.
    pub const ACCOUNT: &'static str = "__ACCOUNT__";
    /// The predefined class of groups.
    pub const GROUP: &'static str = "__GROUP__";
    /// The predefined class that stands for all classes (sync only).
    pub const ALL: &'static str = "__ALL__";
}

/// `Attribute`, `Name` or `Uid`: named values. Names compare without case.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The attribute's name; `__NAME__` and `__UID__` for the special two.
    pub name: String,
    /// `None` is Java's attribute without values, which is not the same as an empty list.
    pub values: Option<Vec<Value>>,
}

impl Attribute {
    /// An attribute with these values.
    pub fn new(name: impl Into<String>, values: Vec<Value>) -> Self {
        Self { name: name.into(), values: Some(values) }
    }

    /// A single-valued text attribute.
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, vec![Value::String(value.into())])
    }

    /// Whether this attribute has the given name; Java compares names without case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first value, if there is one and it is not null.
    pub fn first(&self) -> Option<&Value> {
        self.values.as_ref()?.first().filter(|v| !matches!(v, Value::Null))
    }
}

/// `ConnectorObject`: one object of a resource, with `__NAME__` and `__UID__` among its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorObject {
    /// Its object class.
    pub object_class: ObjectClass,
    /// Its attributes, special ones included.
    pub attributes: Vec<Attribute>,
}

impl ConnectorObject {
    /// The attribute of that name, compared without case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.is(name))
    }
}

/// A search filter (LEGACY section 5).
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// Either holds.
    Or(Box<Filter>, Box<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The attribute's values are exactly these.
    Equals(Attribute),
    /// The attribute has all of these values.
    ContainsAllValues(Attribute),
    /// The text contains this.
    Contains(Attribute),
    /// The text starts with this.
    StartsWith(Attribute),
    /// The text ends with this.
    EndsWith(Attribute),
    /// Greater than this.
    GreaterThan(Attribute),
    /// Greater than or equal to this.
    GreaterThanOrEqual(Attribute),
    /// Less than this.
    LessThan(Attribute),
    /// Less than or equal to this.
    LessThanOrEqual(Attribute),
    /// An operator of the connector's own.
    Extended {
        /// Its name.
        operator: String,
        /// What it compares with.
        attribute: Attribute,
    },
    /// The attribute is there.
    Presence(String),
}

/// `SortKey`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// Attribute to sort by.
    pub field: String,
    /// Ascending or descending.
    pub ascending: bool,
}

/// `Script`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Script {
    /// Language, e.g. `groovy`.
    pub language: String,
    /// Source text.
    pub text: String,
}

/// `OperationOptions`: the caller's wishes for one operation (names in LEGACY section 9).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperationOptions {
    /// Whether the map folds the case of its keys.
    pub case_insensitive: bool,
    /// Options in the order on the wire.
    pub entries: Vec<(String, Value)>,
}

impl OperationOptions {
    /// The option of that name; `Null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.entries.iter().find(|(key, _)| {
            if self.case_insensitive { key.eq_ignore_ascii_case(name) } else { key == name }
        });
        found.map(|(_, value)| value).filter(|value| !matches!(value, Value::Null))
    }

    /// `PAGE_SIZE`, if it is set.
    pub fn page_size(&self) -> Option<i32> {
        self.integer("PAGE_SIZE")
    }

    /// `PAGED_RESULTS_OFFSET`, if it is set.
    pub fn paged_results_offset(&self) -> Option<i32> {
        self.integer("PAGED_RESULTS_OFFSET")
    }

    /// `PAGED_RESULTS_COOKIE`, opaque; an empty text means the first page.
    pub fn paged_results_cookie(&self) -> Option<&str> {
        self.get("PAGED_RESULTS_COOKIE")?.as_str()
    }

    /// `ATTRS_TO_GET`, if it is set.
    pub fn attributes_to_get(&self) -> Option<Vec<&str>> {
        match self.get("ATTRS_TO_GET")? {
            Value::Array(_, items) | Value::List(items) => {
                Some(items.iter().filter_map(Value::as_str).collect())
            }
            _ => None,
        }
    }

    /// `SORT_KEYS`, empty if not set.
    pub fn sort_keys(&self) -> Vec<&SortKey> {
        match self.get("SORT_KEYS") {
            Some(Value::Array(_, items) | Value::List(items)) => items
                .iter()
                .filter_map(|item| if let Value::SortKey(key) = item { Some(key) } else { None })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn integer(&self, name: &str) -> Option<i32> {
        match self.get(name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// `SyncDeltaType`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncDeltaType {
    /// Created or updated, the connector does not know which.
    CreateOrUpdate,
    /// Deleted.
    Delete,
    /// Created.
    Create,
    /// Updated.
    Update,
}

/// `SyncDelta`: one change that a sync reports.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncDelta {
    /// Token from which the next sync goes on after this change.
    pub token: Value,
    /// What happened.
    pub delta_type: SyncDeltaType,
    /// The identifier before, if the change renamed the object.
    pub previous_uid: Option<Uid>,
    /// Object class of the object.
    pub object_class: ObjectClass,
    /// Identifier of the object.
    pub uid: Uid,
    /// The object as it is now; none for deletions.
    pub object: Option<ConnectorObject>,
}

/// `SearchResult`: how a search ended.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SearchResult {
    /// Cookie of the next page, none on the last.
    pub paged_results_cookie: Option<String>,
    /// Objects in all, -1 if unknown.
    pub total_paged_results: i32,
    /// Objects left after this page, -1 if unknown.
    pub remaining_paged_results: i32,
}

/// `AttributeInfo`: an attribute in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeInfo {
    /// Its name.
    pub name: String,
    /// Its type, e.g. `String`, `GuardedString` for passwords.
    pub class: ClassName,
    /// Flags, in the order of LEGACY section 5.
    pub flags: Vec<AttributeFlag>,
}

/// `AttributeInfoFlag`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeFlag {
    /// Must be given on create.
    Required,
    /// May have several values.
    Multivalued,
    /// Cannot be given on create.
    NotCreatable,
    /// Cannot be changed.
    NotUpdateable,
    /// Cannot be read.
    NotReadable,
    /// Returned only when asked for.
    NotReturnedByDefault,
}

/// `ObjectClassInfo`: an object class in a schema. Lists an `AttributeInfo` named `__NAME__`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectClassInfo {
    /// The class.
    pub object_class: ObjectClass,
    /// Whether objects of this class contain others.
    pub container: bool,
    /// Its attributes.
    pub attributes: Vec<AttributeInfo>,
}

/// `OperationOptionInfo`: an option in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationOptionInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub class: ClassName,
}

/// `Schema`: what a connector can do with what.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Schema {
    /// Object classes.
    pub object_classes: Vec<ObjectClassInfo>,
    /// Operation options.
    pub options: Vec<OperationOptionInfo>,
    /// By operation (`SearchApiOp` ...), the names of the object classes it supports.
    pub object_classes_by_operation: Vec<(ClassName, Vec<String>)>,
    /// By operation, the names of the options it supports.
    pub options_by_operation: Vec<(ClassName, Vec<String>)>,
}

/// `ConnectorKey`: the identity of a connector: bundle, version, name (B01).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectorKey {
    /// Bundle, e.g. `org.forgerock.openicf.connectors.csvfile-connector`.
    pub bundle_name: String,
    /// Version, e.g. `1.5.20.0`.
    pub bundle_version: String,
    /// Connector, e.g. `org.forgerock.openicf.csvfile.CSVFileConnector`.
    pub connector_name: String,
}

impl fmt::Display for ConnectorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.bundle_name, self.bundle_version, self.connector_name)
    }
}

/// `ConfigurationProperty`: one property of a connector's configuration, with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigurationProperty {
    /// Position, ascending.
    pub order: i32,
    /// Whether the value is secret.
    pub confidential: bool,
    /// Whether it must be set.
    pub required: bool,
    /// Name, e.g. `csvFile`.
    pub name: String,
    /// Message keys, if there are any.
    pub help_key: Option<String>,
    /// Message key of the display name.
    pub display_key: Option<String>,
    /// Message key of the group.
    pub group_key: Option<String>,
    /// Its type, e.g. `File`, `String`, `int`, `GuardedString`.
    pub class: ClassName,
    /// Default (in a description) or value (in a facade key).
    pub value: Value,
    /// The operations it matters for; empty for all.
    pub operations: Vec<ClassName>,
}

/// `APIConfiguration`: a connector's configuration with the framework's settings around it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiConfiguration {
    /// Search results buffered by the producer.
    pub producer_buffer_size: i32,
    /// Whether the connector can be pooled.
    pub pooling_supported: bool,
    /// The pool's limits.
    pub pool: Option<PoolConfiguration>,
    /// The result handlers that the framework puts around a search.
    pub results_handlers: Option<ResultsHandlers>,
    /// The connector's own properties.
    pub properties: Vec<ConfigurationProperty>,
    /// By operation, its timeout in milliseconds; -1 is none.
    pub timeouts_ms: Vec<(ClassName, i32)>,
    /// The operations that the connector has.
    pub supported_operations: Vec<ClassName>,
}

impl ApiConfiguration {
    /// The property of that name.
    pub fn property(&self, name: &str) -> Option<&ConfigurationProperty> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// `ObjectPoolConfiguration`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfiguration {
    /// Most objects.
    pub max_objects: i32,
    /// Most idle objects.
    pub max_idle: i32,
    /// Longest wait for an object, ms.
    pub max_wait_ms: i64,
    /// Idle time before an object is dropped, ms.
    pub min_evictable_idle_ms: i64,
    /// Fewest idle objects.
    pub min_idle: i32,
}

impl Default for PoolConfiguration {
    fn default() -> Self {
        Self {
            max_objects: 10,
            max_idle: 10,
            max_wait_ms: 150_000,
            min_evictable_idle_ms: 120_000,
            min_idle: 1,
        }
    }
}

/// `ResultsHandlerConfiguration`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsHandlers {
    /// Normalises attribute values.
    pub normalizing: bool,
    /// Filters again what the connector returned.
    pub filtered: bool,
    /// Filters without case.
    pub case_insensitive_filter: bool,
    /// Cuts attributes that were not asked for.
    pub attributes_to_get: bool,
}

impl Default for ResultsHandlers {
    fn default() -> Self {
        Self { normalizing: true, filtered: true, case_insensitive_filter: false, attributes_to_get: true }
    }
}

/// Message catalogues by locale (language, country, variant).
pub type Catalogs = Vec<([String; 3], Vec<(String, String)>)>;

/// `ConnectorInfo`: what a connector server says of one connector in answer to CONNECTOR_INFO.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorInfo {
    /// Key of the display name in the messages.
    pub display_name_key: Option<String>,
    /// Key of the category; Java servers leave it out.
    pub category_key: Option<String>,
    /// The connector's identity.
    pub key: ConnectorKey,
    /// Texts by locale.
    pub messages: Option<Catalogs>,
    /// Default configuration: the property schema.
    pub configuration: Option<ApiConfiguration>,
}
