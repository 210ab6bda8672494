//! Which member a connection is, and whether a caller's connection says that it is a member.
//!
//! A connection may name a member in its path, in a header and in a query parameter. All that it names must be one name, and a name that the
//! credential owns (X07). A connection that names no member is the member of the credential's own name, or the only one that the credential
//! owns.

use rcs_core::ids::MemberId;
use rcs_core::view::{Link, NotOpenIcf, View};
use rcs_proto::driver::accept::{Refusal, RefusalStatus, UpgradeRequest};
use rcs_proto::manifest::Shown;

/// A member's name in a request, and where the request has the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) name: String,
    place: String,
}

/// The name in the header and in the query parameter that the settings allow.
///
/// # Errors
/// The two disagree, or a name is no text.
pub(super) fn given(request: &UpgradeRequest, view: &View) -> Result<Option<Given>, Refusal> {
    let router = view.router();
    let headers = router.member_name_header.iter().flat_map(|header| {
        request.said.header(header).map(move |name| (name, format!("the header {header}")))
    });
    let parameters = router.member_name_parameter.iter().flat_map(|parameter| {
        request.said.parameter(parameter).map(move |name| (name, format!("the parameter {parameter}")))
    });
    let mut found = None;
    for (name, place) in headers.chain(parameters) {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => agree(&mut found, Given { name, place })?,
            None => {
                let sentence =
                    format!("{place} is empty or no UTF-8 text: write the name of the server into it");
                return Err(Refusal::new(RefusalStatus::BadRequest, sentence));
            }
        }
    }
    Ok(found)
}

/// Takes in one more name.
///
/// # Errors
/// Another place has another name.
fn agree(found: &mut Option<Given>, more: Given) -> Result<(), Refusal> {
    match found {
        Some(first) if first.name != more.name => Err(Refusal::new(
            RefusalStatus::NotAllowed,
            format!(
                "{} names {}, but {} names {}: name one server",
                first.place,
                quoted(&first.name),
                more.place,
                quoted(&more.name)
            ),
        )),
        Some(_) => Ok(()),
        None => {
            *found = Some(more);
            Ok(())
        }
    }
}

/// The member that a connection with a member's credential is. `own` is the credential's name, and `owns` the members that are its own.
///
/// # Errors
/// The refusal that the peer is told.
pub(super) fn member(
    (own, owns): (&str, &[String]),
    mut found: Option<Given>,
    path: &str,
    view: &View,
) -> Result<MemberId, Refusal> {
    let default = owns.iter().find(|name| *name == own).or(owns.first().filter(|_| owns.len() == 1));
    match view.name_in_path(path) {
        Err(NotOpenIcf) => {
            let name = default.map_or("NAME", String::as_str);
            let sentence = format!("no OpenICF endpoint here: use /openicf or /openicf/{name}");
            return Err(Refusal::new(RefusalStatus::NotFound, sentence));
        }
        Ok(Some(name)) => {
            let place = "the path".to_owned();
            let in_path = Given { name: name.to_owned(), place };
            let before = found.take();
            found = Some(in_path);
            before.map_or(Ok(()), |before| agree(&mut found, before))?;
        }
        Ok(None) => {}
    }
    let name = match (&found, default) {
        (Some(given), _) if owns.contains(&given.name) => &given.name,
        (Some(given), _) => return Err(not_owned(own, owns, given)),
        (None, Some(name)) => name,
        (None, None) => {
            let sentence = format!(
                "the credentials of {} are those of several servers ({}): name one, such as by the path /openicf/{}",
                quoted(own),
                listed(owns),
                owns.first().map_or("NAME", String::as_str)
            );
            return Err(Refusal::new(RefusalStatus::NotAllowed, sentence));
        }
    };
    match in_client_mode(name, view) {
        Some(member) => Ok(member),
        None => Err(Refusal::new(
            RefusalStatus::NotFound,
            format!(
                "no member in client mode is named {}: add it to remoteConnectorClients of the provider file",
                quoted(name)
            ),
        )),
    }
}

fn not_owned(own: &str, owns: &[String], given: &Given) -> Refusal {
    let (asked, place) = (quoted(&given.name), &given.place);
    let sentence = match owns {
        [one] => format!(
            "the credentials are those of {}, but {place} names {asked}: use /openicf/{}, or the credentials of {asked}",
            quoted(one),
            Shown::new(one)
        ),
        _ => format!(
            "the credentials of {} are those of the servers {}, but {place} names {asked}: add {asked} to members of the entry, or use the \
             credentials of {asked}",
            quoted(own),
            listed(owns)
        ),
    };
    Refusal::new(RefusalStatus::NotAllowed, sentence)
}

/// Refuses a connection with a caller's credential that says it is a server in client mode. Such a server would stay connected, and get no
/// call. `principal` is what the credential proves, and `by` how.
///
/// # Errors
/// The refusal that the peer is told.
pub(super) fn not_a_member(
    principal: &str,
    by: CallersProof,
    found: Option<&Given>,
    (own, path): (Option<&str>, &str),
    view: &View,
) -> Result<(), Refusal> {
    if let Some(Given { name, place }) = found {
        let sentence = format!(
            "{place} names the server {}, but the credentials of {} are a caller's: give the server an entry [member.NAME] in the file of \
             credentials",
            quoted(name),
            quoted(principal)
        );
        return Err(Refusal::new(RefusalStatus::NotAllowed, sentence));
    }
    // An address of a group, and a path with the name of another group, come from an IDM: such a name may be a server's by chance.
    let may_be_server = match view.name_in_path(path) {
        Ok(Some(name)) => name == principal,
        Ok(None) => true,
        Err(NotOpenIcf) => false,
    };
    if own.is_some() || !may_be_server || in_client_mode(principal, view).is_none() {
        return Ok(());
    }
    let name = quoted(principal);
    let sentence = match by {
        CallersProof::SharedKey => format!(
            "{name} is a server in client mode, and the shared key is for callers: give the server an entry [member.NAME] with a key of its own. An \
             IDM names the server in the path, and has another user name"
        ),
        CallersProof::OwnCredential => format!(
            "{name} is a server in client mode, but its credentials are a caller's: write [member.NAME] instead of [caller.NAME] in the file of \
             credentials, or give the caller another name"
        ),
    };
    Err(Refusal::new(RefusalStatus::NotAllowed, sentence))
}

/// What proved a caller's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallersProof {
    /// The key that all callers share.
    SharedKey,
    /// A credential of the name's own.
    OwnCredential,
}

/// The member in client mode of this name.
pub(super) fn in_client_mode(name: &str, view: &View) -> Option<MemberId> {
    view.member_named(name).filter(|member| member.spec.link == Link::Accept).map(|member| member.id)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", Shown::new(name))
}

fn listed(names: &[String]) -> String {
    let some: Vec<String> = names.iter().take(3).map(|name| quoted(name)).collect();
    match names.len().saturating_sub(some.len()) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}
