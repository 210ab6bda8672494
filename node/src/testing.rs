//! A connector for this crate's own tests: objects `u1` ... `uN`, a fault on demand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::icf::{
    ApiConfiguration, Attribute, ClassName, ConfigurationProperty, ConnectorInfo, ConnectorKey,
    ConnectorObject, Filter, NAME, ObjectClass, OperationOptions, SearchResult, SyncDelta, SyncDeltaType,
    UID, Uid, Value,
};
use rcs_proto::legacy::facade_key;
use rcs_proto::messages::{self as m, OperationRequest};

use crate::connector::{
    Connector, ConnectorFactory, DeltaHandler, Flow, ObjectHandler, Registry, UpdateKind,
};
use crate::error::{ErrorClass, IcfError};

/// Counts what was opened and handed over.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) opened: AtomicUsize,
    pub(crate) handed: Arc<AtomicUsize>,
    stuck: Arc<Stuck>,
}

/// Calls of configurations with fewer than 0 objects are stuck until they are released.
#[derive(Default)]
struct Stuck {
    calls: Mutex<(usize, bool)>,
    released: Condvar,
}

impl Stuck {
    fn wait(&self) {
        let mut calls = self.calls.lock().unwrap();
        calls.0 += 1;
        while !calls.1 {
            calls = self.released.wait(calls).unwrap();
        }
    }
}

impl Fake {
    /// Releases all calls that are stuck, and all later ones.
    pub(crate) fn release(&self) {
        self.stuck.calls.lock().unwrap().1 = true;
        self.stuck.released.notify_all();
    }

    /// Waits until this many calls are stuck.
    pub(crate) async fn wait_for_stuck(&self, calls: usize) {
        while self.stuck.calls.lock().unwrap().0 < calls {
            tokio::task::yield_now().await;
        }
    }
}

/// A failing test must not wait for threads that are stuck.
impl Drop for Fake {
    fn drop(&mut self) {
        self.release();
    }
}

pub(crate) fn key() -> ConnectorKey {
    let [bundle_name, bundle_version, connector_name] = ["b", "1.0.0.0", "fake"].map(str::to_owned);
    ConnectorKey { bundle_name, bundle_version, connector_name }
}

pub(crate) fn registry(fake: &Arc<Fake>) -> Registry {
    Registry::empty().with(fake.clone())
}

/// A configuration with `objects` objects.
pub(crate) fn configuration(objects: i32, timeouts_ms: &[(&str, i32)]) -> ApiConfiguration {
    let property = ConfigurationProperty {
        order: 1,
        confidential: false,
        required: true,
        name: "objects".to_owned(),
        help_key: None,
        display_key: None,
        group_key: None,
        class: ClassName::plain("int"),
        value: Value::Integer(objects),
        operations: Vec::new(),
    };
    ApiConfiguration {
        producer_buffer_size: 100,
        pooling_supported: false,
        pool: None,
        results_handlers: None,
        properties: vec![property],
        timeouts_ms: timeouts_ms.iter().map(|(name, limit)| (ClassName::plain(name), *limit)).collect(),
        supported_operations: Vec::new(),
    }
}

/// A request without an operation.
pub(crate) fn request(configuration: &ApiConfiguration) -> OperationRequest {
    let key = key();
    OperationRequest {
        connector_key: Some(m::ConnectorKey {
            bundle_name: key.bundle_name,
            bundle_version: key.bundle_version,
            connector_name: key.connector_name,
        }),
        connector_facade_key: facade_key::encode(configuration),
        ..Default::default()
    }
}

pub(crate) fn search(configuration: &ApiConfiguration) -> OperationRequest {
    let search = m::SearchOpRequest { object_class: ObjectClass::ACCOUNT.to_owned(), ..Default::default() };
    OperationRequest { search: Some(search), ..request(configuration) }
}

pub(crate) fn sync(configuration: &ApiConfiguration, token: Bytes) -> OperationRequest {
    let sync = m::sync_op_request::Sync {
        object_class: ObjectClass::ACCOUNT.to_owned(),
        token: Some(m::SyncToken { value: token }),
        options: Bytes::new(),
    };
    let sync = m::SyncOpRequest { sync: Some(sync), latest_sync_token: None };
    OperationRequest { sync: Some(sync), ..request(configuration) }
}

pub(crate) fn object(number: i32) -> ConnectorObject {
    let uid = format!("u{number}");
    ConnectorObject {
        object_class: ObjectClass(ObjectClass::ACCOUNT.to_owned()),
        attributes: vec![Attribute::text(UID, &uid), Attribute::text(NAME, &uid)],
    }
}

impl ConnectorFactory for Fake {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo {
            display_name_key: None,
            category_key: None,
            key: key(),
            messages: None,
            configuration: Some(configuration(0, &[])),
        }
    }

    fn open(&self, configuration: &ApiConfiguration) -> Result<Arc<dyn Connector>, IcfError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        match configuration.property("objects").map(|property| &property.value) {
            Some(Value::Integer(objects)) => Ok(Arc::new(FakeConnector {
                objects: *objects,
                handed: self.handed.clone(),
                stuck: self.stuck.clone(),
            })),
            _ => Err(IcfError::new(ErrorClass::Configuration, "objects is no int")),
        }
    }
}

struct FakeConnector {
    objects: i32,
    handed: Arc<AtomicUsize>,
    stuck: Arc<Stuck>,
}

impl FakeConnector {
    fn reach(&self) {
        if self.objects < 0 {
            self.stuck.wait();
        }
    }
}

impl Connector for FakeConnector {
    fn validate(&self) -> Result<(), IcfError> {
        Ok(())
    }

    /// Takes 300 ms with 5 objects, panics with 13.
    fn test(&self) -> Result<(), IcfError> {
        self.reach();
        match self.objects {
            5 => std::thread::sleep(Duration::from_millis(300)),
            13 => panic!("unlucky"),
            _ => {}
        }
        Ok(())
    }

    fn search(
        &self,
        _: &ObjectClass,
        filter: Option<&Filter>,
        _: &OperationOptions,
        handler: &mut ObjectHandler<'_>,
    ) -> Result<Option<SearchResult>, IcfError> {
        self.reach();
        let wanted = match filter {
            Some(Filter::Equals(attribute)) => attribute.first().and_then(Value::as_str).map(str::to_owned),
            _ => None,
        };
        for number in 1..=self.objects {
            if wanted.as_ref().is_some_and(|uid| *uid != format!("u{number}")) {
                continue;
            }
            self.handed.fetch_add(1, Ordering::SeqCst);
            if handler(object(number)) == Flow::Stop {
                return Ok(None);
            }
        }
        Ok(Some(SearchResult {
            paged_results_cookie: None,
            total_paged_results: -1,
            remaining_paged_results: -1,
        }))
    }

    fn sync(
        &self,
        class: &ObjectClass,
        token: &Value,
        _: &OperationOptions,
        handler: &mut DeltaHandler<'_>,
    ) -> Result<Option<Value>, IcfError> {
        let Value::Long(from) = token else {
            return Err(IcfError::new(ErrorClass::IllegalArgument, "no token of mine"));
        };
        for number in (1..=self.objects).filter(|number| i64::from(*number) > *from) {
            let delta = SyncDelta {
                token: Value::Long(i64::from(number)),
                delta_type: SyncDeltaType::Delete,
                previous_uid: None,
                object_class: class.clone(),
                uid: Uid::new(format!("u{number}")),
                object: None,
            };
            if handler(delta) == Flow::Stop {
                return Ok(None);
            }
        }
        Ok(Some(Value::Long(i64::from(self.objects))))
    }

    fn latest_sync_token(&self, _: &ObjectClass) -> Result<Option<Value>, IcfError> {
        Ok(Some(Value::Long(i64::from(self.objects))).filter(|_| self.objects > 0))
    }

    fn create(
        &self,
        _: &ObjectClass,
        attributes: &[Attribute],
        _: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        self.reach();
        match attributes.iter().find(|attribute| attribute.is(NAME)).and_then(Attribute::first) {
            Some(Value::String(name)) if name == "u1" => {
                Err(IcfError::new(ErrorClass::AlreadyExists, "it is there"))
            }
            Some(Value::String(name)) => Ok(Uid { value: name.clone(), revision: Some("7".to_owned()) }),
            _ => Err(IcfError::new(ErrorClass::InvalidAttributeValue, "no name")),
        }
    }

    fn update(
        &self,
        _: UpdateKind,
        _: &ObjectClass,
        uid: &Uid,
        _: &[Attribute],
        _: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        Ok(uid.clone())
    }
}
