//! The side of the process that is replaced: it waits at its Unix socket for a later process, and hands its callers over.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use prost::Message as _;
use rcs_core::agreed::ClusterState;
use rcs_proto::driver::socket::{Frozen, SocketHandle};
use rcs_proto::manifest::Digest;
use rcs_proto::messages::handover::message::Kind;
use rcs_proto::messages::handover::{self as message, Commit, Done, Hello, Listener, Open, State, Welcome};
use rcs_proto::session::SocketId;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::channel::{Channel, HandoverError, check_needs, needs, unexpected};
use super::later::Late;
use super::moved::to_message;
use super::start::describe;
use super::stock::Stock;
use crate::control::{Control, NoAnswer, Request};
use crate::limits::{
    HANDOVER_ASK_WAIT, HANDOVER_FREEZE_MAX, HANDOVER_INTAKE_WAIT, HANDOVER_MESSAGE_WAIT, HANDOVER_OPEN_EVERY,
    HANDOVER_STEP_WAIT,
};

/// The place where a later process is awaited. Dropping the value leaves the file: it may be a later process's by then.
#[derive(Debug)]
pub(crate) struct Parting {
    parted: oneshot::Receiver<Parted>,
}

/// The callers are handed over. The conversation goes on until the last call has its answer.
#[derive(Debug)]
pub(crate) struct Parted {
    conversation: thread::JoinHandle<()>,
}

impl Parting {
    /// Waits until the callers are handed over; for ever if they never are.
    pub(crate) async fn wait(&mut self) -> Parted {
        match (&mut self.parted).await {
            Ok(parted) => parted,
            Err(_) => std::future::pending().await,
        }
    }

    /// The same for a router that hands nothing over.
    pub(crate) async fn maybe(parting: &mut Option<Self>) -> Parted {
        match parting {
            Some(parting) => parting.wait().await,
            None => std::future::pending().await,
        }
    }

    /// What a process that drains has handed over meanwhile, if it has.
    pub(crate) fn at_last(&mut self) -> Option<Parted> {
        self.parted.try_recv().ok()
    }
}

impl Parted {
    /// Waits until the later process was told that every call has its answer. To be called once the owner has ended.
    pub(crate) async fn end(self) {
        let _ = tokio::task::spawn_blocking(move || self.conversation.join()).await;
    }
}

/// Waits at this path for a later process, and hands over to the first one that can take over.
///
/// # Errors
/// The path cannot be used.
pub(crate) fn listen(path: &Path, stock: Stock, control: Control) -> io::Result<Parting> {
    // A socket that is left there belongs to a process that is gone, or that has handed over to this one. A file that is something else was
    // named by mistake.
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is there, and is no Unix socket: choose another path", path.display()),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let (tell, parted) = oneshot::channel();
    let earlier = Earlier { stock, control, runtime: Handle::current(), path: path.to_owned() };
    thread::Builder::new().name("handover".to_owned()).spawn(move || earlier.serve(&listener, tell))?;
    Ok(Parting { parted })
}

struct Earlier {
    stock: Stock,
    control: Control,
    runtime: Handle,
    path: PathBuf,
}

/// What a conversation was about.
enum Heard {
    /// How this process was started.
    Described,
    /// The callers, which are the other process's now.
    HandedOver,
}

/// What is handed over, and can still be taken back.
struct Offer {
    /// The sockets, each with this process's end of the way through the later process.
    sockets: Vec<(SocketHandle, UnixStream)>,
}

impl Earlier {
    fn serve(self, listener: &UnixListener, tell: oneshot::Sender<Parted>) {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                tracing::error!(path = %self.path.display(), "no later process can be awaited any more: the Unix socket failed");
                return;
            };
            let mut channel = Channel::new(stream);
            match self.hand_over(&mut channel) {
                Ok(Heard::Described) => {}
                Ok(Heard::HandedOver) => {
                    let conversation = thread::Builder::new()
                        .name("handover".to_owned())
                        .spawn(move || self.go_on(&mut channel));
                    match conversation {
                        Ok(conversation) => drop(tell.send(Parted { conversation })),
                        Err(error) => {
                            tracing::error!(%error, "the later process cannot be told of open calls")
                        }
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!("nothing was handed over, and this process goes on: {error}");
                }
            }
        }
    }

    /// Hands the callers over. After an error nothing is handed over.
    fn hand_over(&self, channel: &mut Channel) -> Result<Heard, HandoverError> {
        channel.wait_at_most(Some(HANDOVER_MESSAGE_WAIT))?;
        let hello = match self.meet(channel) {
            Ok(Some(hello)) => hello,
            Ok(None) => return Ok(Heard::Described),
            Err(error) => {
                channel.refuse(&error.to_string());
                return Err(error);
            }
        };
        tracing::info!(
            process = hello.process,
            version = hello.program,
            "a later router process wants to take over"
        );
        self.stock.lend();
        let done = self.hand_over_to_known(channel);
        if let Err(error) = &done {
            channel.refuse(&error.to_string());
            // The later process must not have the store when this one opens it again.
            channel.await_end();
            self.stock.take_back();
        }
        done.map(|()| Heard::HandedOver)
    }

    /// What the other process begins with; `None` if it only asks how this process was started.
    fn meet(&self, channel: &mut Channel) -> Result<Option<Hello>, HandoverError> {
        channel.check_user()?;
        let hello = match channel.receive()? {
            Some((Kind::Hello(hello), _)) => hello,
            Some((Kind::Describe(_), _)) => {
                describe(channel)?;
                return Ok(None);
            }
            other => return Err(unexpected(other)),
        };
        check_needs(&hello.needs)?;
        if hello.stores != self.stock.data_dir.is_some() {
            return Err(HandoverError::Refused(
                "one process has --data-dir, and the other one has not: start the later process with the options of the running one"
                    .to_owned(),
            ));
        }
        Ok(Some(hello))
    }

    fn hand_over_to_known(&self, channel: &mut Channel) -> Result<(), HandoverError> {
        self.welcome(channel)?;
        // The later process dials all members first.
        channel.wait_at_most(Some(HANDOVER_ASK_WAIT))?;
        let ask = match channel.receive()? {
            Some((Kind::Ask(ask), _)) => ask,
            other => return Err(unexpected(other)),
        };
        channel.wait_at_most(Some(HANDOVER_STEP_WAIT))?;
        self.check_served(&ask.served)?;
        // Nobody but this process can finish the frame to such a caller, and then have its socket.
        let late = self.stock.late.as_ref().map_or(0, Late::count);
        if late > 0 {
            return Err(HandoverError::Refused(format!(
                "{late} connections of callers are on their way from the process before this one: these callers have not read a whole \
                 frame yet. Try again later"
            )));
        }
        // A caller that connects now is the later process's: the sockets of this one close at its end. Strangers that send nothing are not
        // waited for.
        self.runtime.block_on(self.stock.intake.stand_still(HANDOVER_INTAKE_WAIT));
        let done = self.give(channel);
        if done.is_err() {
            self.stock.intake.go_on();
        }
        done
    }

    /// Gives the callers away, or keeps them all.
    fn give(&self, channel: &mut Channel) -> Result<(), HandoverError> {
        let began = std::time::Instant::now();
        let offer = self.offer(channel)?;
        match self.agree(channel) {
            Ok(()) => {
                let count = offer.sockets.len();
                self.part(offer);
                let frozen_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(
                    sockets = count,
                    frozen_ms,
                    "a later process serves the callers now; this one answers the calls that it has, and ends"
                );
                Ok(())
            }
            Err(error) => {
                offer.sockets.iter().for_each(|(socket, _)| socket.thaw());
                Err(error)
            }
        }
    }

    fn welcome(&self, channel: &mut Channel) -> Result<(), HandoverError> {
        let agreed = self.ask(Request::Agreed)?;
        let agreed = ClusterState::holding(*agreed).encode().map_err(io::Error::other)?;
        let listeners = self.stock.listeners.iter();
        let named = listeners
            .clone()
            .map(|(what, asked, _)| Listener { what: (*what).to_owned(), asked: asked.clone() });
        let welcome = Welcome {
            needs: needs(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            seed: self.stock.seed.to_vec(),
            listeners: named.collect(),
            agreed: agreed.into(),
        };
        let descriptors: Vec<BorrowedFd<'_>> = listeners.map(|(_, _, socket)| socket.as_fd()).collect();
        Ok(channel.send(Kind::Welcome(welcome), &descriptors)?)
    }

    /// Whether the later process can serve what this one serves.
    fn check_served(&self, served: &[String]) -> Result<(), HandoverError> {
        let own = self.ask(Request::Status)?.report.groups.into_iter();
        let mut lost = own.filter(|group| {
            group.supply == rcs_core::engine::GroupSupply::Served && !served.contains(&group.name)
        });
        match lost.next() {
            None => Ok(()),
            Some(group) => Err(HandoverError::Refused(format!(
                "group {:?} has a member that gets calls here, and none at the later process: compare the provider files, and see its log \
                 for why it reaches no member",
                group.name
            ))),
        }
    }

    /// Freezes the sockets and sends them with what is known of their callers.
    fn offer(&self, channel: &mut Channel) -> Result<Offer, HandoverError> {
        let sockets = self.ask(Request::Movable)?;
        let mut frozen = self.freeze(sockets)?;
        let offered = self.send_state(channel, &mut frozen);
        if offered.is_err() {
            frozen.values().for_each(|(socket, _)| socket.thaw());
        }
        offered
    }

    /// Freezes the sockets that can be frozen now. A socket that cannot stays with this process.
    fn freeze(
        &self,
        sockets: Vec<(SocketId, SocketHandle)>,
    ) -> Result<HashMap<SocketId, (SocketHandle, Frozen)>, HandoverError> {
        let all = sockets.clone();
        let freezing = async {
            let mut tasks = JoinSet::new();
            for (id, socket) in sockets {
                tasks.spawn(async move { (id, socket.freeze().await.map(|frozen| (socket, frozen))) });
            }
            let mut frozen = HashMap::new();
            while let Some(done) = tasks.join_next().await {
                if let Ok((id, Some(of_socket))) = done {
                    frozen.insert(id, of_socket);
                }
            }
            frozen
        };
        let frozen = self.runtime.block_on(async { timeout(HANDOVER_FREEZE_MAX, freezing).await });
        frozen.map_err(|_| {
            all.iter().for_each(|(_, socket)| socket.thaw());
            io::Error::new(io::ErrorKind::TimedOut, "the callers' sockets did not stand still in time").into()
        })
    }

    fn send_state(
        &self,
        channel: &mut Channel,
        frozen: &mut HashMap<SocketId, (SocketHandle, Frozen)>,
    ) -> Result<Offer, HandoverError> {
        let callers = self.ask(Request::MovedCallers)?;
        let (mut messages, mut offer, mut descriptors) = (Vec::new(), Vec::new(), Vec::new());
        for caller in &callers {
            let mut sockets = Vec::new();
            for id in &caller.sockets {
                let Some((_, of_socket)) = frozen.get(id) else { continue };
                let (here, there) = UnixStream::pair()?;
                here.set_nonblocking(true)?;
                there.set_nonblocking(true)?;
                let meter = &of_socket.under_way;
                sockets.push(message::Socket {
                    number: id.0,
                    unread: of_socket.unread.clone(),
                    header: meter.header().to_vec().into(),
                    left: meter.left(),
                });
                offer.push((*id, here));
                descriptors.push((*id, there));
            }
            if !sockets.is_empty() {
                messages.push(to_message(caller, sockets));
            }
        }
        let bytes = message::Callers { callers: messages }.encode_to_vec();
        let digest = Digest::of(&bytes).bytes().to_vec();
        let pairs = descriptors.iter().filter_map(|(id, there)| {
            let (_, of_socket) = frozen.get(id)?;
            Some([of_socket.connection.as_fd(), there.as_fd()])
        });
        let pairs: Vec<BorrowedFd<'_>> = pairs.flatten().collect();
        channel.send(Kind::State(State { callers: bytes.into(), digest: digest.into() }), &pairs)?;
        let mut sockets = Vec::new();
        for (id, here) in offer {
            if let Some((socket, _)) = frozen.remove(&id) {
                sockets.push((socket, here));
            }
        }
        // Frozen, and of no caller that the engine knows: such sockets stay.
        frozen.values().for_each(|(socket, _)| socket.thaw());
        frozen.clear();
        Ok(Offer { sockets })
    }

    /// Waits until the later process has built everything, and tells it to go on.
    fn agree(&self, channel: &mut Channel) -> Result<(), HandoverError> {
        match channel.receive()? {
            Some((Kind::Built(_), _)) => {}
            other => return Err(unexpected(other)),
        }
        channel.send(Kind::Commit(Commit {}), &[])?;
        let running = |received| match received {
            Some((Kind::Running(_), _)) => Ok(()),
            other => Err(unexpected(other)),
        };
        match channel.receive() {
            Ok(received) => running(received),
            // The later process hangs. After this it cannot say any more that it goes on, and so does not; if it has said so, that is read.
            Err(_) => {
                channel.hear_no_more()?;
                running(channel.receive()?)
            }
        }
    }

    /// The sockets are the later process's, and so are connections that this process accepts from now on.
    fn part(&self, offer: Offer) {
        self.lead(offer);
        self.runtime.block_on(self.control.send(Request::Parted));
    }

    /// This process's ends of the sockets lead through the later process from now on.
    fn lead(&self, offer: Offer) {
        let _inside = self.runtime.enter();
        for (socket, here) in offer.sockets {
            match tokio::net::UnixStream::from_std(here) {
                Ok(here) => socket.lead_through(here),
                Err(error) => {
                    tracing::error!(%error, "a caller's socket is lost in the handover");
                    socket.abort();
                }
            }
        }
    }

    /// Hands over connections that were accepted while the callers went over, and sockets that could not be handed over then. The later process
    /// takes them as they come: if it is dead, there is nobody else for them either.
    fn hand_over_late(&self, channel: &mut Channel) -> Result<(), HandoverError> {
        if self.ask(Request::Movable)?.is_empty() {
            return Ok(());
        }
        let offer = self.offer(channel)?;
        self.lead(offer);
        Ok(())
    }

    /// Tells the later process which calls this one still has, until the owner has ended.
    fn go_on(&self, channel: &mut Channel) {
        // A later process that stands still for a while has the callers all the same.
        let _ = channel.wait_at_most(Some(HANDOVER_ASK_WAIT));
        loop {
            thread::sleep(HANDOVER_OPEN_EVERY);
            let late = self.hand_over_late(channel);
            let open = match self.runtime.block_on(self.control.ask(Request::CallsOfSockets)) {
                Ok(open) => open,
                Err(NoAnswer) if self.control.is_closed() => break,
                Err(NoAnswer) => continue,
            };
            let calls = |(socket, ids): (SocketId, Vec<i64>)| message::Calls { socket: socket.0, ids };
            let open = Open { callers: open.into_iter().map(calls).collect() };
            if channel.send(Kind::Open(open), &[]).is_err() {
                tracing::error!("the later process has ended, and the callers' sockets with it");
                return;
            }
            if let Err(error) = late {
                tracing::debug!(%error, "late connections are tried again");
            }
        }
        let unknowns = &self.stock.unknowns;
        unknowns.flush();
        let mut lines = Vec::new();
        for entry in unknowns.since_lent() {
            if serde_json::to_writer(&mut lines, &entry).is_ok() {
                lines.push(b'\n');
            }
        }
        let _ = channel.send(Kind::Done(Done { unknown: lines.into() }), &[]);
    }

    fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, HandoverError> {
        let answer = self.runtime.block_on(self.control.ask(request));
        answer.map_err(|NoAnswer| HandoverError::Refused(NoAnswer.to_string()))
    }
}
