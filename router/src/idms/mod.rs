//! The IDMs that the router dials (client mode of the router): to each URL of `[idm.NAME]` some connections are kept, on which the IDM calls
//! the router.
//!
//! The shared keeper ([`rcs_proto::driver::keeper`]) has one future for each URL, so an IDM that is down touches no other one. The sockets
//! belong to the engine, where they are sockets of a caller like any other.

mod board;
mod home;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use rcs_core::view::View;
use rcs_oauth::dial::Who;
use rcs_proto::driver::dial::InClear;
use rcs_proto::driver::endpoint::NoConnectors;
use rcs_proto::driver::keeper::probe::{self, Steps};
use rcs_proto::driver::keeper::{self, Kept, Names, Wanted};
use rcs_proto::driver::tls::Identity;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::board::{Board, IdmState};
use self::board::{IdmRow, Shown};
use self::home::OwnersHome;
pub(crate) use self::target::Tls;
use crate::config::{Idms, ReadIdm};
use crate::control::Control;
use crate::limits::DOCTOR_LIST_WAIT;

/// Reads the files of all IDMs, and checks whether their URLs can be dialled. Nothing is dialled. `of_all` is `--trust-store`, `in_clear` says
/// whether access tokens may be sent without TLS. Returns what an operator should know.
///
/// # Errors
/// A sentence for each fault.
pub(crate) fn check(
    idms: &Idms,
    of_all: Option<Arc<ClientConfig>>,
    in_clear: InClear,
) -> Result<Vec<String>, Vec<String>> {
    let found = idms.read()?;
    let faults: Vec<String> =
        found.iter().flat_map(|idm| target::faults(idm, of_all.clone(), in_clear)).collect();
    match faults.is_empty() {
        true => Ok(found.into_iter().flat_map(|idm| idm.warnings).collect()),
        false => Err(faults),
    }
}

/// Walks to each URL of one IDM, for the doctor: up to the WebSocket, or up to the handshake.
///
/// # Errors
/// A sentence without full stop: what is wrong with the files of the IDM, and what to do.
pub(crate) async fn probe(
    idm: &ReadIdm,
    of_all: Option<Arc<ClientConfig>>,
    identity: Option<Arc<Identity>>,
    in_clear: InClear,
    shakes_hands: bool,
) -> Result<Vec<(String, Steps)>, String> {
    let tls = Tls::new(of_all.map(|all| watch::channel(all).1), identity.map(|own| watch::channel(own).1));
    let who = target::who(idm, &tls, in_clear)?;
    let mut probed = Vec::new();
    for url in &idm.idm.urls {
        let wanted = target::wanted(idm, url, who.clone(), &tls)?;
        let (mut steps, socket) = probe::walk(&wanted.peer, &who, &NAMES).await;
        if let Some(socket) = socket.filter(|_| shakes_hands) {
            let executor = Arc::new(NoConnectors);
            steps.extend(probe::shake_hands(socket, executor, &idm.name, &NAMES, DOCTOR_LIST_WAIT).await);
        }
        probed.push((url.to_string(), steps));
    }
    Ok(probed)
}

/// The settings that a failed dial tells of.
const NAMES: Names = Names {
    dialler: "this router",
    url: "url",
    principal: "principal",
    password: "key_file",
    server_name: "the NAME in [idm.NAME]",
    proxy_address: "proxy.host and proxy.port",
    proxy_credentials: "proxy.principal and proxy.password_file",
    trust_store: "trust_store",
    token_endpoint: "token_endpoint",
    client: "client_id, client_secret_file",
    scope: "scope",
};

/// What a URL is kept for: the name of the IDM, the URL as text, and the group. A change of one of the three is a new connection, and any other
/// change counts from the next dial on.
type Key = (String, String, Option<String>);

/// One URL that is kept.
struct Running {
    /// What `wanted` was made of.
    of: ReadIdm,
    /// Dropping the sender leaves the URL.
    wanted: watch::Sender<Wanted<Who>>,
    kept: watch::Receiver<Kept>,
}

/// Keeps connections to the IDMs of `idms`, whose changes count at once, for ever. Dropping the future stops dialling, and the sockets stay.
pub(crate) async fn follow(
    mut idms: watch::Receiver<Arc<Vec<ReadIdm>>>,
    mut view: watch::Receiver<Arc<View>>,
    mut tls: Tls,
    in_clear: InClear,
    control: Control,
    board: Board,
) {
    let mut running: BTreeMap<Key, Running> = BTreeMap::new();
    // Who the router is to each IDM, by the IDM's name: an IDM that is as it was keeps its tokens.
    let mut proofs: BTreeMap<String, (ReadIdm, Who)> = BTreeMap::new();
    let mut keepers = JoinSet::new();
    let mut is_new_tls = false;
    loop {
        let found = Arc::clone(&idms.borrow_and_update());
        let now = Arc::clone(&view.borrow_and_update());
        let (mut rows, mut kept, mut proofs_now) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for idm in found.iter() {
            let before = proofs.remove(&idm.name).filter(|(of, _)| of == idm && !is_new_tls);
            let who = before.map_or_else(|| target::who(idm, &tls, in_clear), |(_, who)| Ok(who));
            if let Ok(who) = &who {
                proofs_now.insert(idm.name.clone(), (idm.clone(), who.clone()));
            }
            let is_served = idm.idm.group.as_ref().is_none_or(|group| now.group_named(group).is_some());
            for url in &idm.idm.urls {
                let key = (idm.name.clone(), url.to_string(), idm.idm.group.clone());
                let before = running.remove(&key);
                let one = match before.filter(|_| is_served) {
                    // Nothing is new. To read trusted certificates again at each change of the view would cost too much.
                    Some(one) if one.of == *idm && !is_new_tls => Ok(one),
                    _ if !is_served => Err(board::no_group(&key)),
                    before => {
                        let wanted = who.clone().and_then(|who| target::wanted(idm, url, who, &tls));
                        wanted.map(|wanted| match before {
                            Some(one) => one.follow(idm, wanted),
                            None => start(&mut keepers, &key, idm, wanted, &control),
                        })
                    }
                };
                let state = match one {
                    Err(why) => Shown::NotDialled(why),
                    Ok(one) => {
                        let who = one.wanted.borrow().who.clone();
                        let state = Shown::Kept { kept: one.kept.clone(), who };
                        kept.insert(key.clone(), one);
                        state
                    }
                };
                rows.push(IdmRow::new(key, idm.idm.connections, state));
            }
        }
        for (name, url, _) in running.keys() {
            tracing::info!(
                idm = name,
                url,
                "the IDM is not dialled any more; its connections end with their calls"
            );
        }
        // What is left over is dropped, and with it the sender: these URLs are left.
        (running, proofs) = (kept, proofs_now);
        board.show(rows);
        is_new_tls = tokio::select! {
            changed = idms.changed() => {
                if changed.is_err() {
                    return;
                }
                false
            }
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
                false
            }
            () = tls.changed() => true,
            Some(_) = keepers.join_next() => false,
        };
    }
}

impl Running {
    /// Tells the keeper what is wanted from now on.
    fn follow(mut self, idm: &ReadIdm, wanted: Wanted<Who>) -> Self {
        self.of = idm.clone();
        self.wanted.send_replace(wanted);
        self
    }
}

fn start(
    keepers: &mut JoinSet<()>,
    key: &Key,
    idm: &ReadIdm,
    first: Wanted<Who>,
    control: &Control,
) -> Running {
    let (name, url, group) = key;
    tracing::info!(idm = name, url, group, "the IDM is dialled");
    let home = OwnersHome::new(control.clone(), name, group.as_deref());
    let (wanted, receiver) = watch::channel(first);
    let (show, kept) = watch::channel(Kept::default());
    keepers.spawn(async move { keeper::keep(receiver, &home, &NAMES, show).await });
    Running { of: idm.clone(), wanted, kept }
}
