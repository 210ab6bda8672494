//! The types of the format and their fields, as data: the tables of LEGACY sections 3 to 5.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What the one anonymous field of a scalar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Boolean,
    Character,
    Integer,
    Long,
    Byte,
    Float,
    Double,
    String,
    Uri,
    File,
    BigInteger,
    Bytes,
    Class,
    Name,
    GuardedString,
    GuardedBytes,
}

/// Types that may stand in a place; empty for any.
pub(crate) type Allowed = &'static [&'static str];

/// The kind of a named field, with the value that a missing one reads as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A string, left out if there is none.
    Text(Option<&'static str>),
    /// A class value, left out if there is none.
    Class,
    /// Always written.
    Int(i32),
    /// Always written.
    Long(i64),
    /// Always written.
    Bool(bool),
    /// Written only when true.
    Flag,
    /// An object, always written; null if there is none.
    Object(Allowed),
}

/// Whether a field may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Optional,
    Required,
    NotBlank,
}

/// One named field of a type.
#[derive(Debug)]
pub(crate) struct FieldRow {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
}

/// The anonymous fields of a type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Members {
    None,
    Scalar(Scalar),
    Exactly(usize, Allowed),
    Any(Allowed),
}

/// One type of the format.
#[derive(Debug)]
pub(crate) struct TypeRow {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [FieldRow],
    pub(crate) members: Members,
}

/// The type that objects of this name have; the names of primitives stand for their boxes.
pub(crate) fn object_type(name: &str) -> Option<&'static TypeRow> {
    let boxed = PRIMITIVES.iter().find(|(primitive, _)| *primitive == name).map_or(name, |(_, boxed)| boxed);
    BY_NAME.get(boxed).copied()
}

/// The name, if a class value may hold it: types, primitives, `Object` and the operations (LEGACY section 3).
pub(crate) fn class_name(name: &str) -> Option<&'static str> {
    let lists = OPERATIONS.iter().chain(&["Object"]).chain(PRIMITIVES.iter().map(|(primitive, _)| primitive));
    BY_NAME.get(name).map(|row| row.name).or_else(|| lists.copied().find(|known| *known == name))
}

/// The type whose objects an array of that primitive holds.
pub(crate) fn boxed(primitive: &str) -> Option<&'static str> {
    PRIMITIVES.iter().find(|(name, _)| *name == primitive).map(|(_, boxed)| *boxed)
}

/// The operations, as class values name them.
pub const OPERATIONS: &[&str] = &[
    "BatchApiOp",
    "AuthenticationApiOp",
    "ResolveUsernameApiOp",
    "SearchApiOp",
    "ValidateApiOp",
    "CreateApiOp",
    "SchemaApiOp",
    "UpdateApiOp",
    "DeleteApiOp",
    "GetApiOp",
    "TestApiOp",
    "ScriptOnResourceApiOp",
    "ScriptOnConnectorApiOp",
    "SyncApiOp",
    "ConnectorEventSubscriptionApiOp",
    "SyncEventSubscriptionApiOp",
];

const PRIMITIVES: &[(&str, &str)] = &[
    ("boolean", "Boolean"),
    ("char", "Character"),
    ("int", "Integer"),
    ("long", "Long"),
    ("float", "Float"),
    ("double", "Double"),
    ("byte", "Byte"),
];

pub(crate) const FILTERS: Allowed = &[
    "AndFilter",
    "OrFilter",
    "NotFilter",
    "EqualsFilter",
    "ContainsAllValuesFilter",
    "ContainsFilter",
    "StartsWithFilter",
    "EndsWithFilter",
    "GreaterThanFilter",
    "GreaterThanOrEqualFilter",
    "LessThanFilter",
    "LessThanOrEqualFilter",
    "ExtendedMatchFilter",
    "PresenceFilter",
];

const ANY: Allowed = &[];
const ATTRIBUTE: Allowed = &["Attribute", "Name", "Uid"];
const LIST: Allowed = &["List"];
const SET: Allowed = &["Set"];
const MAP: Allowed = &["Map"];
const STRING: Allowed = &["String"];
const OBJECT_CLASS: Allowed = &["ObjectClass"];
const UID: Allowed = &["Uid"];
const KEY: Allowed = &["ConnectorKey"];
const OPTIONS: Allowed = &["OperationOptions"];

static BY_NAME: LazyLock<HashMap<&'static str, &'static TypeRow>> =
    LazyLock::new(|| TYPES.iter().map(|row| (row.name, row)).collect());

/// The table. Fields stand in the order in which Java writes them.
pub(crate) static TYPES: &[TypeRow] = &[
    scalar("Boolean", Scalar::Boolean),
    scalar("Character", Scalar::Character),
    scalar("Integer", Scalar::Integer),
    scalar("Long", Scalar::Long),
    scalar("Byte", Scalar::Byte),
    scalar("Float", Scalar::Float),
    scalar("Double", Scalar::Double),
    scalar("String", Scalar::String),
    scalar("URI", Scalar::Uri),
    scalar("File", Scalar::File),
    scalar("BigInteger", Scalar::BigInteger),
    scalar("ByteArray", Scalar::Bytes),
    scalar("Class", Scalar::Class),
    scalar("Name", Scalar::Name),
    scalar("GuardedString", Scalar::GuardedString),
    scalar("GuardedByteArray", Scalar::GuardedBytes),
    // Collections and values
    row("List", &[], Members::Any(ANY)),
    row("Set", &[field("caseInsensitive", Kind::Flag)], Members::Any(ANY)),
    row("Map", &[field("caseInsensitive", Kind::Flag)], Members::Any(&["MapEntry"])),
    row("MapEntry", &[], Members::Exactly(2, ANY)),
    record("BigDecimal", &[needed("unscaled", TEXT), field("scale", Kind::Int(0))]),
    record(
        "Locale",
        &[
            field("language", Kind::Text(Some(""))),
            field("country", Kind::Text(Some(""))),
            field("variant", Kind::Text(Some(""))),
        ],
    ),
    // A resource's objects
    record("Attribute", &[filled("name"), field("Values", Kind::Object(LIST))]),
    record("Uid", &[filled("uid"), field("revision", TEXT)]),
    record("ObjectClass", &[needed("type", TEXT)]),
    record(
        "ConnectorObject",
        &[needed("ObjectClass", Kind::Object(OBJECT_CLASS)), needed("Attributes", Kind::Object(SET))],
    ),
    record(
        "QualifiedUid",
        &[needed("ObjectClass", Kind::Object(OBJECT_CLASS)), needed("Uid", Kind::Object(UID))],
    ),
    record("OperationOptions", &[needed("options", Kind::Object(MAP))]),
    record("SortKey", &[filled("field"), field("isAscending", Kind::Bool(true))]),
    record(
        "SearchResult",
        &[
            field("pagedResultsCookie", TEXT),
            field("totalPagedResults", Kind::Int(-1)),
            field("remainingPagedResults", Kind::Int(-1)),
            field("CountPolicy", Kind::Object(&["CountPolicy"])),
        ],
    ),
    record("SyncToken", &[needed("value", Kind::Object(ANY))]),
    record(
        "SyncDelta",
        &[
            needed("SyncDeltaType", Kind::Object(&["SyncDeltaType"])),
            needed("SyncToken", Kind::Object(&["SyncToken"])),
            field("PreviousUid", Kind::Object(UID)),
            field("ObjectClass", Kind::Object(OBJECT_CLASS)),
            field("Uid", Kind::Object(UID)),
            field("ConnectorObject", Kind::Object(&["ConnectorObject"])),
        ],
    ),
    record("Script", &[filled("scriptLanguage"), needed("scriptText", Kind::Object(STRING))]),
    record(
        "ScriptContext",
        &[
            filled("scriptLanguage"),
            field("scriptArguments", Kind::Object(MAP)),
            needed("scriptText", Kind::Object(STRING)),
        ],
    ),
    row(
        "AttributeInfo",
        &[filled("name"), needed("type", Kind::Class)],
        Members::Any(&["AttributeInfoFlag"]),
    ),
    record(
        "ObjectClassInfo",
        &[
            needed("type", TEXT),
            field("container", Kind::Bool(false)),
            needed("AttributeInfos", Kind::Object(SET)),
        ],
    ),
    record("OperationOptionInfo", &[needed("name", TEXT), needed("type", Kind::Class)]),
    record(
        "Schema",
        &[
            needed("ObjectClassInfos", Kind::Object(SET)),
            needed("OperationOptionInfos", Kind::Object(SET)),
            needed("objectClassesByOperation", Kind::Object(MAP)),
            needed("optionsByOperation", Kind::Object(MAP)),
        ],
    ),
    record("CountPolicy", &[needed("value", TEXT)]),
    record("SyncDeltaType", &[needed("value", TEXT)]),
    record("AttributeInfoFlag", &[needed("value", TEXT)]),
    // Filters
    attribute_filter("EqualsFilter"),
    attribute_filter("ContainsAllValuesFilter"),
    attribute_filter("ContainsFilter"),
    attribute_filter("StartsWithFilter"),
    attribute_filter("EndsWithFilter"),
    attribute_filter("GreaterThanFilter"),
    attribute_filter("GreaterThanOrEqualFilter"),
    attribute_filter("LessThanFilter"),
    attribute_filter("LessThanOrEqualFilter"),
    record("ExtendedMatchFilter", &[filled("operator"), needed("attribute", Kind::Object(ATTRIBUTE))]),
    record("PresenceFilter", &[filled("name")]),
    row("AndFilter", &[], Members::Exactly(2, FILTERS)),
    row("OrFilter", &[], Members::Exactly(2, FILTERS)),
    row("NotFilter", &[], Members::Exactly(1, FILTERS)),
    // A connector's description and configuration
    record("ConnectorKey", &[filled("bundleName"), filled("bundleVersion"), filled("connectorName")]),
    record(
        "ConnectorInfo",
        &[
            field("connectorDisplayNameKey", TEXT),
            field("connectorCategoryKey", TEXT),
            field("ConnectorKey", Kind::Object(KEY)),
            field("ConnectorMessages", Kind::Object(&["ConnectorMessages"])),
            field("APIConfiguration", Kind::Object(&["APIConfiguration"])),
        ],
    ),
    record("ConnectorMessages", &[field("catalogs", Kind::Object(MAP))]),
    record(
        "APIConfiguration",
        &[
            field("producerBufferSize", Kind::Int(0)),
            field("connectorPoolingSupported", Kind::Bool(false)),
            field("connectorPoolConfiguration", Kind::Object(&["ObjectPoolConfiguration"])),
            field("resultsHandlerConfiguration", Kind::Object(&["ResultsHandlerConfiguration"])),
            field("ConfigurationProperties", Kind::Object(&["ConfigurationProperties"])),
            field("timeoutMap", Kind::Object(MAP)),
            field("SupportedOperations", Kind::Object(SET)),
        ],
    ),
    record(
        "ObjectPoolConfiguration",
        &[
            field("maxObjects", Kind::Int(10)),
            field("maxIdle", Kind::Int(10)),
            field("maxWait", Kind::Long(150_000)),
            field("minEvictableIdleTimeMillis", Kind::Long(120_000)),
            field("minIdle", Kind::Int(1)),
        ],
    ),
    record(
        "ResultsHandlerConfiguration",
        &[
            field("enableNormalizingResultsHandler", Kind::Bool(true)),
            field("enableFilteredResultsHandler", Kind::Bool(true)),
            field("enableCaseInsensitiveFilter", Kind::Bool(false)),
            field("enableAttributesToGetSearchResultsHandler", Kind::Bool(true)),
        ],
    ),
    row("ConfigurationProperties", &[], Members::Any(&["ConfigurationProperty"])),
    record(
        "ConfigurationProperty",
        &[
            field("order", Kind::Int(0)),
            field("confidential", Kind::Bool(false)),
            field("required", Kind::Bool(false)),
            field("name", TEXT),
            field("helpMessageKey", TEXT),
            field("displayMessageKey", TEXT),
            field("groupMessageKey", TEXT),
            field("type", Kind::Class),
            field("value", Kind::Object(ANY)),
            field("operations", Kind::Object(SET)),
        ],
    ),
    // Batches
    record(
        "CreateBatchTask",
        &[
            needed("ObjectClass", Kind::Object(OBJECT_CLASS)),
            needed("Attributes", Kind::Object(SET)),
            field("Options", Kind::Object(OPTIONS)),
        ],
    ),
    record(
        "DeleteBatchTask",
        &[
            needed("ObjectClass", Kind::Object(OBJECT_CLASS)),
            needed("Uid", Kind::Object(UID)),
            field("Options", Kind::Object(OPTIONS)),
        ],
    ),
    record(
        "UpdateBatchTask",
        &[
            needed("ObjectClass", Kind::Object(OBJECT_CLASS)),
            needed("Uid", Kind::Object(UID)),
            needed("Attributes", Kind::Object(SET)),
            field("Options", Kind::Object(OPTIONS)),
            needed("Type", TEXT),
        ],
    ),
    record("BatchEmptyResult", &[field("Message", TEXT)]),
    record(
        "BatchToken",
        &[
            needed("token", Kind::Object(LIST)),
            field("queryRequired", Kind::Bool(false)),
            field("asynchronousResults", Kind::Bool(false)),
            field("returnsResults", Kind::Bool(true)),
        ],
    ),
    record(
        "BatchResult",
        &[
            field("ResultClass", Kind::Class),
            field("Result", Kind::Object(ANY)),
            field("Token", Kind::Object(&["BatchToken"])),
            field("ResultId", TEXT),
            field("Complete", Kind::Bool(false)),
            field("Error", Kind::Bool(false)),
        ],
    ),
    // Exceptions
    exception("AlreadyExistsException"),
    exception("ConfigurationException"),
    exception("ConnectionBrokenException"),
    exception("ConnectionFailedException"),
    exception("ConnectorIOException"),
    record("PasswordExpiredException", &[field("message", TEXT), field("Uid", Kind::Object(UID))]),
    exception("InvalidPasswordException"),
    exception("UnknownUidException"),
    exception("InvalidCredentialException"),
    exception("PermissionDeniedException"),
    exception("ConnectorSecurityException"),
    exception("OperationTimeoutException"),
    exception("InvalidAttributeValueException"),
    exception("PreconditionFailedException"),
    exception("PreconditionRequiredException"),
    exception("RetryableException"),
    record(
        "RemoteWrappedException",
        &[
            field("class", TEXT),
            field("message", TEXT),
            field("RemoteWrappedException", Kind::Object(&["RemoteWrappedException"])),
            field("stackTrace", TEXT),
        ],
    ),
    exception("ConnectorException"),
    exception("IllegalArgumentException"),
    exception("RuntimeException"),
    exception("Exception"),
    exception("Throwable"),
    // The protocol before protobuf
    record("HelloRequest", &[field("infoLevel", Kind::Int(20))]),
    record(
        "HelloResponse",
        &[
            field("exception", Kind::Object(ANY)),
            field("serverInfoMap", Kind::Object(MAP)),
            field("ConnectorInfos", Kind::Object(LIST)),
            field("ConnectorKeys", Kind::Object(LIST)),
        ],
    ),
    record(
        "OperationRequest",
        &[
            field("operation", Kind::Class),
            field("operationMethodName", TEXT),
            field("ConnectorKey", Kind::Object(KEY)),
            field("connectorFacadeKey", TEXT),
            field("Arguments", Kind::Object(LIST)),
        ],
    ),
    record(
        "OperationResponsePart",
        &[field("exception", Kind::Object(ANY)), field("result", Kind::Object(ANY))],
    ),
    record("OperationResponseEnd", &[]),
    record("OperationRequestMoreData", &[]),
    record("OperationRequestStopData", &[]),
    record("OperationResponsePause", &[]),
    record("EchoMessage", &[field("value", Kind::Object(ANY)), field("objectXml", Kind::Object(ANY))]),
];

const TEXT: Kind = Kind::Text(None);

const fn row(name: &'static str, fields: &'static [FieldRow], members: Members) -> TypeRow {
    TypeRow { name, fields, members }
}

const fn record(name: &'static str, fields: &'static [FieldRow]) -> TypeRow {
    row(name, fields, Members::None)
}

const fn scalar(name: &'static str, scalar: Scalar) -> TypeRow {
    row(name, &[], Members::Scalar(scalar))
}

const fn exception(name: &'static str) -> TypeRow {
    record(name, const { &[field("message", TEXT)] })
}

const fn attribute_filter(name: &'static str) -> TypeRow {
    record(name, const { &[needed("attribute", Kind::Object(ATTRIBUTE))] })
}

const fn field(name: &'static str, kind: Kind) -> FieldRow {
    FieldRow { name, kind, need: Need::Optional }
}

const fn needed(name: &'static str, kind: Kind) -> FieldRow {
    FieldRow { name, kind, need: Need::Required }
}

const fn filled(name: &'static str) -> FieldRow {
    FieldRow { name, kind: TEXT, need: Need::NotBlank }
}

#[cfg(test)]
mod tests;
