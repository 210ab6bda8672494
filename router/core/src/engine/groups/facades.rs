//! The configurations that are in use in a group.

use std::collections::VecDeque;
use std::sync::Arc;

use rcs_proto::time::Moment;

use crate::engine::facade::{ConfigurationDigest, Facade};
use crate::limits;

/// The configurations that are in use in a group, the latest first: members are tested with these. A member is tested only with a
/// configuration that a member has answered a call with. A configuration that ends or hangs the first member must not be sent to all
/// others.
#[derive(Debug, Default)]
pub(in crate::engine) struct ProbedFacades {
    used: VecDeque<(Arc<Facade>, Moment)>,
    /// Configurations with which a call was answered, the latest first.
    answered: VecDeque<ConfigurationDigest>,
}

impl ProbedFacades {
    pub(in crate::engine) fn note(&mut self, facade: &Arc<Facade>, now: Moment) {
        let digest = facade.configuration;
        if let Some((latest, at)) = self.used.front_mut()
            && latest.configuration == digest
        {
            *at = now;
            return;
        }
        self.used.retain(|(known, _)| known.configuration != digest);
        self.used.truncate(limits::PROBED_FACADES_MAX - 1);
        self.used.push_front((Arc::clone(facade), now));
    }

    /// A member answered a call with this configuration.
    pub(in crate::engine) fn was_answered(&mut self, configuration: ConfigurationDigest) {
        match self.answered.iter().position(|known| *known == configuration) {
            Some(0) => return,
            Some(at) => drop(self.answered.remove(at)),
            None => self.answered.truncate(limits::ANSWERED_CONFIGURATIONS_MAX - 1),
        }
        self.answered.push_front(configuration);
    }

    /// Whether a member has answered a call with this configuration, as far as is remembered.
    pub(in crate::engine) fn has_answered(&self, configuration: ConfigurationDigest) -> bool {
        self.answered.contains(&configuration)
    }

    pub(in crate::engine) fn in_use(&self, now: Moment) -> impl Iterator<Item = &Arc<Facade>> {
        let live = self.used.iter().filter(move |(_, at)| now.since(*at) <= limits::FACADE_IN_USE);
        live.map(|(facade, _)| facade).filter(|facade| self.has_answered(facade.configuration))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rcs_proto::envelope::OperationHead;
    use rcs_proto::operation::Operation;

    use super::*;
    use crate::engine::tests::parts::at;

    fn facade(number: u32) -> Arc<Facade> {
        Arc::new(Facade::new(&OperationHead {
            operation: Operation::Get,
            connector_key: Bytes::from_static(b"connector"),
            facade_key: number.to_be_bytes().to_vec().into(),
            body: Bytes::new(),
        }))
    }

    #[test]
    fn a_configuration_is_probed_once_a_call_with_it_was_answered_and_the_memory_is_bounded() {
        let mut facades = ProbedFacades::default();
        let (good, bad) = (facade(1), facade(2));
        facades.note(&good, at(0));
        facades.note(&bad, at(0));
        facades.was_answered(good.configuration);
        let probed: Vec<_> = facades.in_use(at(1)).map(|facade| facade.configuration).collect();
        assert_eq!(probed, [good.configuration]);
        for number in 3..3 + 2 * limits::ANSWERED_CONFIGURATIONS_MAX as u32 {
            facades.was_answered(facade(number).configuration);
            facades.was_answered(good.configuration);
        }
        assert_eq!(facades.answered.len(), limits::ANSWERED_CONFIGURATIONS_MAX);
        assert!(facades.has_answered(good.configuration) && !facades.has_answered(bad.configuration));
    }
}
