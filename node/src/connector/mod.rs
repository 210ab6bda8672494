//! Connectors: what a remote connector server holds and runs.
//!
//! A [`ConnectorFactory`] describes one connector and opens *instances* of it, one for each configuration (facade key).
//! An instance is a [`Connector`]: blocking, thread-safe methods, run by the server on threads that may block.
//! Everything here speaks [`rcs_proto::icf`]; no byte format, no socket, no tokio.
//! A second connector is one module with a factory, and one line in [`Registry::builtin`].

pub mod csv;
pub mod filter;
pub mod paging;
pub mod sort;

use std::path::PathBuf;
use std::sync::Arc;

use rcs_proto::icf::{
    ApiConfiguration, Attribute, ConnectorInfo, ConnectorKey, ConnectorObject, Filter, ObjectClass,
    OperationOptions, Schema, Script, SearchResult, Secret, SyncDelta, UID, Uid, Value,
};

use crate::error::IcfError;

/// What a handler of results wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Another result, please.
    Continue,
    /// No more: the caller cancelled or is gone. The operation ends without an error.
    Stop,
}

/// How an update treats the values it is given (WIRE 3.2, `updateType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// The given attributes get these values; others stay.
    Replace,
    /// These values are added to the ones there are.
    Add,
    /// These values are taken away.
    Remove,
}

/// Takes the objects of a search, in order.
pub type ObjectHandler<'a> = dyn FnMut(ConnectorObject) -> Flow + 'a;

/// Takes the changes of a sync, in order.
pub type DeltaHandler<'a> = dyn FnMut(SyncDelta) -> Flow + 'a;

/// One configured instance of a connector: a facade. Methods block; several threads call at once.
///
/// Operations that a connector lacks keep the default and answer `UnsupportedOperationException` (WIRE 5.1). The
/// operations of a connector must be the `supported_operations` of its [`ConnectorInfo`].
pub trait Connector: Send + Sync {
    /// Checks the configuration alone.
    ///
    /// # Errors
    /// `ConfigurationException` naming the property and what to do.
    fn validate(&self) -> Result<(), IcfError>;

    /// Checks the configuration and that the resource answers.
    ///
    /// # Errors
    /// Why the resource cannot be used.
    fn test(&self) -> Result<(), IcfError> {
        Err(IcfError::unsupported("test"))
    }

    /// What objects there are and what can be done with them.
    ///
    /// # Errors
    /// Why it cannot be found out.
    fn schema(&self) -> Result<Schema, IcfError> {
        Err(IcfError::unsupported("schema"))
    }

    /// Hands every object that matches to `handler`, cut to the attributes, order and page that `options` ask for.
    /// `None` as a result is Java's "no SearchResult".
    ///
    /// # Errors
    /// Why the search could not be begun or finished. Objects handed over before stay handed over.
    fn search(
        &self,
        class: &ObjectClass,
        filter: Option<&Filter>,
        options: &OperationOptions,
        handler: &mut ObjectHandler<'_>,
    ) -> Result<Option<SearchResult>, IcfError> {
        let _ = (class, filter, options, handler);
        Err(IcfError::unsupported("search"))
    }

    /// The object with that identifier, if there is one.
    ///
    /// # Errors
    /// As [`Connector::search`], through which it works unless the connector has a shorter way.
    fn get(
        &self,
        class: &ObjectClass,
        uid: &Uid,
        options: &OperationOptions,
    ) -> Result<Option<ConnectorObject>, IcfError> {
        let filter = Filter::Equals(Attribute::text(UID, &uid.value));
        let mut found = None;
        self.search(class, Some(&filter), options, &mut |object| {
            found = Some(object);
            Flow::Stop
        })?;
        Ok(found)
    }

    /// Hands every change after `token` to `handler`, oldest first, and returns the token to go on from.
    ///
    /// # Errors
    /// Why the changes cannot be told; `IllegalArgumentException` if the token is none of this connector's.
    fn sync(
        &self,
        class: &ObjectClass,
        token: &Value,
        options: &OperationOptions,
        handler: &mut DeltaHandler<'_>,
    ) -> Result<Option<Value>, IcfError> {
        let _ = (class, token, options, handler);
        Err(IcfError::unsupported("sync"))
    }

    /// The token after which there is no change yet; `None` if the connector knows of none.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn latest_sync_token(&self, class: &ObjectClass) -> Result<Option<Value>, IcfError> {
        let _ = class;
        Err(IcfError::unsupported("sync"))
    }

    /// Creates an object and returns its identifier.
    ///
    /// # Errors
    /// `AlreadyExistsException`, `InvalidAttributeValueException`, or why it could not be stored.
    fn create(
        &self,
        class: &ObjectClass,
        attributes: &[Attribute],
        options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let _ = (class, attributes, options);
        Err(IcfError::unsupported("create"))
    }

    /// Changes an object and returns its identifier, which may be another one afterwards.
    ///
    /// # Errors
    /// `UnknownUidException`, `InvalidAttributeValueException`, or why it could not be stored.
    fn update(
        &self,
        kind: UpdateKind,
        class: &ObjectClass,
        uid: &Uid,
        attributes: &[Attribute],
        options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let _ = (kind, class, uid, attributes, options);
        Err(IcfError::unsupported("update"))
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// `UnknownUidException`, or why it could not be stored.
    fn delete(&self, class: &ObjectClass, uid: &Uid, options: &OperationOptions) -> Result<(), IcfError> {
        let _ = (class, uid, options);
        Err(IcfError::unsupported("delete"))
    }

    /// The identifier of the object with that name and password (J06).
    ///
    /// # Errors
    /// `InvalidCredentialException` or `InvalidPasswordException`.
    fn authenticate(
        &self,
        class: &ObjectClass,
        username: &str,
        password: &Secret<String>,
        options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let _ = (class, username, password, options);
        Err(IcfError::unsupported("authenticate"))
    }

    /// The identifier of the object with that name.
    ///
    /// # Errors
    /// `UnknownUidException` if there is none.
    fn resolve_username(
        &self,
        class: &ObjectClass,
        username: &str,
        options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let _ = (class, username, options);
        Err(IcfError::unsupported("resolveUsername"))
    }

    /// Runs a script inside the connector; `arguments` is a [`Value::Map`].
    ///
    /// # Errors
    /// What the script threw.
    fn script_on_connector(
        &self,
        script: &Script,
        arguments: &Value,
        options: &OperationOptions,
    ) -> Result<Value, IcfError> {
        let _ = (script, arguments, options);
        Err(IcfError::unsupported("scriptOnConnector"))
    }
}

/// Describes one connector and opens instances of it.
pub trait ConnectorFactory: Send + Sync {
    /// What CONNECTOR_INFO says of it: key, texts, property schema with defaults, operations.
    fn info(&self) -> ConnectorInfo;

    /// An instance with that configuration. Cheap, and does not touch the resource: what is wrong with the
    /// configuration is told by the instance's operations, so that `validate` can say it all.
    ///
    /// # Errors
    /// Only for a configuration that cannot be read at all (a property of the wrong type).
    fn open(&self, configuration: &ApiConfiguration) -> Result<Arc<dyn Connector>, IcfError>;
}

/// The connectors of this node, in the order in which CONNECTOR_INFO lists them.
#[derive(Clone, Default)]
pub struct Registry {
    factories: Vec<(ConnectorKey, Arc<dyn ConnectorFactory>)>,
}

impl Registry {
    /// No connector.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The connectors that this program holds. A further connector is one more line here. CSV files may lie in these folders and below, or
    /// anywhere if there are no folders.
    pub fn builtin(csv_folders: Vec<PathBuf>) -> Self {
        let csv = csv::CsvFactory::identities(csv_folders);
        csv.into_iter().fold(Self::empty(), |registry, factory| registry.with(Arc::new(factory)))
    }

    /// This registry with one connector more. A later one of the same key takes the earlier one's place.
    #[must_use]
    pub fn with(mut self, factory: Arc<dyn ConnectorFactory>) -> Self {
        let key = factory.info().key;
        match self.factories.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = factory,
            None => self.factories.push((key, factory)),
        }
        self
    }

    /// The connector with exactly that key; the ranges of B03 are the caller's business.
    pub fn find(&self, key: &ConnectorKey) -> Option<&Arc<dyn ConnectorFactory>> {
        self.factories.iter().find(|(known, _)| known == key).map(|(_, factory)| factory)
    }

    /// All connectors.
    pub fn factories(&self) -> impl Iterator<Item = &Arc<dyn ConnectorFactory>> {
        self.factories.iter().map(|(_, factory)| factory)
    }
}
