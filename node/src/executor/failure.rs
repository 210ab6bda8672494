//! What ends a call without an answer, as Java's executor words it (WIRE 5.1).

use rcs_proto::icf::{ConnectorKey, exceptions};
use rcs_proto::legacy::LegacyError;
use rcs_proto::operation::Operation;

use crate::error::{ErrorClass, IcfError};

/// A failed call: a Java class name and a sentence without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What IDM looks at.
    pub class: &'static str,
    /// What a person reads.
    pub message: String,
}

impl From<IcfError> for Failure {
    fn from(error: IcfError) -> Self {
        Self { class: error.class.java_name(), message: error.message }
    }
}

impl Failure {
    /// A failure of the framework's own.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class: class.java_name(), message: message.into() }
    }

    pub(super) fn connector_not_found(key: &ConnectorKey) -> Self {
        Self::new(ErrorClass::Connector, format!("Connector not found: {key}"))
    }

    pub(super) fn unknown_operation() -> Self {
        Self::new(ErrorClass::Connector, "Unknown OperationRequest")
    }

    pub(super) fn unsupported(operation: Operation) -> Self {
        IcfError::unsupported(operation.label()).into()
    }

    /// Java complains of a missing argument with these words, sync without a token included.
    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(ErrorClass::NullPointer, format!("Parameter '{parameter}' must not be null."))
    }

    /// A facade key that is no configuration.
    pub(super) fn facade_key(error: LegacyError) -> Self {
        let message = format!("the connector's configuration cannot be read: {error}");
        match error {
            LegacyError::Base64 => Self { class: exceptions::RUNTIME, message },
            _ => Self::new(ErrorClass::Connector, message),
        }
    }

    /// Part of a request that is no legacy object, or another one than belongs there.
    pub(super) fn unreadable(part: &str, error: LegacyError) -> Self {
        Self::new(ErrorClass::Connector, format!("the request's {part} cannot be read: {error}"))
    }
}
