//! Which group the calls of a connection are for. The address decides if it belongs to a group, else the path, else the principal, else
//! the connector key of each call.

use super::allowed::Allowed;
use crate::ids::{GroupId, MemberId, NameBook};
use crate::view::{Group, PathTarget, View};

/// What a connection chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// All calls of the connection are for one group.
    Group(GroupId),
    /// The connector key of each call decides.
    ByConnectorKey,
    /// Another router forwards calls, which are all for this member's own session here (`via`).
    Via(MemberId),
}

impl Selector {
    /// The group, if the connection chose one.
    pub(super) fn group(self) -> Option<GroupId> {
        match self {
            Self::Group(group) => Some(group),
            Self::ByConnectorKey | Self::Via(_) => None,
        }
    }

    /// The member that another router forwards calls to, if the connection is another router's.
    pub(super) fn forwards_to(self) -> Option<MemberId> {
        match self {
            Self::Via(member) => Some(member),
            Self::Group(_) | Self::ByConnectorKey => None,
        }
    }

    /// The name of the group, if the connection chose one.
    pub(super) fn group_name(self, book: &NameBook) -> Option<&str> {
        match self {
            Self::Group(group) => Some(book.group_name(group)),
            Self::ByConnectorKey | Self::Via(_) => None,
        }
    }
}

/// Why an upgrade request gets no session, with the HTTP status of the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404
    #[error("no OpenICF endpoint here: use /openicf/GROUP, or /openicf where the connector decides")]
    NoEndpoint,
    /// 404
    #[error("there is no group or server named {0:?} here: check the last part of the path")]
    NoGroup(String),
    /// 404
    #[error(
        "this address belongs to {0:?}, which is no group or server of the provider file now: check the name that the address was given"
    )]
    NoGroupOfAddress(String),
    /// 403
    #[error(
        "this credential is not for the group or server {0:?}: use a group of the credential, or add {0:?} to the groups of the credential"
    )]
    NotAllowed(String),
    /// 404
    #[error(
        "this address belongs to the group {own:?}, but the path asks for {asked:?}: use /openicf here, or the address of {asked:?}"
    )]
    OtherAddress {
        /// The group of the address.
        own: String,
        /// The group that the path names.
        asked: String,
    },
}

impl Refusal {
    /// The HTTP status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotAllowed(_) => 403,
            Self::NoEndpoint | Self::NoGroup(_) | Self::NoGroupOfAddress(_) | Self::OtherAddress { .. } => {
                404
            }
        }
    }
}

/// Chooses the way in by the address that was dialled, the path of the upgrade request (its escapes resolved), and the principal of its
/// credentials. A caller may choose the groups of `allowed` only. `own` is the group to which the address belongs; `None` for an address for all groups. A group is the same way in by its
/// address and by its path.
///
/// # Errors
/// [`Refusal`]
pub fn select(
    view: &View,
    own: Option<&str>,
    path: &str,
    principal: &str,
    allowed: &Allowed,
) -> Result<Selector, Refusal> {
    let may_use = |group: &&Group| allowed.has(&group.name);
    let target = view.path_target(path);
    let selector = match own {
        Some(own) => of_address(view, own, target)?,
        None => chosen(target, view.group_by_principal(principal).filter(may_use))?,
    };
    match selector.group().and_then(|group| view.group(group)) {
        Some(group) if !may_use(&group) => Err(Refusal::NotAllowed(group.name.clone())),
        _ => Ok(selector),
    }
}

/// The choice of the path, or else of the principal.
fn chosen(target: PathTarget, by_principal: Option<&Group>) -> Result<Selector, Refusal> {
    match target {
        PathTarget::Group(group) => Ok(Selector::Group(group)),
        PathTarget::AnyGroup => Ok(match by_principal {
            Some(group) => Selector::Group(group.id),
            None => Selector::ByConnectorKey,
        }),
        PathTarget::UnknownGroup(name) => Err(Refusal::NoGroup(name)),
        PathTarget::NotOpenIcf => Err(Refusal::NoEndpoint),
    }
}

/// The published OpenIDM 6.3.0 sends one principal and the bare path, whatever its configuration says. So neither may change the choice of
/// the address.
fn of_address(view: &View, own: &str, target: PathTarget) -> Result<Selector, Refusal> {
    let Some(group) = view.group_named(own) else { return Err(Refusal::NoGroupOfAddress(own.to_owned())) };
    match target {
        PathTarget::AnyGroup => Ok(Selector::Group(group.id)),
        PathTarget::Group(asked) if asked == group.id => Ok(Selector::Group(group.id)),
        PathTarget::Group(asked) => {
            let asked = view.group(asked).map_or_else(String::new, |group| group.name.clone());
            Err(Refusal::OtherAddress { own: own.to_owned(), asked })
        }
        PathTarget::UnknownGroup(name) => Err(Refusal::NoGroup(name)),
        PathTarget::NotOpenIcf => Err(Refusal::NoEndpoint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NameBook;
    use crate::view::{AdminState, GroupSpec, Link, MemberSpec};

    fn view() -> View {
        let member = |name: &str| MemberSpec {
            name: name.to_owned(),
            link: Link::Accept,
            sockets: 1,
            ping_interval: None,
            admin: AdminState::Enabled,
        };
        let group = GroupSpec {
            name: "hr".to_owned(),
            policy: crate::balance::Policy::Failover,
            members: vec!["n1".to_owned()],
        };
        View::build(&mut NameBook::default(), vec![member("n1"), member("n2")], vec![group]).unwrap()
    }

    #[test]
    fn an_address_of_a_group_decides_whatever_the_principal_and_refuses_another_group() {
        let view = view();
        let group = |name: &str| view.group_named(name).unwrap().id;
        let (hr, n2) = (group("hr"), group("n2"));
        for (own, target, principal, expected) in [
            (Some("hr"), "/openicf", "anonymous", Ok(Selector::Group(hr))),
            (Some("hr"), "/openicf", "n2", Ok(Selector::Group(hr))),
            (Some("hr"), "/openicf/hr", "anonymous", Ok(Selector::Group(hr))),
            (Some("n2"), "/openicf/", "anonymous", Ok(Selector::Group(n2))),
            (
                Some("hr"),
                "/openicf/n2",
                "anonymous",
                Err(Refusal::OtherAddress { own: "hr".to_owned(), asked: "n2".to_owned() }),
            ),
            (Some("hr"), "/openicf/x", "anonymous", Err(Refusal::NoGroup("x".to_owned()))),
            (Some("hr"), "/", "anonymous", Err(Refusal::NoEndpoint)),
            (Some("x"), "/openicf", "anonymous", Err(Refusal::NoGroupOfAddress("x".to_owned()))),
            (None, "/openicf", "anonymous", Ok(Selector::ByConnectorKey)),
            (None, "/openicf", "n2", Ok(Selector::Group(n2))),
            (None, "/openicf/hr", "n2", Ok(Selector::Group(hr))),
        ] {
            let found = select(&view, own, target, principal, &Allowed::All);
            assert_eq!(found, expected, "{own:?} {target} {principal}");
        }
    }

    /// A caller with a credential of its own gets no other group, whichever way it comes in.
    #[test]
    fn a_caller_may_choose_its_own_groups_only() {
        let view = view();
        let n2 = view.group_named("n2").unwrap().id;
        let allowed = Allowed::only(["n2", "later"]);
        let not = |name: &str| Err(Refusal::NotAllowed(name.to_owned()));
        for (own, target, principal, expected) in [
            (None, "/openicf/n2", "idm", Ok(Selector::Group(n2))),
            (None, "/openicf/hr", "idm", not("hr")),
            (Some("n2"), "/openicf", "idm", Ok(Selector::Group(n2))),
            (Some("hr"), "/openicf", "idm", not("hr")),
            (None, "/openicf", "idm", Ok(Selector::ByConnectorKey)),
            (None, "/openicf", "n2", Ok(Selector::Group(n2))),
            (None, "/openicf", "hr", Ok(Selector::ByConnectorKey)),
            (None, "/openicf/later", "idm", Err(Refusal::NoGroup("later".to_owned()))),
        ] {
            let found = select(&view, own, target, principal, &allowed);
            assert_eq!(found, expected, "{own:?} {target} {principal}");
        }
        assert_eq!(Refusal::NotAllowed("hr".to_owned()).status(), 403);
    }
}
