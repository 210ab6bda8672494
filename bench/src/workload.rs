//! The calls that are measured: a request for each, and what its answer was worth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rcs_cli::{Exit, Failure};
use rcs_proto::driver::endpoint::{Caller, RemoteError};
use rcs_proto::icf::{Attribute, ConnectorInfo, NAME, OperationOptions, PASSWORD, Secret, UID, Value};
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::*;

use crate::arguments::{Op, WorkArgs};
use crate::configuration::{base_request, choose, configure};
use crate::record::{Example, Fault};
use crate::target::secret_in;

/// Uids that a first search collects for `get`.
const UIDS_MAX: usize = 1000;
/// Created objects that are remembered, to be deleted at the end.
const CREATED_MAX: usize = 1 << 20;

/// What creates have made, and no delete has removed.
#[derive(Debug, Default)]
pub(crate) struct Created {
    /// The id of each object that was reported as created.
    pub(crate) uids: Vec<String>,
    /// The number of objects that may exist besides: their creates have no good answer, or there are too many to remember.
    pub(crate) unknown: u64,
}

/// A recipe for calls, made for one target.
#[derive(Debug)]
pub(crate) struct Workload {
    op: Op,
    /// Connector, configuration and locale: in every call.
    base: OperationRequest,
    object_class: String,
    uids: Vec<String>,
    attributes: Vec<Attribute>,
    password: Option<Secret<String>>,
    token: Option<SyncToken>,
    options: Bytes,
    /// Part of the names of created objects, so that runs do not meet.
    run: u32,
    calls: AtomicU64,
    failed: AtomicU64,
    created: Mutex<Created>,
}

impl Workload {
    /// Asks the target for its connectors, builds the configuration, and looks for what the operation needs.
    pub(crate) async fn prepare(caller: &Caller, arguments: &WorkArgs) -> Result<Self, Failure> {
        let infos = caller.connector_infos().await.map_err(unavailable("its connectors"))?;
        let infos = Vec::<ConnectorInfo>::decode(&infos).map_err(|error| {
            Exit::Unavailable.with(format!("the target's connectors cannot be read: {error}"))
        })?;
        let info = choose(&infos, arguments.connector.as_deref())?;
        let configuration = configure(info, &arguments.properties)?;
        let base = base_request(info, &configuration);
        let mut workload = Self {
            op: arguments.op,
            base,
            object_class: arguments.object_class.clone(),
            uids: arguments.uids.clone(),
            attributes: arguments
                .attributes
                .iter()
                .map(|(name, value)| Attribute::text(name, value))
                .collect(),
            password: arguments.password_file.as_deref().map(secret_in).transpose()?,
            token: None,
            options: OperationOptions::default().encode(),
            run: fastrand::u32(..),
            calls: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            created: Mutex::default(),
        };
        workload.find_out(caller).await?;
        Ok(workload)
    }

    /// What the operation needs and the command line does not say.
    async fn find_out(&mut self, caller: &Caller) -> Result<(), Failure> {
        match self.op {
            Op::Get if self.uids.is_empty() => {
                self.uids = self.search_uids(caller).await?;
                match self.uids.is_empty() {
                    true => Err(Exit::BadData.with("the target has no objects to get; say which with --uid")),
                    false => Ok(()),
                }
            }
            Op::Sync => {
                let answer = caller.ask(self.latest_token()).await.map_err(unavailable("a sync token"))?;
                self.token =
                    answer.sync.and_then(|sync| sync.latest_sync_token).and_then(|token| token.sync_token);
                Ok(())
            }
            Op::Update | Op::Resolve | Op::Authenticate if self.uids.is_empty() => {
                Err(Exit::Usage.with("this operation needs --uid"))
            }
            Op::Authenticate if self.password.is_none() => {
                Err(Exit::Usage.with("authenticate needs --password-file"))
            }
            _ => Ok(()),
        }
    }

    async fn search_uids(&self, caller: &Caller) -> Result<Vec<String>, Failure> {
        let mut uids = Vec::new();
        let mut answer = caller.call(self.search());
        while let Some(frame) = answer.next().await {
            let search = frame.map_err(unavailable("a first search"))?.search.unwrap_or_default();
            let Some(object) = search.connector_object else { break };
            let attributes = Vec::<Attribute>::decode(&object.attributes).unwrap_or_default();
            let uid = attributes.iter().find(|attribute| attribute.is(UID)).and_then(Attribute::first);
            uids.extend(uid.and_then(Value::as_str).map(str::to_owned));
            if uids.len() >= UIDS_MAX {
                break;
            }
        }
        Ok(uids)
    }

    /// The number of calls that were begun, and how many of them failed.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Returns what was created so far, and forgets it.
    pub(crate) fn take_created(&self) -> Created {
        std::mem::take(&mut *self.created())
    }

    /// What the names of created objects begin with.
    pub(crate) fn name_prefix(&self) -> String {
        format!("bench-{:08x}-", self.run)
    }

    /// A call that deletes an object.
    pub(crate) fn delete(&self, uid: String) -> OperationRequest {
        let (object_class, options) = (self.object_class.clone(), self.options.clone());
        let uid = Some(Uid { value: uid, ..Default::default() });
        OperationRequest { delete: Some(DeleteOpRequest { object_class, uid, options }), ..self.base.clone() }
    }

    fn created(&self) -> MutexGuard<'_, Created> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call with this number.
    fn request(&self, number: u64) -> OperationRequest {
        let (object_class, options) = (self.object_class.clone(), self.options.clone());
        let name = || self.uids[usize::try_from(number).unwrap_or(0) % self.uids.len()].clone();
        let uid = || Some(Uid { value: name(), ..Default::default() });
        let base = self.base.clone();
        match self.op {
            Op::Test => OperationRequest { test: Some(TestOpRequest {}), ..base },
            Op::Validate => OperationRequest { validate: Some(ValidateOpRequest {}), ..base },
            Op::Schema => OperationRequest { schema: Some(SchemaOpRequest {}), ..base },
            Op::Get => {
                OperationRequest { get: Some(GetOpRequest { object_class, uid: uid(), options }), ..base }
            }
            Op::Search => self.search(),
            Op::Sync => {
                let sync = sync_op_request::Sync { object_class, token: self.token.clone(), options };
                OperationRequest {
                    sync: Some(SyncOpRequest { sync: Some(sync), ..Default::default() }),
                    ..base
                }
            }
            Op::Token => self.latest_token(),
            Op::Create => {
                let create_attributes = self.new_object(number).encode();
                let create = CreateOpRequest { object_class, create_attributes, options };
                OperationRequest { create: Some(create), ..base }
            }
            Op::Update => {
                let replace_attributes = self.attributes.encode();
                let update =
                    UpdateOpRequest { object_class, uid: uid(), update_type: 0, replace_attributes, options };
                OperationRequest { update: Some(update), ..base }
            }
            Op::Authenticate => {
                let password = self.password.clone().unwrap_or_else(|| Secret::new(String::new()));
                let password = Value::GuardedString(password).encode();
                let authenticate =
                    AuthenticateOpRequest { object_class, username: name(), password, options };
                OperationRequest { authenticate: Some(authenticate), ..base }
            }
            Op::Resolve => {
                let resolve = ResolveUsernameOpRequest { object_class, username: name(), options };
                OperationRequest { resolve_username: Some(resolve), ..base }
            }
        }
    }

    /// Sends the next call and reads its whole answer, for `timeout` at most. Returns the number of objects in the answer, or what went
    /// wrong.
    pub(crate) async fn run(&self, caller: &Caller, timeout: Duration) -> Result<u64, Fault> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = tokio::time::timeout(timeout, self.exchange(caller, number)).await;
        answer.unwrap_or_else(|_| Err(("Unanswered".to_owned(), None))).map_err(|(kind, text)| {
            self.failed.fetch_add(1, Ordering::Relaxed);
            if self.op == Op::Create {
                self.created().unknown += 1;
            }
            Fault { kind, example: Example { call: number + 1, text } }
        })
    }

    async fn exchange(&self, caller: &Caller, number: u64) -> Result<u64, (String, Option<String>)> {
        let mut answer = caller.call(self.request(number));
        let mut rows = 0;
        loop {
            let frame = match answer.next().await {
                Some(frame) => frame.map_err(|error| (kind(&error), routers_own(&error)))?,
                None => return Err(("NoEnd".to_owned(), None)),
            };
            if let Some(search) = &frame.search
                && search.connector_object.is_some()
            {
                rows += 1;
            } else if let Some(OperationResponse {
                sync: Some(SyncOpResponse { sync: Some(sync), .. }), ..
            }) = Some(&frame)
                && sync.sync_delta.is_some()
            {
                rows += 1;
            } else {
                self.note_created(&frame);
                return self.judge(&frame).map(|()| rows).map_err(|kind| (kind, None));
            }
        }
    }

    fn note_created(&self, frame: &OperationResponse) {
        if let Some(uid) = frame.create.as_ref().and_then(|create| create.uid.as_ref()) {
            let mut created = self.created();
            if created.uids.len() < CREATED_MAX {
                created.uids.push(uid.value.clone());
            } else {
                created.unknown += 1;
            }
        }
    }

    /// Whether the last frame is what a successful call ends with.
    fn judge(&self, frame: &OperationResponse) -> Result<(), String> {
        let fits = match self.op {
            Op::Get => match &frame.get {
                Some(get) if get.connector_object.is_empty() => return Err("NotFound".to_owned()),
                get => get.is_some(),
            },
            Op::Test => frame.test.is_some(),
            Op::Validate => frame.validate.is_some(),
            Op::Schema => frame.schema.is_some(),
            Op::Search => frame.search.is_some(),
            Op::Sync | Op::Token => frame.sync.is_some(),
            Op::Create => frame.create.is_some(),
            Op::Update => frame.update.is_some(),
            Op::Authenticate => frame.authenticate.is_some(),
            Op::Resolve => frame.resolve_username.is_some(),
        };
        if fits { Ok(()) } else { Err("WrongAnswer".to_owned()) }
    }

    fn search(&self) -> OperationRequest {
        let (object_class, options) = (self.object_class.clone(), self.options.clone());
        let search = SearchOpRequest { object_class, filter: Bytes::new(), options };
        OperationRequest { search: Some(search), ..self.base.clone() }
    }

    fn latest_token(&self) -> OperationRequest {
        let latest = sync_op_request::LatestSyncToken { object_class: self.object_class.clone() };
        let sync = SyncOpRequest { latest_sync_token: Some(latest), ..Default::default() };
        OperationRequest { sync: Some(sync), ..self.base.clone() }
    }

    fn new_object(&self, number: u64) -> Vec<Attribute> {
        let mut attributes = vec![Attribute::text(NAME, format!("{}{number}", self.name_prefix()))];
        attributes.extend(self.attributes.iter().cloned());
        if let Some(password) = &self.password {
            attributes.push(Attribute::new(PASSWORD, vec![Value::GuardedString(password.clone())]));
        }
        attributes
    }
}

/// A failed call in a word: the class of a peer's error without its package, else what happened to the connection.
fn kind(error: &RemoteError) -> String {
    match error {
        RemoteError::Peer { class, .. } => class.rsplit('.').next().unwrap_or(class).to_owned(),
        RemoteError::NotSent => "NotSent".to_owned(),
        RemoteError::ConnectionLost => "ConnectionLost".to_owned(),
        RemoteError::Garbled => "Garbled".to_owned(),
        RemoteError::TooSlow => "ReaderTooSlow".to_owned(),
        RemoteError::Oversize { .. } => "Oversize".to_owned(),
    }
}

/// The sentence of an error that the router made itself: such a sentence ends with the id of the call, as in `(call 1f3a)`.
fn routers_own(error: &RemoteError) -> Option<String> {
    let RemoteError::Peer { message, .. } = error else { return None };
    let id = message.strip_suffix(')')?.rsplit_once("(call ")?.1;
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| message.clone())
}

fn unavailable(what: &str) -> impl Fn(RemoteError) -> Failure {
    move |error| Exit::Unavailable.with(format!("the target does not give {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P9: a connector's sentence may hold values of attributes.
    #[test]
    fn only_the_routers_own_sentences_are_examples() {
        let peer = |message: &str| RemoteError::Peer { class: "a.B".to_owned(), message: message.to_owned() };
        for (message, is_shown) in [
            ("No member of group hr is available. (call 1f3a)", true),
            ("the user Ann is there already", false),
            ("the user Ann is there already (call me)", false),
            ("the user Ann (call )", false),
        ] {
            assert_eq!(routers_own(&peer(message)).is_some(), is_shown, "{message}");
        }
        assert_eq!(routers_own(&RemoteError::NotSent), None);
    }
}
