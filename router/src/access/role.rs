//! What a connection is: a caller, or which member. Its credential says so, and never its direction or path.

use std::sync::Arc;

use rcs_core::engine::Allowed;
use rcs_core::ids::MemberId;
use rcs_core::view::View;
use rcs_proto::driver::accept::{Refusal, UpgradeRequest};

use super::naming::{self, CallersProof};
use super::{Access, Mode};

/// What a connection is. The credential alone decides this, never the direction or the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It sends calls.
    Caller {
        /// The principal that it proved.
        principal: Arc<str>,
        /// The groups that the caller may use.
        allowed: Allowed,
    },
    /// It is a member in client mode, and gets calls.
    Member(MemberId),
}

/// What a credential proves, whatever the view says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proved {
    /// The principal of a caller, by its own key.
    Caller {
        /// The principal.
        principal: Arc<str>,
        /// The groups that the caller may use.
        allowed: Allowed,
    },
    /// The key that all callers share. Everybody who has the key may say any principal.
    Shared(Arc<str>),
    /// The name of a credential of members in client mode.
    Member {
        /// The name.
        name: Arc<str>,
        /// The members that are the credential's own. It has one of them at least.
        owns: Arc<[String]>,
    },
}

impl Proved {
    /// The name that the credential proves.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Caller { principal, .. } | Self::Shared(principal) => principal,
            Self::Member { name, .. } => name,
        }
    }
}

impl Access {
    /// What a connection is, whose credential proves this. `own` is the group of the address that was dialled, if the address belongs to a
    /// group.
    ///
    /// # Errors
    /// The refusal that the peer is told.
    pub(crate) fn role(
        &self,
        proved: Proved,
        request: &UpgradeRequest,
        own: Option<&str>,
        view: &View,
    ) -> Result<Role, Refusal> {
        let given = naming::given(request, view)?;
        let path = &*request.path;
        let not_a_member = |principal: &str, by: CallersProof| {
            naming::not_a_member(principal, by, given.as_ref(), (own, path), view)
        };
        match proved {
            Proved::Caller { principal, allowed } => {
                not_a_member(&principal, CallersProof::OwnCredential)?;
                Ok(Role::Caller { principal, allowed })
            }
            // In development the key is one for all, and a name of a member in client mode makes the connection that member (the contract
            // of `--dev`).
            Proved::Shared(principal) if self.mode == Mode::Development => {
                let said = given.as_ref().map_or(&*principal, |given| &*given.name);
                let is_member = |name: &str| naming::in_client_mode(name, view).is_some();
                let name = if is_member(&principal) { &*principal } else { said };
                match is_member(name) {
                    true => {
                        let owns = [name.to_owned()];
                        naming::member((&owns[0], &owns), given.clone(), path, view).map(Role::Member)
                    }
                    false => {
                        not_a_member(&principal, CallersProof::SharedKey)?;
                        Ok(Role::Caller { principal, allowed: Allowed::All })
                    }
                }
            }
            Proved::Shared(principal) => {
                not_a_member(&principal, CallersProof::SharedKey)?;
                Ok(Role::Caller { principal, allowed: Allowed::All })
            }
            Proved::Member { name, owns } => {
                naming::member((&name, &owns), given, path, view).map(Role::Member)
            }
        }
    }
}
