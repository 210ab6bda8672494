//! The routers of a StatefulSet: all pods have the same arguments, and each pod finds its number and the names of the others by its host name.

use std::collections::BTreeMap;
use std::str::FromStr;

use rcs_consensus::limits::ROUTERS_MAX;

use super::{Peers, PeersError};

/// What `--peers` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeersOption {
    /// Every router by number and address.
    Listed(Peers),
    /// The pods behind a headless service.
    Service(Service),
}

/// A headless service, as `dns:NAME[:PORT]` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    name: String,
    /// None: the port of this router's own cluster address, as all pods have the same arguments.
    port: Option<u16>,
}

/// A pod of a StatefulSet by its host name: `rcs-router-0` is the pod 0 of `rcs-router`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pod {
    set: String,
    ordinal: u32,
}

/// Why the routers of a service cannot be named. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The host name has no ordinal.
    #[error(
        "--peers dns: takes this router's number from the host name, and {0:?} is not NAME-0, NAME-1 and so on, as pods of a StatefulSet are \
         called: give the routers one by one, as --peers 1=HOST:PORT,2=HOST:PORT,3=HOST:PORT with --id"
    )]
    HostName(String),
    /// The number of the host name is not that of the arguments.
    #[error(
        "--id says that this is router {id}, and the host name {host:?} that it is router {number}: leave --id out with --peers dns:"
    )]
    OtherNumber {
        /// The number of `--id`.
        id: u32,
        /// The host name.
        host: String,
        /// The number by the host name.
        number: u32,
    },
}

impl Service {
    /// The number of the router with this host name, and the routers that make the cluster: `expect` of them, from the pod 0 on. The pod N is
    /// router N+1. `own_port` is the port of this router's cluster address.
    ///
    /// # Errors
    /// [`ServiceError::HostName`]
    pub fn routers(&self, host: &str, own_port: u16, expect: u32) -> Result<(u32, Peers), ServiceError> {
        let pod = Pod::of(host).ok_or_else(|| ServiceError::HostName(host.to_owned()))?;
        let port = self.port.unwrap_or(own_port);
        let address = |ordinal: u32| format!("{}-{ordinal}.{}:{port}", pod.set, self.name);
        let all: BTreeMap<u32, String> = (0..expect).map(|ordinal| (ordinal + 1, address(ordinal))).collect();
        Ok((pod.ordinal + 1, Peers(all)))
    }
}

impl Pod {
    /// The first label of the host name counts, as a host name may be written with its domain.
    fn of(host: &str) -> Option<Self> {
        let label = host.split('.').next()?;
        let (set, ordinal) = label.rsplit_once('-')?;
        let is_plain = !set.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
        let ordinal = ordinal.parse().ok().filter(|ordinal| is_plain && *ordinal < NUMBER_MAX)?;
        Some(Self { set: set.to_owned(), ordinal })
    }
}

/// The largest number of a router (`--id`).
const NUMBER_MAX: u32 = 65_535;
const _: () = assert!(ROUTERS_MAX < NUMBER_MAX as usize);

impl FromStr for PeersOption {
    type Err = PeersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(service) = text.trim().strip_prefix("dns:") else { return text.parse().map(Self::Listed) };
        let bad = || PeersError::Service(text.to_owned());
        let (name, port) = match service.split_once(':') {
            None => (service, None),
            Some((name, port)) => {
                (name, Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad)?))
            }
        };
        let is_name = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        match name.strip_suffix('.').unwrap_or(name).split('.').all(is_name) {
            true => Ok(Self::Service(Service { name: name.to_owned(), port })),
            false => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(text: &str) -> Service {
        match text.parse() {
            Ok(PeersOption::Service(service)) => service,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_service_is_a_name_and_perhaps_a_port() {
        for (text, name, port) in [
            ("dns:rcs-router", "rcs-router", None),
            ("dns:rcs-router.ns.svc.cluster.local.:8763", "rcs-router.ns.svc.cluster.local.", Some(8763)),
        ] {
            assert_eq!(service(text), Service { name: name.to_owned(), port }, "{text}");
        }
        for text in ["dns:", "dns::1", "dns:a:0", "dns:a:b", "dns:a b", "dns:a,b", "dns:a..b", "dns:[::1]:1"]
        {
            assert_eq!(text.parse::<PeersOption>(), Err(PeersError::Service(text.to_owned())), "{text}");
        }
        assert_eq!("1=a:1".parse(), Ok(PeersOption::Listed("1=a:1".parse().unwrap())));
    }

    #[test]
    fn a_pod_finds_its_number_and_the_names_of_all() {
        let service = service("dns:peers.ns");
        let all: Peers = "1=my-set-0.peers.ns:7,2=my-set-1.peers.ns:7,3=my-set-2.peers.ns:7".parse().unwrap();
        for (host, number) in [("my-set-0", 1), ("my-set-2.peers.ns.svc", 3), ("my-set-7", 8)] {
            assert_eq!(service.routers(host, 7, 3), Ok((number, all.clone())), "{host}");
        }
        for host in ["router", "router-", "-1", "router-1a", "router-+1", "router-99999999999", ""] {
            assert_eq!(service.routers(host, 7, 3), Err(ServiceError::HostName(host.to_owned())), "{host}");
        }
    }
}
