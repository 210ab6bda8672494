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
use rcs_proto::driver::keeper::{self, Kept, Names, Wanted};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::board::{Board, IdmState};
use self::board::{IdmRow, Shown};
use self::home::OwnersHome;
pub(crate) use self::target::Tls;
use crate::config::{Idms, ReadIdm};
use crate::control::Control;

/// Reads the files of all IDMs, and checks whether their URLs can be dialled. Nothing is dialled. `of_all` is `--trust-store`.
///
/// # Errors
/// A sentence for each fault.
pub(crate) fn check(idms: &Idms, of_all: Option<Arc<ClientConfig>>) -> Result<(), Vec<String>> {
    let faults: Vec<String> =
        idms.read()?.iter().flat_map(|idm| target::faults(idm, of_all.clone())).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
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
};

/// What a URL is kept for: the name of the IDM, the URL as text, and the group. A change of one of the three is a new connection, and any other
/// change counts from the next dial on.
type Key = (String, String, Option<String>);

/// One URL that is kept.
struct Running {
    /// What `wanted` was made of.
    of: ReadIdm,
    /// Dropping the sender leaves the URL.
    wanted: watch::Sender<Wanted>,
    kept: watch::Receiver<Kept>,
}

/// Keeps connections to the IDMs of `idms`, whose changes count at once, for ever. Dropping the future stops dialling, and the sockets stay.
pub(crate) async fn follow(
    mut idms: watch::Receiver<Arc<Vec<ReadIdm>>>,
    mut view: watch::Receiver<Arc<View>>,
    mut tls: Tls,
    control: Control,
    board: Board,
) {
    let mut running: BTreeMap<Key, Running> = BTreeMap::new();
    let mut keepers = JoinSet::new();
    let mut is_new_tls = false;
    loop {
        let found = Arc::clone(&idms.borrow_and_update());
        let now = Arc::clone(&view.borrow_and_update());
        let (mut rows, mut kept) = (Vec::new(), BTreeMap::new());
        for idm in found.iter() {
            let is_served = idm.idm.group.as_ref().is_none_or(|group| now.group_named(group).is_some());
            let tls_of_it = tls.of(idm);
            for url in &idm.idm.urls {
                let key = (idm.name.clone(), url.to_string(), idm.idm.group.clone());
                let why = match &tls_of_it {
                    _ if !is_served => Err(board::no_group(&key)),
                    Err(why) if url.tls => Err(why.clone()),
                    Ok(tls) => Ok(target::wanted(idm, url, url.tls.then_some(tls))),
                    Err(_) => Ok(target::wanted(idm, url, None)),
                };
                let state = match why {
                    Err(why) => Shown::NotDialled(why),
                    Ok(wanted) => {
                        let one = running.remove(&key).map(|one| one.follow(idm, &wanted, is_new_tls));
                        let one = one.unwrap_or_else(|| start(&mut keepers, &key, idm, wanted, &control));
                        let state = Shown::Kept(one.kept.clone());
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
        running = kept;
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
    /// Tells the keeper what is wanted from now on, if that is something new.
    fn follow(mut self, idm: &ReadIdm, wanted: &Wanted, is_new_tls: bool) -> Self {
        if is_new_tls || self.of != *idm {
            self.of = idm.clone();
            self.wanted.send_replace(wanted.clone());
        }
        self
    }
}

fn start(keepers: &mut JoinSet<()>, key: &Key, idm: &ReadIdm, first: Wanted, control: &Control) -> Running {
    let (name, url, group) = key;
    tracing::info!(idm = name, url, group, "the IDM is dialled");
    let home = OwnersHome::new(control.clone(), name, group.as_deref());
    let (wanted, receiver) = watch::channel(first);
    let (show, kept) = watch::channel(Kept::default());
    keepers.spawn(async move { keeper::keep(receiver, &home, &NAMES, show).await });
    Running { of: idm.clone(), wanted, kept }
}
