//! The calls of a drill: how each is asked, and whether its answer is right.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use rcs_cli::{Exit, Failure};
use rcs_proto::driver::endpoint::{Caller, RemoteError};
use rcs_proto::icf::{
    Attribute, ClassName, ConnectorInfo, ConnectorObject, NAME, ObjectClass, OperationOptions, Secret, UID,
    Value,
};
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::*;

use super::connector::{MARK, POISON};
use super::site::{LOGIN_PASSWORD, Site};
use super::tally::{Ask, Told};
use crate::configuration::{base_request, choose, configure};

/// How long a call may take, as its configuration says.
const CALL_DEADLINE: Duration = Duration::from_secs(20);
/// How long a search may take.
const SEARCH_DEADLINE: Duration = Duration::from_secs(30);
/// How the router's errors begin that say that nobody knows what happened (router/core/src/verdict/error.rs).
const UNKNOWN: &str = "Outcome unknown";
/// What its errors say of a search of which objects were delivered.
const CUT_SHORT: &str = "was cut short";
/// The classes of its errors for a stream that broke off.
const CUT: [&str; 2] = ["RetryableException", "ConnectionBrokenException"];

/// The version of the drill's connector that a caller chooses, as an IDM does, from the list that the caller is shown when it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The list has one version only.
    Only,
    /// This version: the caller's reference names it exactly.
    Exact(&'static str),
    /// The highest version: the caller's reference is a range that holds all versions.
    Newest,
}

impl Version {
    /// Keeps only the connectors of this version in the list.
    fn keep_in(self, infos: &mut Vec<ConnectorInfo>) {
        match self {
            Self::Only => {}
            Self::Exact(version) => infos.retain(|info| info.key.bundle_version == version),
            // The versions of a drill differ in their last digit.
            Self::Newest => {
                let newest: HashMap<String, String> =
                    infos.iter().fold(HashMap::new(), |mut newest, info| {
                        let highest = newest.entry(info.key.connector_name.clone()).or_default();
                        if info.key.bundle_version > *highest {
                            highest.clone_from(&info.key.bundle_version);
                        }
                        newest
                    });
                infos.retain(|info| newest.get(&info.key.connector_name) == Some(&info.key.bundle_version));
            }
        }
    }
}

/// Recipes for calls.
#[derive(Debug)]
pub(crate) struct Calls {
    /// Connector and configuration of reads.
    reads: OperationRequest,
    /// Of changes.
    changes: OperationRequest,
    /// Calls that end every member that meets them are made of this request.
    poison: OperationRequest,
    /// Objects of a search: `u1` ... `uN`.
    rows: u64,
    /// Who can log in; `None` for anybody.
    login: Option<String>,
}

impl Calls {
    /// Like `prepare`, for a caller that chooses this version of the drill's connector.
    pub(crate) async fn prepare_version<R>(
        caller: &Caller,
        site: &Site<R>,
        version: Version,
    ) -> Result<Self, Failure> {
        Self::prepare_with(caller, site, Some(SEARCH_DEADLINE), version).await
    }

    /// Asks for the connectors and configures the drill's. Searches have as long as the other calls of a drill.
    pub(crate) async fn prepare(caller: &Caller, site: &Site) -> Result<Self, Failure> {
        Self::prepare_with(caller, site, Some(SEARCH_DEADLINE), Version::Only).await
    }

    /// The same, where a search goes on for as long as objects come.
    pub(crate) async fn prepare_patient(caller: &Caller, site: &Site) -> Result<Self, Failure> {
        Self::prepare_with(caller, site, None, Version::Only).await
    }

    async fn prepare_with<R>(
        caller: &Caller,
        site: &Site<R>,
        search: Option<Duration>,
        version: Version,
    ) -> Result<Self, Failure> {
        let unavailable =
            |why: String| Exit::Unavailable.with(format!("no connectors from the router: {why}"));
        let infos = tokio::time::timeout(CALL_DEADLINE, caller.connector_infos())
            .await
            .map_err(|_| unavailable("no answer".to_owned()))?
            .map_err(|error| unavailable(error.to_string()))?;
        let mut infos =
            Vec::<ConnectorInfo>::decode(&infos).map_err(|error| unavailable(error.to_string()))?;
        version.keep_in(&mut infos);
        let nodes = site.kind().are_nodes();
        let info = choose(&infos, Some(if nodes { "drill.Connector" } else { "rig.RigConnector" }))?;
        Ok(Self {
            reads: base(info, &site.read_properties(), search)?,
            changes: base(info, &site.change_properties(), search)?,
            poison: base(info, &site.poison_properties(), search)?,
            rows: site.plan().rows,
            login: (!nodes).then(|| "u1".to_owned()),
        })
    }

    /// When a call must have ended.
    pub(crate) fn deadline(ask: Ask) -> Duration {
        if ask == Ask::Search { SEARCH_DEADLINE } else { CALL_DEADLINE }
    }

    /// Whether the members write such calls down under their token.
    pub(crate) fn is_journaled(&self, ask: Ask) -> bool {
        match ask {
            Ask::Get | Ask::Search => false,
            Ask::Create | Ask::Update => true,
            Ask::Login => self.login.is_none(),
        }
    }

    /// Sends one call and judges its whole answer. `token` tells it from all others.
    pub(crate) async fn run(&self, caller: &Caller, ask: Ask, token: &str) -> Told {
        if ask == Ask::Search {
            return self.search(caller).await;
        }
        match caller.ask(self.request(ask, token)).await {
            Ok(answer) => self.judge(ask, token, &answer),
            Err(error) => failed(&error),
        }
    }

    /// The whole search, with every object in its place.
    pub(crate) async fn search(&self, caller: &Caller) -> Told {
        let mut answer = caller.call(self.request(Ask::Search, ""));
        let mut rows = 0;
        loop {
            match answer.next().await {
                None => return Told::Wrong("a search without an end".to_owned()),
                Some(Err(error)) if rows > 0 => return cut(&error),
                Some(Err(error)) => return failed(&error),
                Some(Ok(OperationResponse { search: Some(search), .. })) => match search.connector_object {
                    Some(object) => {
                        rows += 1;
                        let uid = uid_of(&object.attributes);
                        if uid.as_deref() != Some(format!("u{rows}").as_str()) {
                            return Told::Wrong(format!("{uid:?} at the place of u{rows}"));
                        }
                    }
                    None if rows == self.rows => return Told::Ok,
                    None => return Told::Wrong(format!("{rows} of {} objects, called complete", self.rows)),
                },
                Some(Ok(_)) => return Told::Wrong("no answer to a search".to_owned()),
            }
        }
    }

    /// A get that ends the process of the member that runs it.
    pub(crate) fn poison(&self) -> OperationRequest {
        self.get(POISON)
    }

    /// A `get` whose configuration ends the process of the member that runs the call.
    pub(crate) fn poison_configuration(&self) -> OperationRequest {
        let get = self.get(POISON).get;
        OperationRequest { get, ..self.poison.clone() }
    }

    fn request(&self, ask: Ask, token: &str) -> OperationRequest {
        let object_class = ObjectClass::ACCOUNT.to_owned();
        let options = options();
        match ask {
            Ask::Get => self.get("u1"),
            Ask::Search => {
                let search = SearchOpRequest { object_class, filter: Bytes::new(), options };
                OperationRequest { search: Some(search), ..self.reads.clone() }
            }
            Ask::Create => {
                let create_attributes = vec![Attribute::text(NAME, token)].encode();
                let create = CreateOpRequest { object_class, create_attributes, options };
                OperationRequest { create: Some(create), ..self.changes.clone() }
            }
            Ask::Update => {
                let uid = Some(Uid { value: "u0".to_owned(), ..Default::default() });
                let replace_attributes = vec![Attribute::text(MARK, token)].encode();
                let update =
                    UpdateOpRequest { object_class, uid, update_type: 0, replace_attributes, options };
                OperationRequest { update: Some(update), ..self.changes.clone() }
            }
            Ask::Login => {
                let username = self.login.clone().unwrap_or_else(|| token.to_owned());
                let password = Value::GuardedString(Secret::new(LOGIN_PASSWORD.to_owned())).encode();
                let login = AuthenticateOpRequest { object_class, username, password, options };
                let base = if self.login.is_some() { &self.reads } else { &self.changes };
                OperationRequest { authenticate: Some(login), ..base.clone() }
            }
        }
    }

    fn get(&self, uid: &str) -> OperationRequest {
        let object_class = ObjectClass::ACCOUNT.to_owned();
        let uid = Some(Uid { value: uid.to_owned(), ..Default::default() });
        let get = GetOpRequest { object_class, uid, options: options() };
        OperationRequest { get: Some(get), ..self.reads.clone() }
    }

    fn judge(&self, ask: Ask, token: &str, answer: &OperationResponse) -> Told {
        let (found, wanted) = match ask {
            Ask::Get => {
                let object = answer.get.as_ref().map(|get| ConnectorObject::decode(&get.connector_object));
                let object = object.and_then(Result::ok);
                let uid = object.as_ref().and_then(|object| object.attribute(UID)).and_then(Attribute::first);
                (uid.and_then(Value::as_str).map(str::to_owned), "u1")
            }
            Ask::Create => (answer.create.as_ref().and_then(|a| a.uid.clone()).map(|uid| uid.value), token),
            Ask::Update => (answer.update.as_ref().and_then(|a| a.uid.clone()).map(|uid| uid.value), "u0"),
            Ask::Login => {
                let uid = answer.authenticate.as_ref().and_then(|a| a.uid.clone()).map(|uid| uid.value);
                (uid, self.login.as_deref().unwrap_or(token))
            }
            Ask::Search => (None, ""),
        };
        match found {
            Some(uid) if uid == wanted => Told::Ok,
            found => Told::Wrong(format!("{found:?} in the answer, not {wanted}")),
        }
    }
}

fn base(
    info: &ConnectorInfo,
    properties: &[(String, String)],
    search: Option<Duration>,
) -> Result<OperationRequest, Failure> {
    let mut configuration = configure(info, properties)?;
    // A Java server's list has none to begin with.
    configuration.timeouts_ms =
        ["AuthenticationApiOp", "CreateApiOp", "GetApiOp", "SearchApiOp", "UpdateApiOp"]
            .map(|operation| {
                let deadline = if operation == "SearchApiOp" { search } else { Some(CALL_DEADLINE) };
                let ms =
                    deadline.map_or(-1, |deadline| i32::try_from(deadline.as_millis()).unwrap_or(i32::MAX));
                (ClassName::plain(operation), ms)
            })
            .into();
    Ok(base_request(info, &configuration))
}

fn options() -> Bytes {
    OperationOptions::default().encode()
}

fn uid_of(attributes: &[u8]) -> Option<String> {
    let attributes = Vec::<Attribute>::decode(attributes).ok()?;
    let uid = attributes.iter().find(|attribute| attribute.is(UID)).and_then(Attribute::first);
    uid.and_then(Value::as_str).map(str::to_owned)
}

fn failed(error: &RemoteError) -> Told {
    match error {
        RemoteError::Peer { message, .. } if message.starts_with(UNKNOWN) => Told::Unknown,
        // Objects were delivered, and held back here since the first ones were lost with their socket.
        RemoteError::Peer { message, .. } if message.contains(CUT_SHORT) => Told::CutStream(text(error)),
        // Our own end of it: the router is gone, and nobody can say what became of the call.
        RemoteError::ConnectionLost => Told::Disconnected,
        error => Told::Failed(text(error)),
    }
}

/// An error behind objects that were delivered: the stream's own, if its class says that it may be begun again.
fn cut(error: &RemoteError) -> Told {
    match error {
        RemoteError::Peer { class, .. } if CUT.iter().any(|known| class.ends_with(known)) => {
            Told::CutStream(text(error))
        }
        error => failed(error),
    }
}

fn text(error: &RemoteError) -> String {
    match error {
        RemoteError::Peer { class, message } => format!("{class}: {message}"),
        RemoteError::NotSent => "NotSent: there is no connection to the router".to_owned(),
        RemoteError::ConnectionLost => "ConnectionLost: the connection to the router broke".to_owned(),
        RemoteError::Garbled => "Garbled: the answer makes no sense".to_owned(),
        RemoteError::TooSlow => "TooSlow: the drill did not read its answer".to_owned(),
        RemoteError::Oversize { bytes } => format!("Oversize: an answer of {bytes} bytes"),
    }
}
