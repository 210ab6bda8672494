//! How a router is told of its cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use rcs_consensus::limits::ROUTERS_MAX;
use rcs_consensus::pki::Files;
use rcs_core::agreed::Authority;

/// A router's place in its cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The router's number.
    pub number: u32,
    /// The address for other routers; none for a router that stands alone.
    pub listen: Option<SocketAddr>,
    /// The routers that make the cluster.
    pub peers: Option<Peers>,
    /// Whether the router waits to be added to a cluster that exists.
    pub join: bool,
    /// Where the state is kept.
    pub directory: PathBuf,
    /// The router's certificate; none for a router that stands alone.
    pub certificates: Option<Files>,
    /// Who decides members and groups; none: as it was.
    pub authority: Option<Authority>,
}

impl ClusterOptions {
    /// The address by which other routers reach this one: its own entry in the list of peers, or the address it listens on. None: nobody
    /// reaches another machine at an address such as 0.0.0.0.
    pub fn own_address(&self) -> Option<String> {
        let listed = self.peers.as_ref().and_then(|peers| peers.0.get(&self.number)).cloned();
        let listens = || self.listen.filter(|address| !address.ip().is_unspecified());
        listed.or_else(|| listens().map(|address| address.to_string()))
    }
}

/// The routers that make a cluster: number and `HOST:PORT` of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers(pub BTreeMap<u32, String>);

/// Why a list of peers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeersError {
    /// An entry of another form.
    #[error(
        "{0:?}: write each router as NUMBER=HOST:PORT, such as 1=router-1:8763, and separate them by commas"
    )]
    Form(String),
    /// A service of another form.
    #[error(
        "{0:?}: write the headless service of the routers as dns:NAME or dns:NAME:PORT, such as dns:rcs-router:8763"
    )]
    Service(String),
    /// A number twice.
    #[error("router {0} is listed twice: give each router a number of its own")]
    Twice(u32),
    /// An address twice.
    #[error("{0} is listed twice: give each router an address of its own")]
    SameAddress(String),
    /// Too many routers.
    #[error("{0} routers: a cluster has at most {ROUTERS_MAX}, three or five is usual")]
    TooMany(usize),
}

impl FromStr for Peers {
    type Err = PeersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut found = BTreeMap::new();
        for entry in text.split(',').map(str::trim) {
            let bad = || PeersError::Form(entry.to_owned());
            let (number, address) = entry.split_once('=').ok_or_else(bad)?;
            let number: u32 = number.trim().parse().ok().filter(|number| *number > 0).ok_or_else(bad)?;
            let address = address.trim();
            let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
            let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            if host.is_empty() || !is_port || address.contains(char::is_whitespace) {
                return Err(bad());
            }
            if found.values().any(|known| known == address) {
                return Err(PeersError::SameAddress(address.to_owned()));
            }
            if found.insert(number, address.to_owned()).is_some() {
                return Err(PeersError::Twice(number));
            }
        }
        match found.len() {
            many if many > ROUTERS_MAX => Err(PeersError::TooMany(many)),
            _ => Ok(Self(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_numbers_and_addresses() {
        for (text, expected) in [
            ("1=a:1", Ok(vec![(1, "a:1")])),
            ("2=b:2, 1=[::1]:1", Ok(vec![(1, "[::1]:1"), (2, "b:2")])),
            ("", Err(PeersError::Form(String::new()))),
            ("a:1", Err(PeersError::Form("a:1".into()))),
            ("0=a:1", Err(PeersError::Form("0=a:1".into()))),
            ("1=a", Err(PeersError::Form("1=a".into()))),
            ("1=a:0", Err(PeersError::Form("1=a:0".into()))),
            ("1=:1", Err(PeersError::Form("1=:1".into()))),
            ("1=a:1,1=b:1", Err(PeersError::Twice(1))),
            ("1=a:1,2=a:1", Err(PeersError::SameAddress("a:1".into()))),
        ] {
            let expected = expected.map(|all| {
                Peers(all.into_iter().map(|(number, address)| (number, address.to_owned())).collect())
            });
            assert_eq!(text.parse::<Peers>(), expected, "{text}");
        }
        let many: Vec<String> = (1..=ROUTERS_MAX + 1).map(|number| format!("{number}=a:{number}")).collect();
        assert_eq!(many.join(",").parse::<Peers>(), Err(PeersError::TooMany(ROUTERS_MAX + 1)));
    }
}
