//! The addresses on which callers are accepted. The addresses of the command line stay as they are. The addresses that the configuration
//! file gives to groups (`listen`) follow the file.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;

use rcs_core::settings::Settings;
use rcs_core::view::{Transport, View, is_usable_name};
use rcs_proto::driver::listen;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::limits::{LISTEN_AGAIN_EVERY, LISTENERS_MAX};

/// An address for callers, as `--listen` has it: `ADDR` or `ADDR=GROUP`, with TLS `wss://ADDR` or `wss://ADDR=GROUP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAt {
    /// Whether callers speak TLS at the address.
    pub transport: Transport,
    /// The address to listen on. Port 0 picks a free port.
    pub address: SocketAddr,
    /// The group to which the address belongs. `None`: the callers' paths, principals or connectors decide.
    pub group: Option<String>,
}

impl FromStr for ListenAt {
    type Err = String;

    /// Reads `ADDR` or `ADDR=GROUP`, where `ADDR` is `HOST:PORT`. If the host name has several addresses, the first one is used. In front of
    /// an address may stand `wss://` for TLS, or `ws://` for none.
    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, text) = match text.split_once("://") {
            None => (Transport::Plain, text),
            Some(("ws", rest)) => (Transport::Plain, rest),
            Some(("wss", rest)) => (Transport::Tls, rest),
            Some((scheme, _)) => {
                return Err(format!(
                    "{scheme:?} is not spoken at the callers' addresses; write wss://HOST:PORT for TLS, or HOST:PORT"
                ));
            }
        };
        let (address, group) = match text.split_once('=') {
            Some((address, group)) => (address, Some(group)),
            None => (text, None),
        };
        if let Some(group) = group.filter(|group| !is_usable_name(group)) {
            return Err(format!(
                "{group:?} cannot be the name of a group (it is empty, or has a character such as / or :); write ADDR=GROUP with a group \
                 of the provider file, such as 127.0.0.1:8771=hr"
            ));
        }
        let address = resolve(address)?;
        Ok(Self { transport, address, group: group.map(str::to_owned) })
    }
}

/// The address of `HOST:PORT`, the first one if the host name has several.
///
/// # Errors
/// A sentence that says what to write.
pub(crate) fn resolve(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let mut addresses = text.to_socket_addrs().map_err(|error| {
        format!("{text:?} is no address to listen on ({error}); write HOST:PORT, such as 127.0.0.1:8759 or [::1]:8759")
    })?;
    addresses.next().ok_or_else(|| {
        format!("the host name in {text:?} has no address; write an IP address, such as 127.0.0.1:8759")
    })
}

impl Display for ListenAt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scheme = if self.transport == Transport::Tls { "wss://" } else { "" };
        match &self.group {
            None => write!(f, "{scheme}{}", self.address),
            Some(group) => write!(f, "{scheme}{}={group}", self.address),
        }
    }
}

/// A listener and what its address is for.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) socket: TcpListener,
    /// The address that was asked for, and its group.
    pub(crate) at: ListenAt,
    /// Whether the configuration file asks for it.
    follows: Follows,
}

/// How long an address is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// As on the command line: while the router runs.
    Nothing,
    /// As in the configuration file and the provider file.
    Files,
}

impl Bound {
    fn bind(at: ListenAt, follows: Follows) -> io::Result<Self> {
        Ok(Self { socket: listen::bind(at.address)?, at, follows })
    }
}

/// Listens on the addresses of the command line, and on those of the settings for groups that the router has. `given_over` is for a process
/// that takes over: it returns the listening socket of the earlier process, if there is one for the address. The earlier process may have
/// got an address of the settings by a reload, and keep that socket until the handover: [`follow`] tries such an address again.
///
/// # Errors
/// The first address on which the router cannot listen, and why.
pub(crate) fn bind<'a>(
    given: &[ListenAt],
    settings: Option<&Settings>,
    groups: impl Iterator<Item = &'a str>,
    mut given_over: Option<impl FnMut(&ListenAt) -> Option<TcpListener>>,
) -> Result<Vec<Bound>, (SocketAddr, io::Error)> {
    let own = groups.filter_map(|group| {
        let address = settings?.group(group).listen?;
        Some((
            ListenAt { transport: Transport::Plain, address, group: Some(group.to_owned()) },
            Follows::Files,
        ))
    });
    let given = given.iter().map(|at| (at.clone(), Follows::Nothing));
    let bound = |(at, follows): (ListenAt, Follows)| {
        let address = at.address;
        if let Some(socket) = given_over.as_mut().and_then(|given_over| given_over(&at)) {
            return Some(Ok(Bound { socket, at, follows }));
        }
        match Bound::bind(at, follows) {
            Err(_) if follows == Follows::Files && given_over.is_some() => None,
            bound => Some(bound.map_err(|error| (address, error))),
        }
    };
    given.chain(own).filter_map(bound).collect()
}

/// The addresses that the settings ask for, with their groups. The reader of the configuration file bounds them to [`LISTENERS_MAX`].
fn wanted(view: &View) -> BTreeMap<SocketAddr, String> {
    let own = |group: &rcs_core::view::Group| Some((group.settings.listen?, group.name.clone()));
    view.groups().iter().filter_map(own).take(LISTENERS_MAX).collect()
}

/// Serves `bound` with `serve`, and follows the view. When a group gets an address, the router listens there; when the address is taken
/// away, it is closed. Accepted connections stay. If the router cannot listen on an address, that is logged once and tried again. Dropping
/// the future closes all listeners.
pub(crate) async fn follow(
    bound: Vec<Bound>,
    mut view: watch::Receiver<Arc<View>>,
    serve: impl Fn(tokio::net::TcpListener, Transport, Option<Arc<str>>) -> JoinHandle<()>,
) {
    let mut open = Open { serve, fixed: Vec::new(), own: BTreeMap::new(), failed: BTreeMap::new() };
    for one in bound {
        open.add(one);
    }
    let mut again = interval(LISTEN_AGAIN_EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wanted = wanted(&view.borrow_and_update());
        open.settle(&wanted).await;
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            _ = again.tick(), if !open.failed.is_empty() => {}
        }
    }
}

/// A running listener. Dropping this value closes the listener.
struct Serving {
    group: Option<String>,
    task: JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Open<S> {
    serve: S,
    fixed: Vec<Serving>,
    /// The listeners that the settings ask for, by the address in the settings.
    own: BTreeMap<SocketAddr, Serving>,
    /// Addresses on which the router could not listen, with the error that was logged.
    failed: BTreeMap<SocketAddr, String>,
}

impl<S: Fn(tokio::net::TcpListener, Transport, Option<Arc<str>>) -> JoinHandle<()>> Open<S> {
    fn add(&mut self, bound: Bound) {
        let Bound { socket, at: ListenAt { transport, address, group }, follows } = bound;
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => {
                let task = (self.serve)(listener, transport, group.as_deref().map(Arc::from));
                let serving = Serving { group, task };
                match follows {
                    Follows::Nothing => self.fixed.push(serving),
                    Follows::Files => drop(self.own.insert(address, serving)),
                }
            }
            Err(error) => self.fail(address, group.as_deref().unwrap_or_default(), &error),
        }
    }

    async fn settle(&mut self, wanted: &BTreeMap<SocketAddr, String>) {
        self.failed.retain(|address, _| wanted.contains_key(address));
        let is_wanted =
            |address: &SocketAddr, serving: &Serving| wanted.get(address) == serving.group.as_ref();
        let gone: Vec<SocketAddr> =
            self.own.iter().filter(|(at, serving)| !is_wanted(at, serving)).map(|(at, _)| *at).collect();
        for address in gone {
            let Some(mut serving) = self.own.remove(&address) else { continue };
            serving.task.abort();
            // The address is free only once the task has ended. An aborted task ends with an error, which is ignored.
            let _ = (&mut serving.task).await;
            let group = serving.group.as_deref().unwrap_or_default();
            tracing::info!(%address, group, "the address of the group is closed; open connections stay");
        }
        for (address, group) in wanted {
            if self.own.contains_key(address) {
                continue;
            }
            let at = ListenAt { transport: Transport::Plain, address: *address, group: Some(group.clone()) };
            match Bound::bind(at, Follows::Files) {
                Ok(bound) => {
                    self.failed.remove(address);
                    self.add(bound);
                    tracing::info!(%address, group, "callers of the group are accepted at its own address");
                }
                Err(error) => self.fail(*address, group, &error),
            }
        }
    }

    fn fail(&mut self, address: SocketAddr, group: &str, error: &io::Error) {
        let why = error.to_string();
        if self.failed.get(&address) != Some(&why) {
            tracing::error!(
                %address, group,
                "cannot listen at the address of the group: {why}. Choose another address for listen in the configuration \
                 file, or stop the process that uses this one; retrying"
            );
            self.failed.insert(address, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use rcs_core::ids::NameBook;
    use rcs_core::settings::GroupSettings;
    use rcs_core::view::{AdminState, Link, MemberSpec};
    use tokio::net::TcpStream;
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn an_address_may_have_a_group_and_a_host_name() {
        let at = |text: &str| text.parse::<ListenAt>();
        let address: SocketAddr = "127.0.0.1:8771".parse().unwrap();
        let hr = Some("hr".to_owned());
        for (text, transport, group) in [
            ("127.0.0.1:8771", Transport::Plain, None),
            ("ws://127.0.0.1:8771", Transport::Plain, None),
            ("127.0.0.1:8771=hr", Transport::Plain, hr.clone()),
            ("wss://127.0.0.1:8771", Transport::Tls, None),
            ("wss://127.0.0.1:8771=hr", Transport::Tls, hr),
        ] {
            let read = at(text).unwrap();
            assert_eq!(read, ListenAt { transport, address, group });
            assert_eq!(read.to_string(), text.trim_start_matches("ws://"));
        }
        assert_eq!(at("127.0.0.1:8771=a=b").unwrap().group.as_deref(), Some("a=b"));
        assert_eq!(at("[::1]:1").unwrap().address, "[::1]:1".parse().unwrap());
        let localhost = at("localhost:8771=hr").unwrap();
        assert!(localhost.address.ip().is_loopback() && localhost.address.port() == 8771);
        for (bad, part) in [
            ("", "HOST:PORT"),
            ("https://127.0.0.1:1", "wss://HOST:PORT"),
            ("8759", "HOST:PORT"),
            ("127.0.0.1", "HOST:PORT"),
            ("127.0.0.1:x", "HOST:PORT"),
            ("127.0.0.1:1=", "ADDR=GROUP"),
            ("127.0.0.1:1=a/b", "ADDR=GROUP"),
        ] {
            let error = at(bad).unwrap_err();
            assert!(error.contains(part), "{bad:?}: {error}");
        }
    }

    fn view(listen: Option<SocketAddr>) -> Arc<View> {
        let member = MemberSpec {
            name: "hr".to_owned(),
            link: Link::Accept,
            sockets: 1,
            ping_interval: None,
            admin: AdminState::Enabled,
        };
        let mut settings = Settings::default();
        settings.groups.insert("hr".to_owned(), GroupSettings { listen, ..GroupSettings::default() });
        // A group that is not in the document gets no address.
        let other = Some(([127, 0, 0, 1], 1).into());
        settings
            .groups
            .insert("gone".to_owned(), GroupSettings { listen: other, ..GroupSettings::default() });
        let view = View::build(&mut NameBook::default(), vec![member], Vec::new()).unwrap();
        Arc::new(view.with_settings(&settings))
    }

    #[tokio::test]
    async fn the_address_of_a_group_follows_the_settings_and_a_taken_one_is_tried_again() {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, taken) = (free().local_addr().unwrap(), free());
        let second = taken.local_addr().unwrap();
        let (publish, views) = watch::channel(view(Some(first)));
        let (served, mut serves) = mpsc::unbounded_channel();
        let serve = move |listener: tokio::net::TcpListener, _: Transport, group: Option<Arc<str>>| {
            served.send((listener.local_addr().unwrap(), group)).unwrap();
            tokio::spawn(async move {
                loop {
                    let _ = listener.accept().await;
                }
            })
        };
        let following = tokio::spawn(follow(Vec::new(), views, serve));
        let hr = Some(Arc::from("hr"));
        assert_eq!(serves.recv().await, Some((first, hr.clone())));
        TcpStream::connect(first).await.unwrap();
        publish.send(view(Some(second))).unwrap();
        // The first address is closed, although the router cannot listen on the second one yet.
        drop(free());
        drop(taken);
        assert_eq!(serves.recv().await, Some((second, hr)));
        TcpStream::connect(first).await.expect_err("closed");
        publish.send(view(None)).unwrap();
        drop(publish);
        following.await.unwrap();
        TcpStream::connect(second).await.expect_err("closed");
    }
}
