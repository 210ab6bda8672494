//! The cluster's API tokens, as this router knew them last. The API judges every request by them, also while the consensus part is being
//! started again, and never waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcs_core::agreed::credentials::{Credentials, Role};
#[cfg(test)]
use rcs_core::agreed::{
    Action, At, Author, ClusterState, Command, RequestId,
    credentials::{ApiToken, Salted},
};

/// The tokens. Each clone sees what is granted and revoked.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiTokens(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The revision of the state that the credentials are of.
    revision: u64,
    credentials: Arc<Credentials>,
}

impl ApiTokens {
    /// The name and role of the token with this secret, if it is valid now.
    pub(crate) fn find(&self, secret: &str) -> Option<(String, Role)> {
        // Hashing takes a moment, in which the log goes on.
        let credentials = Arc::clone(&self.lock().credentials);
        credentials.api(secret).map(|(name, role)| (name.to_owned(), role))
    }

    /// Whether there is no token at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().credentials.api_tokens().next().is_none()
    }

    /// The credentials of the state at a revision. An earlier state than the known one is left out: while a consensus part that was
    /// started again reads its log, a revoked token must not come back.
    pub(super) fn publish(&self, revision: u64, credentials: &Credentials) {
        let mut known = self.lock();
        if revision >= known.revision {
            *known = Known { revision, credentials: Arc::new(credentials.clone()) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl ApiTokens {
    /// Tokens with these names, roles and secrets.
    pub(crate) fn of(given: &[(&str, Role, &str)]) -> Self {
        let mut state = ClusterState::default();
        for (number, (name, role, secret)) in (1..).zip(given) {
            let token = ApiToken { role: *role, hash: Salted::new(number, secret) };
            let command = Command {
                request: RequestId(number),
                expected_revision: None,
                author: Author::Operator,
                who: String::new(),
                from: String::new(),
                at: At(0),
                action: Action::GrantApi { name: (*name).to_owned(), token },
            };
            state.apply(0, &command);
        }
        let tokens = Self::default();
        tokens.publish(state.revision(), state.credentials());
        tokens
    }
}
