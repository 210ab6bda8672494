//! The side of the process that takes over.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use prost::Message as _;
use rcs_core::agreed::{Agreed, ClusterState};
use rcs_core::engine::{Administration, GroupSupply, MemberMode, MemberReport, MovedCaller};
use rcs_proto::driver::relay;
use rcs_proto::driver::{Role, WebSocket};
use rcs_proto::manifest::Digest;
use rcs_proto::messages::handover::message::Kind;
use rcs_proto::messages::handover::{Ask, Built, Callers, Hello, Open, Running, State};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::channel::{Channel, HandoverError, check_needs, needs, unexpected};
use super::moved::{MovedSocket, of_message};
use crate::control::{Control, Request};
use crate::limits::{
    HANDOVER_LAST_ANSWERS_WAIT, HANDOVER_READY_EVERY, HANDOVER_READY_WAIT, HANDOVER_STATE_WAIT,
};
use crate::unknown::Unknowns;

/// What the earlier process said first.
#[derive(Debug)]
pub(crate) struct Heard {
    channel: Channel,
    seed: [u64; 2],
    agreed: Agreed,
    listeners: Vec<(String, String, OwnedFd)>,
}

/// What is left to be taken over once the router runs.
#[derive(Debug)]
pub(crate) struct Arriving(Channel);

/// The sockets that still stand within a frame: they are not this process's yet.
#[derive(Debug)]
pub(crate) struct Late(Arc<()>);

impl Late {
    pub(super) fn count(&self) -> usize {
        Arc::strong_count(&self.0).saturating_sub(1)
    }
}

/// A caller's sockets as they are opened in this process.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// What the earlier process knew of the caller.
    pub(crate) caller: MovedCaller,
    /// The sockets.
    pub(crate) sockets: Vec<ArrivedSocket>,
    /// Dropped once everything that the earlier process wrote to these sockets has been passed on.
    pub(crate) passing: mpsc::Sender<()>,
}

/// One socket, which stands between two frames.
#[derive(Debug)]
pub(crate) struct ArrivedSocket {
    /// The number that the earlier process gave to the socket.
    pub(crate) number: u64,
    /// The socket.
    pub(crate) socket: WebSocket,
    /// The way to the earlier process.
    pub(crate) back: tokio::net::UnixStream,
    /// Bytes of the earlier process that were read already.
    pub(crate) surplus: bytes::Bytes,
}

/// Asks the router process that waits at this path, if one does, for what this process begins with. `stores`: this process has a data
/// directory, which the running process closes then.
///
/// # Errors
/// [`HandoverError`]: a process waits there, and nothing can be taken over from it.
pub(crate) fn meet(path: &Path, stores: bool) -> Result<Option<Heard>, HandoverError> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let mut channel = Channel::new(stream);
    channel.check_user()?;
    channel.wait_at_most(Some(HANDOVER_STATE_WAIT))?;
    let hello = Hello {
        needs: needs(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        process: std::process::id(),
        stores,
    };
    channel.send(Kind::Hello(hello), &[])?;
    let (welcome, descriptors) = match channel.receive()? {
        Some((Kind::Welcome(welcome), descriptors)) => (welcome, descriptors),
        other => return Err(unexpected(other)),
    };
    check_needs(&welcome.needs)?;
    let seed = welcome.seed.try_into().map_err(|_| HandoverError::Damaged)?;
    let state = ClusterState::decode(&welcome.agreed).map_err(io::Error::other)?;
    if welcome.listeners.len() != descriptors.len() {
        return Err(HandoverError::Damaged);
    }
    let named = welcome.listeners.into_iter().zip(descriptors);
    let listeners = named.map(|(listener, socket)| (listener.what, listener.asked, socket)).collect();
    tracing::info!(process = welcome.process, version = welcome.program, "taking over from a running router");
    Ok(Some(Heard { channel, seed, agreed: state.agreed().clone(), listeners }))
}

impl Heard {
    /// The seed of the session ids that callers are shown.
    pub(crate) fn seed(&self) -> [u64; 2] {
        self.seed
    }

    /// What operators decided.
    pub(crate) fn agreed(&self) -> Agreed {
        self.agreed.clone()
    }

    /// The listening socket of the earlier process for this purpose and this address, as it was asked for.
    pub(crate) fn take(&mut self, what: &str, asked: &str) -> Option<TcpListener> {
        let at = self.listeners.iter().position(|(of, at, _)| of == what && at == asked)?;
        Some(self.listeners.swap_remove(at).2.into())
    }

    /// What is left to be taken over. Addresses that this process has no use for are the earlier process's alone.
    pub(crate) fn arriving(self) -> Arriving {
        Arriving(self.channel)
    }
}

impl Arriving {
    /// Waits until this process can serve, and takes the callers over. Returns once they are this process's; what the earlier process still
    /// answers is passed on for as long as it takes. If `told_to_end` is ready before that begins, nothing is taken over: callers that came
    /// to a process which ends would be cut off.
    ///
    /// # Errors
    /// [`HandoverError`]: nothing was taken over, and the earlier process goes on.
    pub(crate) async fn take_over(
        self,
        control: Control,
        unknowns: Unknowns,
        told_to_end: impl Future<Output = ()>,
    ) -> Result<Late, HandoverError> {
        let Self(mut channel) = self;
        let served = tokio::select! {
            biased;
            () = told_to_end => return Err(HandoverError::Ended),
            served = served(&control) => served,
        };
        let asked = spawn_blocking(move || {
            let callers = take_callers(&mut channel, served)?;
            Ok::<_, HandoverError>((channel, callers))
        });
        let (channel, callers) = asked.await.map_err(io::Error::other)??;
        let (passing, passed) = mpsc::channel(1);
        let (mut count, late) = (0, Late(Arc::new(())));
        for (caller, sockets) in callers {
            count += sockets.len();
            arrive(caller, sockets, (&passing, &late), &control).await;
        }
        tracing::info!(sockets = count, "the callers of the earlier process are this process's now");
        tokio::spawn(hear_of_calls(channel, (passing, passed), Arc::downgrade(&late.0), control, unknowns));
        Ok(late)
    }
}

/// The groups that have a member which gets calls, once all have one, or as many as do after a while.
async fn served(control: &Control) -> Vec<String> {
    let until = Instant::now() + HANDOVER_READY_WAIT;
    let mut ticks = interval(HANDOVER_READY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(status) = control.status().await else { continue };
        let groups = status.report.groups;
        let served = groups.iter().filter(|group| group.supply == GroupSupply::Served);
        let served: Vec<String> = served.map(|group| group.name.clone()).collect();
        // A member that comes a moment later would get no calls of the first seconds.
        let is_settled = |member: &MemberReport| {
            // A member in client mode dials this process only after the handover.
            member.takes_calls()
                || member.error.is_some()
                || member.admin != Administration::Enabled
                || member.mode == MemberMode::Client
        };
        let is_whole = groups.iter().all(|group| group.members.iter().all(is_settled));
        if is_whole || Instant::now() >= until {
            return served;
        }
    }
}

/// Asks for the callers; returns them once they are this process's.
fn take_callers(
    channel: &mut Channel,
    served: Vec<String>,
) -> Result<Vec<(MovedCaller, Vec<MovedSocket>)>, HandoverError> {
    channel.wait_at_most(Some(HANDOVER_STATE_WAIT))?;
    channel.send(Kind::Ask(Ask { served }), &[])?;
    let (state, descriptors) = match channel.receive()? {
        Some((Kind::State(state), descriptors)) => (state, descriptors),
        other => return Err(unexpected(other)),
    };
    let callers = read(state, descriptors)?;
    // If this fails, the earlier process has left a word why, or is dead.
    let _ = channel.send(Kind::Built(Built {}), &[]);
    match channel.receive()? {
        Some((Kind::Commit(_), _)) => {
            // If the earlier process does not listen any more, it has gone on without this one.
            channel.send(Kind::Running(Running {}), &[])?;
        }
        // It is dead, and nobody else has the sockets.
        None => {
            tracing::warn!("the earlier process died in the handover: this process goes on with its callers")
        }
        other => return Err(unexpected(other)),
    }
    Ok(callers)
}

fn read(
    state: State,
    descriptors: Vec<OwnedFd>,
) -> Result<Vec<(MovedCaller, Vec<MovedSocket>)>, HandoverError> {
    if Digest::of(&state.callers).bytes().as_slice() != state.digest.as_ref() {
        return Err(HandoverError::Damaged);
    }
    let callers = Callers::decode(state.callers).map_err(|_| HandoverError::Damaged)?;
    let mut descriptors = descriptors.into_iter();
    let callers: Option<Vec<_>> =
        callers.callers.into_iter().map(|caller| of_message(caller, &mut descriptors)).collect();
    callers.filter(|_| descriptors.next().is_none()).ok_or(HandoverError::Damaged)
}

/// Opens a caller's sockets. A socket that stands within a frame comes later, once the frame is written.
async fn arrive(
    caller: MovedCaller,
    sockets: Vec<MovedSocket>,
    (passing, late): (&mpsc::Sender<()>, &Late),
    control: &Control,
) {
    let mut ready = Vec::new();
    for socket in sockets {
        let number = socket.number;
        match opened(socket) {
            Ok((connection, back, unread, under_way)) if under_way.is_between_frames() => {
                ready.push(socket_of(number, connection, back, unread, bytes::Bytes::new()));
            }
            Ok((mut connection, mut back, unread, under_way)) => {
                let (caller, passing, control) = (caller.clone(), passing.clone(), control.clone());
                let late = Arc::clone(&late.0);
                tokio::spawn(async move {
                    match relay::finish_frame(&mut back, &mut connection, under_way).await {
                        Ok(surplus) => {
                            let sockets = vec![socket_of(number, connection, back, unread, surplus)];
                            control.send(Request::Arrived(Arrived { caller, sockets, passing })).await;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "a caller's socket closes: a frame to the caller was cut short");
                        }
                    }
                    drop(late);
                });
            }
            Err(error) => tracing::warn!(%error, "a caller's socket is lost in the handover"),
        }
    }
    if !ready.is_empty() {
        let arrived = Arrived { caller, sockets: ready, passing: passing.clone() };
        control.send(Request::Arrived(arrived)).await;
    }
}

type Opened = (TcpStream, tokio::net::UnixStream, bytes::Bytes, rcs_proto::driver::framing::FrameMeter);

fn opened(socket: MovedSocket) -> io::Result<Opened> {
    let MovedSocket { connection, back, unread, under_way, .. } = socket;
    let connection = std::net::TcpStream::from(connection);
    connection.set_nonblocking(true)?;
    let connection = TcpStream::from_std(connection)?;
    let back = UnixStream::from(back);
    back.set_nonblocking(true)?;
    Ok((connection, tokio::net::UnixStream::from_std(back)?, unread, under_way))
}

fn socket_of(
    number: u64,
    connection: TcpStream,
    back: tokio::net::UnixStream,
    unread: bytes::Bytes,
    surplus: bytes::Bytes,
) -> ArrivedSocket {
    let socket = WebSocket::movable(connection, Role::Server, unread);
    ArrivedSocket { number, socket, back, surplus }
}

/// What the earlier process says once it has handed the callers over.
enum News {
    /// The calls that it still has.
    Open(Open),
    /// Callers that it accepted meanwhile, and sockets that it could not hand over at first.
    Late(Vec<(MovedCaller, Vec<MovedSocket>)>),
}

/// Follows which calls the earlier process still has, until it has none, or is dead and everything it wrote has been passed on.
async fn hear_of_calls(
    mut channel: Channel,
    (passing, mut passed): (mpsc::Sender<()>, mpsc::Receiver<()>),
    late: Weak<()>,
    control: Control,
    unknowns: Unknowns,
) {
    let (tell, mut told) = mpsc::channel(1);
    let hearing = spawn_blocking(move || {
        channel.wait_at_most(None::<Duration>)?;
        loop {
            match channel.receive()? {
                Some((Kind::Open(open), _)) => {
                    if tell.blocking_send(News::Open(open)).is_err() {
                        return Ok(None);
                    }
                }
                Some((Kind::State(state), descriptors)) => {
                    if tell.blocking_send(News::Late(read(state, descriptors)?)).is_err() {
                        return Ok(None);
                    }
                }
                Some((Kind::Done(done), _)) => return Ok(Some(done)),
                None => return Ok(None),
                other => return Err(unexpected(other)),
            }
        }
    });
    while let Some(news) = told.recv().await {
        match news {
            News::Open(open) => {
                let open = open.callers.into_iter().map(|calls| (calls.socket, calls.ids)).collect();
                control.send(Request::EarlierHas(open)).await;
            }
            News::Late(callers) => {
                let late = Late(late.upgrade().unwrap_or_default());
                for (caller, sockets) in callers {
                    arrive(caller, sockets, (&passing, &late), &control).await;
                }
            }
        }
    }
    drop(passing);
    let done = hearing.await.ok().and_then(Result::ok).flatten();
    let lines = done.as_ref().map(|done| done.unknown.clone()).unwrap_or_default();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if let Ok(entry) = serde_json::from_slice(line) {
            unknowns.record(entry);
        }
    }
    if done.is_some() {
        // However slowly their callers read them: all calls have answers.
        let None = passed.recv().await else { return };
        tracing::info!("the earlier process has answered its calls, and has ended");
    } else {
        // A caller that does not read must not keep the others from hearing that their calls are lost.
        let is_late = timeout(HANDOVER_LAST_ANSWERS_WAIT, passed.recv()).await.is_err();
        tracing::warn!("the earlier process has ended before all of its calls had answers");
        if is_late {
            control.send(Request::EarlierDied).await;
            // What is on its way is passed on. Sockets that stand within a frame are still to come, with calls of their callers.
            let None = passed.recv().await else { return };
        }
    }
    control.send(Request::EarlierGone { is_done: done.is_some() }).await;
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    use std::thread;

    use rcs_proto::messages::handover::{Caller, Commit, Refused, Socket};

    use super::*;

    /// What an earlier process does once it has sent the callers.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Does {
        Commits,
        DiesBeforeBuilt,
        DiesAfterBuilt,
        Withdraws,
        CommitsAndHearsNoMore,
        SendsDamage,
    }

    /// What the later process makes of it, and its end of the one connection.
    fn taken(does: Does) -> (Result<usize, HandoverError>, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        let (kept, connection) = UnixStream::pair().unwrap();
        let earlier = thread::spawn(move || {
            let mut channel = Channel::new(there);
            assert!(matches!(channel.receive(), Ok(Some((Kind::Ask(_), _)))));
            let sockets = vec![Socket { number: 7, ..Socket::default() }];
            let callers = Callers { callers: vec![Caller { sockets, ..Caller::default() }] }.encode_to_vec();
            let mut digest = Digest::of(&callers).bytes().to_vec();
            if does == Does::SendsDamage {
                digest[0] ^= 1;
            }
            let state = State { callers: callers.into(), digest: digest.into() };
            channel.send(Kind::State(state), &[connection.as_fd(), connection.as_fd()]).unwrap();
            if matches!(does, Does::DiesBeforeBuilt | Does::SendsDamage) {
                return;
            }
            assert!(matches!(channel.receive(), Ok(Some((Kind::Built(_), _)))));
            match does {
                Does::Withdraws => channel.send(Kind::Refused(Refused::default()), &[]).unwrap(),
                Does::CommitsAndHearsNoMore => {
                    channel.hear_no_more().unwrap();
                    channel.send(Kind::Commit(Commit {}), &[]).unwrap();
                }
                Does::Commits => {
                    channel.send(Kind::Commit(Commit {}), &[]).unwrap();
                    assert!(matches!(channel.receive(), Ok(Some((Kind::Running(_), _)))));
                }
                _ => {}
            }
        });
        let callers = take_callers(&mut Channel::new(here), Vec::new());
        earlier.join().unwrap();
        (callers.map(|callers| callers.iter().map(|(_, sockets)| sockets.len()).sum()), kept)
    }

    #[test]
    fn exactly_one_process_goes_on_whatever_the_earlier_one_does() {
        for does in [
            Does::Commits,
            Does::DiesBeforeBuilt,
            Does::DiesAfterBuilt,
            Does::Withdraws,
            Does::CommitsAndHearsNoMore,
            Does::SendsDamage,
        ] {
            let (taken, mut kept) = taken(does);
            match does {
                // A dead process has no sockets: the later one is the only one that can go on.
                Does::Commits | Does::DiesBeforeBuilt | Does::DiesAfterBuilt => {
                    assert_eq!(taken.unwrap(), 1, "{does:?}");
                }
                Does::Withdraws | Does::CommitsAndHearsNoMore | Does::SendsDamage => {
                    assert!(taken.is_err(), "{does:?}: {taken:?}");
                }
            }
            // Nothing of the connection is left open in this process.
            assert_eq!(kept.read(&mut [0]).unwrap(), 0, "{does:?}");
        }
    }
}
