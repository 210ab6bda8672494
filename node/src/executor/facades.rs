//! One opened connector for each configuration that callers use (WIRE 1.3, 6).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::icf::{ApiConfiguration, ConnectorKey};
use rcs_proto::legacy::facade_key;
use rcs_proto::time::Moment;

use super::failure::Failure;
use crate::connector::{Connector, ConnectorFactory};
use crate::error::ErrorClass;
use crate::limits::{FACADE_IDLE, FACADE_KEY_BYTES, FACADES_MAX};

/// Filed by connector and the *text* of the facade key: two texts of one configuration are two entries, as in Java.
#[derive(Default)]
pub(super) struct Facades {
    open: HashMap<(ConnectorKey, Bytes), Facade>,
    opened: u64,
}

/// A facade as a call holds it. The call keeps the connector alive after the facade is dropped.
#[derive(Clone)]
pub(super) struct FacadeHandle {
    pub(super) connector: Arc<dyn Connector>,
    pub(super) connector_name: Arc<str>,
    pub(super) configuration: u64,
}

pub(super) struct Facade {
    handle: FacadeHandle,
    /// Operation (`CreateApiOp` ...) and its limit; operations without one are left out.
    timeouts: Vec<(String, Duration)>,
    last_used: Moment,
}

impl Facades {
    /// The connector with that configuration, opened if need be.
    pub(super) fn open(
        &mut self,
        key: ConnectorKey,
        text: &Bytes,
        factory: &dyn ConnectorFactory,
        now: Moment,
    ) -> Result<&Facade, Failure> {
        let slot = (key, text.clone());
        if !self.open.contains_key(&slot) {
            self.opened += 1;
            let facade = Facade::new(text, factory, self.opened, &slot.0, now)?;
            self.make_room();
            // Copied, because a slice would keep the whole frame in memory.
            self.open.insert((slot.0.clone(), Bytes::copy_from_slice(text)), facade);
        }
        let facade = self.open.get_mut(&slot).expect("it was there, or has been put there");
        facade.last_used = now;
        Ok(facade)
    }

    pub(super) fn drop_idle(&mut self, now: Moment) {
        self.open.retain(|_, facade| facade.is_at_work() || now.since(facade.last_used) < FACADE_IDLE);
    }

    /// A full cache gives up the entry that was used longest ago, and entries at work last. If a configuration were dropped and opened
    /// again while its calls hang, the configuration would get a second share of the threads.
    fn make_room(&mut self) {
        if self.open.len() < FACADES_MAX {
            return;
        }
        let oldest = self
            .open
            .iter()
            .min_by_key(|(_, facade)| (facade.is_at_work(), facade.last_used))
            .map(|(slot, _)| slot.clone());
        if let Some(slot) = oldest {
            self.open.remove(&slot);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Facade {
    fn new(
        text: &[u8],
        factory: &dyn ConnectorFactory,
        configuration: u64,
        key: &ConnectorKey,
        now: Moment,
    ) -> Result<Self, Failure> {
        if text.len() > FACADE_KEY_BYTES {
            let message = format!("the connector's configuration is longer than {FACADE_KEY_BYTES} bytes");
            return Err(Failure::new(ErrorClass::Configuration, message));
        }
        let settings = facade_key::decode(text).map_err(Failure::facade_key)?;
        let connector = factory.open(&settings)?;
        let handle =
            FacadeHandle { connector, connector_name: key.connector_name.as_str().into(), configuration };
        Ok(Self { handle, timeouts: timeouts(&settings), last_used: now })
    }

    pub(super) fn handle(&self) -> FacadeHandle {
        self.handle.clone()
    }

    /// Whether a call holds the connector.
    fn is_at_work(&self) -> bool {
        Arc::strong_count(&self.handle.connector) > 1
    }

    pub(super) fn time_limit(&self, operation: &str) -> Option<Duration> {
        self.timeouts.iter().find(|(name, _)| name == operation).map(|(_, limit)| *limit)
    }
}

fn timeouts(configuration: &ApiConfiguration) -> Vec<(String, Duration)> {
    let limited = configuration.timeouts_ms.iter().filter_map(|(operation, limit)| {
        let limit = u64::try_from(*limit).ok().filter(|limit| *limit > 0)?;
        Some((operation.name.clone(), Duration::from_millis(limit)))
    });
    limited.collect()
}
