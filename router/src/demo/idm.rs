//! The demo's caller: what IDM does with the published CSV connector, as far as reading goes.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use rcs_core::limits::CONNECT_TIMEOUT;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialTarget};
use rcs_proto::driver::endpoint::{Caller, EndpointConfig, RemoteError};
use rcs_proto::icf::{Attribute, ConnectorInfo, NAME, ObjectClass, OperationOptions, Secret, UID, Value};
use rcs_proto::legacy::{Wire, facade_key};
use rcs_proto::messages::{ConnectorKey, GetOpRequest, Locale, OperationRequest, SearchOpRequest, Uid};
use tokio::time::timeout;

use super::DemoError;
use super::files::{GROUP, KEY, text};
use crate::limits::DEMO_START_MAX;

/// Sockets to the router, as many as IDM opens.
const SOCKETS: usize = 2;
const CSV_CONNECTOR: &str = "org.forgerock.openicf.csvfile.CSVFileConnector";

/// A connected caller.
pub(super) struct Idm {
    caller: Caller,
    /// Connector and configuration: in every call.
    base: OperationRequest,
    options: Bytes,
}

/// A row of hr.csv.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) department: String,
}

impl Idm {
    /// Connects to the group, and configures its CSV connector.
    pub(super) async fn connect(router: SocketAddr, csv: &Path) -> Result<Self, DemoError> {
        let target = DialTarget {
            host: router.ip().to_string(),
            port: router.port(),
            path: format!("/openicf/{GROUP}"),
            tls: None,
            authorization: DialAuthorization::Basic(Credentials {
                principal: "anonymous".to_owned(),
                secret: Secret::new(KEY.to_owned()),
            }),
            connect_timeout: CONNECT_TIMEOUT,
        };
        let config = EndpointConfig::new(EndpointConfig::random_identity());
        let caller = Caller::connect(target, SOCKETS, config).await.map_err(not_read)?;
        let infos = timeout(DEMO_START_MAX, caller.connector_infos()).await;
        let infos = infos.map_err(|_| not_read("no list of connectors came"))?.map_err(not_read)?;
        let infos = Vec::<ConnectorInfo>::decode(&infos).map_err(not_read)?;
        let info = infos.iter().find(|info| info.key.connector_name == CSV_CONNECTOR);
        let base = info.and_then(|info| request(info, csv));
        let base = base.ok_or_else(|| not_read("the group has no CSV connector"))?;
        Ok(Self { caller, base, options: OperationOptions::default().encode() })
    }

    /// Every user, by one search.
    pub(super) async fn users(&self) -> Result<Vec<User>, DemoError> {
        let search = SearchOpRequest {
            object_class: ObjectClass::ACCOUNT.to_owned(),
            options: self.options.clone(),
            ..Default::default()
        };
        let mut answer = self.caller.call(OperationRequest { search: Some(search), ..self.base.clone() });
        let mut users = Vec::new();
        while let Some(frame) = answer.next().await {
            let frame = frame.map_err(told)?;
            let Some(object) = frame.search.and_then(|search| search.connector_object) else { break };
            let attributes = Vec::<Attribute>::decode(&object.attributes).map_err(not_read)?;
            users.push(user(&attributes));
        }
        match users.len() {
            0 => Err(not_read("the search found nobody")),
            _ => Ok(users),
        }
    }

    /// One user, by uid.
    pub(super) async fn read(&self, uid: &str) -> Result<User, String> {
        let get = GetOpRequest {
            object_class: ObjectClass::ACCOUNT.to_owned(),
            uid: Some(Uid { value: uid.to_owned(), ..Default::default() }),
            options: self.options.clone(),
        };
        let answer = self.caller.ask(OperationRequest { get: Some(get), ..self.base.clone() }).await;
        let object = answer.map_err(words)?.get.map(|get| get.connector_object).unwrap_or_default();
        let object = rcs_proto::icf::ConnectorObject::decode(&object).map_err(|error| error.to_string())?;
        Ok(user(&object.attributes))
    }

    /// Closes the sockets.
    pub(super) async fn close(self) {
        self.caller.close().await;
    }
}

/// What every call with this connector and file has in common.
fn request(info: &ConnectorInfo, csv: &Path) -> Option<OperationRequest> {
    let mut configuration = info.configuration.clone()?;
    let file = configuration.properties.iter_mut().find(|property| property.name == "csvFile")?;
    file.value = Value::File(text(csv));
    let key = info.key.clone();
    Some(OperationRequest {
        connector_key: Some(ConnectorKey {
            bundle_name: key.bundle_name,
            bundle_version: key.bundle_version,
            connector_name: key.connector_name,
        }),
        connector_facade_key: facade_key::encode(&configuration),
        locale: Some(Locale { language: "en".to_owned(), ..Default::default() }),
        ..Default::default()
    })
}

fn user(attributes: &[Attribute]) -> User {
    let value = |name: &str| {
        let attribute = attributes.iter().find(|attribute| attribute.is(name));
        attribute.and_then(Attribute::first).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let name = format!("{} {}", value("firstName"), value("lastName"));
    let uid = Some(value(UID)).filter(|uid| !uid.is_empty()).unwrap_or_else(|| value(NAME));
    User { uid, name, department: value("department") }
}

fn told(error: RemoteError) -> DemoError {
    not_read(words(error))
}

/// The demo's data are its own, so an error's text may be shown.
fn words(error: RemoteError) -> String {
    match error {
        RemoteError::Peer { class, message } => format!("{class}: {message}"),
        other => other.to_string(),
    }
}

fn not_read(reason: impl ToString) -> DemoError {
    DemoError::NotRead(reason.to_string())
}
