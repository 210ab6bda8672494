//! The configurations that are in use in a group.

use std::collections::VecDeque;
use std::sync::Arc;

use rcs_proto::time::Moment;

use crate::engine::facade::Facade;
use crate::limits;

/// The configurations that are in use in a group: what its members are probed with, the latest first.
#[derive(Debug, Default)]
pub(in crate::engine) struct ProbedFacades {
    used: VecDeque<(Arc<Facade>, Moment)>,
}

impl ProbedFacades {
    pub(in crate::engine) fn note(&mut self, facade: &Arc<Facade>, now: Moment) {
        if let Some((latest, at)) = self.used.front_mut()
            && latest.digest == facade.digest
        {
            *at = now;
            return;
        }
        self.used.retain(|(known, _)| known.digest != facade.digest);
        self.used.truncate(limits::PROBED_FACADES_MAX - 1);
        self.used.push_front((Arc::clone(facade), now));
    }

    pub(in crate::engine) fn in_use(&self, now: Moment) -> impl Iterator<Item = &Arc<Facade>> {
        let live = self.used.iter().filter(move |(_, at)| now.since(*at) <= limits::FACADE_IN_USE);
        live.map(|(facade, _)| facade)
    }
}
