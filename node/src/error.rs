//! What a connector's failure is called on the wire.
//!
//! IDM decides what to do by the *text* of `exceptionClass` (WIRE 5.1: Java rebuilds every error as a
//! `RemoteWrappedException` that carries the class name), so a failure is a class name and a sentence.

use std::fmt;

use rcs_proto::icf::exceptions;

/// The Java exception classes that an identity manager looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The object to be created is there already.
    AlreadyExists,
    /// No object has that identifier.
    UnknownUid,
    /// The password given is wrong.
    InvalidPassword,
    /// The user name and password do not identify anybody.
    InvalidCredential,
    /// The password is right, but must be changed first.
    PasswordExpired,
    /// A value breaks a rule of the resource.
    InvalidAttributeValue,
    /// The object changed since it was read.
    PreconditionFailed,
    /// A revision is needed and was not given.
    PreconditionRequired,
    /// The configuration is wrong; the sentence says which property.
    Configuration,
    /// Reading or writing failed.
    ConnectorIo,
    /// The connector refused on its own security grounds.
    ConnectorSecurity,
    /// The resource cannot be reached.
    ConnectionFailed,
    /// The resource was reached and then lost.
    ConnectionBroken,
    /// The resource refuses the connector's own rights.
    PermissionDenied,
    /// Trying again later may work.
    Retryable,
    /// The operation took too long.
    OperationTimeout,
    /// Java's own: the connector lacks the operation.
    UnsupportedOperation,
    /// Java's own: an argument makes no sense.
    IllegalArgument,
    /// Java's own: an argument that must be there is not.
    NullPointer,
    /// Java's own: a value has another type than the operation needs.
    ClassCast,
    /// Any other failure of a connector.
    Connector,
}

impl ErrorClass {
    /// The full Java class name, as it stands in `exceptionClass`.
    pub const fn java_name(self) -> &'static str {
        match self {
            Self::AlreadyExists => exceptions::ALREADY_EXISTS,
            Self::UnknownUid => exceptions::UNKNOWN_UID,
            Self::InvalidPassword => exceptions::INVALID_PASSWORD,
            Self::InvalidCredential => exceptions::INVALID_CREDENTIAL,
            Self::PasswordExpired => exceptions::PASSWORD_EXPIRED,
            Self::InvalidAttributeValue => exceptions::INVALID_ATTRIBUTE_VALUE,
            Self::PreconditionFailed => exceptions::PRECONDITION_FAILED,
            Self::PreconditionRequired => exceptions::PRECONDITION_REQUIRED,
            Self::Configuration => exceptions::CONFIGURATION,
            Self::ConnectorIo => exceptions::CONNECTOR_IO,
            Self::ConnectorSecurity => exceptions::CONNECTOR_SECURITY,
            Self::ConnectionFailed => exceptions::CONNECTION_FAILED,
            Self::ConnectionBroken => exceptions::CONNECTION_BROKEN,
            Self::PermissionDenied => exceptions::PERMISSION_DENIED,
            Self::Retryable => exceptions::RETRYABLE,
            Self::OperationTimeout => exceptions::OPERATION_TIMEOUT,
            Self::UnsupportedOperation => exceptions::UNSUPPORTED_OPERATION,
            Self::IllegalArgument => exceptions::ILLEGAL_ARGUMENT,
            Self::NullPointer => exceptions::NULL_POINTER,
            Self::ClassCast => exceptions::CLASS_CAST,
            Self::Connector => exceptions::CONNECTOR,
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.java_name())
    }
}

/// A failed operation: its class and one sentence for the caller. The sentence never holds attribute values or
/// secrets (promise P9).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct IcfError {
    /// What IDM looks at.
    pub class: ErrorClass,
    /// What a person reads: what is wrong, and what to do.
    pub message: String,
}

impl IcfError {
    /// An error of that class. Names in the message may come from a file or from the caller, so control characters are escaped.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: rcs_cli::printable::line(&message.into()).into_owned() }
    }

    /// The connector lacks the operation (WIRE 5.1).
    pub fn unsupported(operation: &str) -> Self {
        Self::new(ErrorClass::UnsupportedOperation, format!("this connector has no {operation} operation"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorClass, IcfError};

    #[test]
    fn an_error_reads_as_class_and_sentence() {
        let error = IcfError::new(ErrorClass::UnknownUid, "no such entry");
        assert_eq!(
            error.to_string(),
            "org.identityconnectors.framework.common.exceptions.UnknownUidException: no such entry"
        );
    }

    #[test]
    fn a_name_in_an_error_steers_no_terminal() {
        let error = IcfError::new(ErrorClass::Configuration, "no file \u{1b}[2J\r\na\u{9b}1m");
        assert_eq!(error.message, "no file \\u001b[2J\\u000d\\u000aa\\u009b1m");
    }

    #[test]
    fn javas_own_classes_keep_their_package() {
        assert_eq!(
            IcfError::unsupported("script").class.java_name(),
            "java.lang.UnsupportedOperationException"
        );
        assert_eq!(ErrorClass::IllegalArgument.java_name(), "java.lang.IllegalArgumentException");
    }
}
