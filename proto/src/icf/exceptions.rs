//! The Java exception classes that the protocol's errors name.
//!
//! An error on the wire is a class name and a text, and an IDM decides by the *text* of the class name (WIRE 5.1). So each name
//! is a part of the protocol; every program of the workspace takes the name from here.

/// A class of the framework's own package.
macro_rules! framework {
    ($name:literal) => {
        concat!("org.identityconnectors.framework.common.exceptions.", $name)
    };
}

/// The object to be created exists already.
pub const ALREADY_EXISTS: &str = framework!("AlreadyExistsException");
/// The configuration of the connector is wrong.
pub const CONFIGURATION: &str = framework!("ConfigurationException");
/// The resource, or the connector server, was reached and then lost.
pub const CONNECTION_BROKEN: &str = framework!("ConnectionBrokenException");
/// The resource, or the connector server, cannot be reached: the call was not run.
pub const CONNECTION_FAILED: &str = framework!("ConnectionFailedException");
/// Any failure without a class of its own.
pub const CONNECTOR: &str = framework!("ConnectorException");
/// Reading or writing failed.
pub const CONNECTOR_IO: &str = framework!("ConnectorIOException");
/// The connector refused for reasons of security.
pub const CONNECTOR_SECURITY: &str = framework!("ConnectorSecurityException");
/// A value breaks a rule of the resource.
pub const INVALID_ATTRIBUTE_VALUE: &str = framework!("InvalidAttributeValueException");
/// The user name and the password identify nobody.
pub const INVALID_CREDENTIAL: &str = framework!("InvalidCredentialException");
/// The password is wrong.
pub const INVALID_PASSWORD: &str = framework!("InvalidPasswordException");
/// The operation took too long.
pub const OPERATION_TIMEOUT: &str = framework!("OperationTimeoutException");
/// The password is right, and must be changed first.
pub const PASSWORD_EXPIRED: &str = framework!("PasswordExpiredException");
/// The resource refuses the connector's own rights.
pub const PERMISSION_DENIED: &str = framework!("PermissionDeniedException");
/// The object has changed since the caller read it.
pub const PRECONDITION_FAILED: &str = framework!("PreconditionFailedException");
/// The call needs a revision of the object and has none.
pub const PRECONDITION_REQUIRED: &str = framework!("PreconditionRequiredException");
/// The same call may succeed later.
pub const RETRYABLE: &str = framework!("RetryableException");
/// No object has that identifier.
pub const UNKNOWN_UID: &str = framework!("UnknownUidException");

/// Java's own: the call was cancelled.
pub const CANCELLATION: &str = "java.util.concurrent.CancellationException";
/// Java's own: a value has another type than the operation needs.
pub const CLASS_CAST: &str = "java.lang.ClassCastException";
/// Java's own: an argument makes no sense.
pub const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
/// Java's own: the call does not fit the state of the session, such as a message id that is in use (WIRE 4.3).
pub const ILLEGAL_STATE: &str = "java.lang.IllegalStateException";
/// Java's own: an argument is missing.
pub const NULL_POINTER: &str = "java.lang.NullPointerException";
/// Java's own: a failure that no other class describes.
pub const RUNTIME: &str = "java.lang.RuntimeException";
/// Java's own: the connector lacks the operation.
pub const UNSUPPORTED_OPERATION: &str = "java.lang.UnsupportedOperationException";

#[cfg(test)]
mod tests {
    use super::*;

    /// Spelled out in full once more: an IDM compares every letter.
    #[test]
    fn names_are_spelled_as_java_spells_them() {
        for (name, spelled) in [
            (CONNECTOR, "org.identityconnectors.framework.common.exceptions.ConnectorException"),
            (CONNECTOR_IO, "org.identityconnectors.framework.common.exceptions.ConnectorIOException"),
            (
                CONNECTION_FAILED,
                "org.identityconnectors.framework.common.exceptions.ConnectionFailedException",
            ),
            (
                CONNECTION_BROKEN,
                "org.identityconnectors.framework.common.exceptions.ConnectionBrokenException",
            ),
            (RETRYABLE, "org.identityconnectors.framework.common.exceptions.RetryableException"),
            (
                OPERATION_TIMEOUT,
                "org.identityconnectors.framework.common.exceptions.OperationTimeoutException",
            ),
            (ALREADY_EXISTS, "org.identityconnectors.framework.common.exceptions.AlreadyExistsException"),
            (UNKNOWN_UID, "org.identityconnectors.framework.common.exceptions.UnknownUidException"),
        ] {
            assert_eq!(name, spelled);
        }
    }
}
