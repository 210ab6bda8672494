//! A scripted IDM that runs whole calls.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rcs_proto::icf::{ApiConfiguration, ConnectorInfo, Value};
use rcs_proto::legacy::{Wire as _, facade_key};
use rcs_proto::messages::{self as m, OperationRequest, OperationResponse};
use rcs_rig::scripted::FakeIdm;

/// No connector list takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a call ended, with the frames before.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) items: Vec<OperationResponse>,
    /// An error as class without its package, and text.
    pub(crate) last: Result<OperationResponse, (String, String)>,
}

/// A session with a node, and the connector that it uses there.
pub(crate) struct Caller {
    pub(crate) idm: FakeIdm,
    target: OperationRequest,
}

impl Caller {
    pub(crate) fn connect(node: SocketAddr, sockets: usize) -> Self {
        Self { idm: FakeIdm::connect(node, "/openicf", sockets), target: OperationRequest::default() }
    }

    /// What CONNECTOR_INFO says.
    pub(crate) fn connectors(&mut self) -> Vec<ConnectorInfo> {
        Vec::decode(&self.idm.ask_for_connectors(PATIENCE)).expect("a list of connectors")
    }

    /// Chooses the connector whose name holds `name`, with these properties set beside its defaults.
    pub(crate) fn configure(&mut self, name: &str, properties: &[(&str, Value)]) {
        let infos = self.connectors();
        let info = infos.iter().find(|info| info.key.connector_name.contains(name)).expect("the connector");
        let mut configuration: ApiConfiguration = info.configuration.clone().expect("a configuration");
        for (name, value) in properties {
            let property = configuration.properties.iter_mut().find(|property| property.name == *name);
            property.expect("the property").value = value.clone();
        }
        self.target = OperationRequest {
            connector_key: Some(m::ConnectorKey {
                bundle_name: info.key.bundle_name.clone(),
                bundle_version: info.key.bundle_version.clone(),
                connector_name: info.key.connector_name.clone(),
            }),
            connector_facade_key: facade_key::encode(&configuration),
            ..Default::default()
        };
    }

    /// A request to the chosen connector, without its operation.
    pub(crate) fn request(&self) -> OperationRequest {
        self.target.clone()
    }

    pub(crate) fn call(&mut self, request: &OperationRequest) -> Answer {
        let id = self.idm.call(request);
        self.finish(id)
    }

    /// Reads a call to its end.
    pub(crate) fn finish(&mut self, id: i64) -> Answer {
        let mut items = BTreeMap::new();
        loop {
            let frame = self.idm.answer(id);
            if let Some(error) = frame.error() {
                let class = error.exception_class.rsplit('.').next().unwrap_or_default().to_owned();
                let last = Err((class, error.message.clone()));
                return Answer { items: items.into_values().collect(), last };
            }
            let response = frame.answer().expect("an answer or an error").clone();
            match sequence(&response) {
                Some(sequence) => {
                    let before = items.insert(sequence, response);
                    assert!(before.is_none(), "item {sequence} came twice");
                }
                None => return Answer { items: items.into_values().collect(), last: Ok(response) },
            }
        }
    }
}

/// The number of an item of a stream; `None` for the last frame of a call.
fn sequence(response: &OperationResponse) -> Option<i64> {
    let search = response.search.as_ref().filter(|search| search.connector_object.is_some());
    let sync = response.sync.as_ref().and_then(|sync| sync.sync.as_ref());
    let sync = sync.filter(|sync| sync.sync_delta.is_some());
    search.map(|search| search.sequence).or(sync.map(|sync| sync.sequence))
}
