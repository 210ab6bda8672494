//! The connector's configuration: what its properties are, and what their values mean.
//!
//! Names, types and defaults are those of the published connector, as its CONNECTOR_INFO shows them (V03, V06).

use std::path::PathBuf;

use rcs_proto::icf::{ApiConfiguration, ClassName, ConfigurationProperty, Value};

use super::format::{Format, LineEnd};
use super::table::Headers;
use crate::connector::filter::FilterRules;
use crate::error::{ErrorClass, IcfError};

/// One configuration property: name, type, default, display name and help.
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    pub(super) required: bool,
    pub(super) display: &'static str,
    pub(super) help: &'static str,
    default: Default,
}

enum Default {
    None,
    Text(&'static str),
    Number(i32),
}

impl Property {
    /// The value in force when nothing is set.
    pub(super) fn default_value(&self) -> Value {
        match self.default {
            Default::None => Value::Null,
            Default::Text(text) => Value::String(text.to_owned()),
            Default::Number(number) => Value::Integer(number),
        }
    }
}

/// The properties in the order in which they are listed.
pub(super) const PROPERTIES: [Property; 7] = [
    Property {
        name: "csvFile",
        class: "File",
        required: true,
        display: "CSV file",
        help: "Path of the CSV file on the host of the connector server, absolute. It must exist and begin with a header line.",
        default: Default::None,
    },
    Property {
        name: "headerUid",
        class: "String",
        required: false,
        display: "Identifier column",
        help: "Header of the column that identifies a row. Every row needs a value of its own in it.",
        default: Default::Text("uid"),
    },
    Property {
        name: "headerPassword",
        class: "String",
        required: false,
        display: "Password column",
        help: "Header of the column that holds passwords. Leave it empty if the file has none.",
        default: Default::Text("password"),
    },
    Property {
        name: "quoteCharacter",
        class: "String",
        required: false,
        display: "Quote character",
        help: "The one character that encloses a cell; inside a cell it is doubled.",
        default: Default::Text("\""),
    },
    Property {
        name: "fieldDelimiter",
        class: "String",
        required: false,
        display: "Cell delimiter",
        help: "What stands between two cells: one character or more.",
        default: Default::Text(","),
    },
    Property {
        name: "newlineString",
        class: "String",
        required: false,
        display: "Line end",
        help: "What ends a row. LF, CRLF and CR are told apart by themselves, and a file keeps the one it has; any other text is taken literally.",
        default: Default::Text("\n"),
    },
    Property {
        name: "syncFileRetentionCount",
        class: "int",
        required: false,
        display: "Sync files kept",
        help: "How many former states of the file are kept beside it to find changes since a sync token; two are kept in any case.",
        default: Default::Number(3),
    },
];

/// A configuration that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) file: PathBuf,
    pub(super) headers: Headers,
    pub(super) format: Format,
    /// Snapshots to keep, at least two.
    pub(super) snapshots: usize,
    pub(super) rules: FilterRules,
    /// Whether attributes-to-get cuts what a search returns.
    pub(super) cuts_attributes: bool,
}

impl Settings {
    /// Reads and checks a configuration. A property that is not listed has its default; one that is null has no value.
    ///
    /// # Errors
    /// `ConfigurationException`, naming the property and what to do.
    pub(super) fn read(configuration: &ApiConfiguration) -> Result<Self, IcfError> {
        let value = |name: &str| value_of(configuration, name);
        let file = match value("csvFile") {
            Value::File(path) | Value::String(path) if !path.trim().is_empty() => PathBuf::from(path),
            Value::Null | Value::File(_) | Value::String(_) => {
                return Err(wrong("csvFile is not set; give the path of the CSV file on this host"));
            }
            _ => return Err(wrong("csvFile must be a file")),
        };
        let uid = text("headerUid", &value("headerUid"))?
            .ok_or_else(|| wrong("headerUid is empty; give the header of the identifier's column"))?;
        let headers = Headers { uid, password: text("headerPassword", &value("headerPassword"))? };
        let handlers = configuration.results_handlers.as_ref();
        Ok(Self {
            file,
            headers,
            format: format(&value)?,
            snapshots: match value("syncFileRetentionCount") {
                Value::Integer(count) => usize::try_from(count).unwrap_or(0).max(2),
                Value::Null => 2,
                _ => return Err(wrong("syncFileRetentionCount must be a whole number")),
            },
            rules: FilterRules::of(handlers),
            cuts_attributes: handlers.is_none_or(|handlers| handlers.attributes_to_get),
        })
    }
}

fn format(value: &impl Fn(&str) -> Value) -> Result<Format, IcfError> {
    let quote = text("quoteCharacter", &value("quoteCharacter"))?.unwrap_or_default();
    let mut characters = quote.chars();
    let (Some(quote), None) = (characters.next(), characters.next()) else {
        return Err(wrong("quoteCharacter must be exactly one character"));
    };
    let delimiter = text("fieldDelimiter", &value("fieldDelimiter"))?.ok_or_else(|| {
        wrong("fieldDelimiter is empty; give what stands between two cells, such as a comma")
    })?;
    let line_end = text("newlineString", &value("newlineString"))?
        .ok_or_else(|| wrong("newlineString is empty; give what ends a row, such as a line feed"))?;
    if delimiter.contains(quote) || line_end.contains(quote) {
        return Err(wrong("quoteCharacter must occur neither in fieldDelimiter nor in newlineString"));
    }
    if delimiter.contains(['\n', '\r']) || delimiter.contains(&line_end) || line_end.contains(&delimiter) {
        return Err(wrong("fieldDelimiter and newlineString must not occur in each other"));
    }
    let line_end = match line_end.as_str() {
        "\n" | "\r\n" | "\r" => LineEnd::Common(line_end),
        _ => LineEnd::Custom(line_end),
    };
    Ok(Format { delimiter, quote, line_end })
}

fn value_of(configuration: &ApiConfiguration, name: &str) -> Value {
    match configuration.property(name) {
        Some(ConfigurationProperty { value, .. }) => value.clone(),
        None => PROPERTIES
            .iter()
            .find(|property| property.name == name)
            .map_or(Value::Null, Property::default_value),
    }
}

/// A text property; empty counts as not set.
fn text(name: &str, value: &Value) -> Result<Option<String>, IcfError> {
    match value {
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Character(character) => Ok(Some(character.to_string())),
        Value::Null => Ok(None),
        _ => Err(wrong(&format!("{name} must be a text"))),
    }
}

fn wrong(sentence: &str) -> IcfError {
    IcfError::new(ErrorClass::Configuration, sentence)
}

/// The property as CONNECTOR_INFO lists it.
pub(super) fn describe(order: i32, property: &Property) -> ConfigurationProperty {
    ConfigurationProperty {
        order,
        confidential: false,
        required: property.required,
        name: property.name.to_owned(),
        help_key: Some(format!("{}.help", property.name)),
        display_key: Some(format!("{}.display", property.name)),
        group_key: None,
        class: ClassName::plain(property.class),
        value: property.default_value(),
        operations: Vec::new(),
    }
}
