//! `rcs-router serve`

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, ValueEnum};
use rcs_cli::{Exit, Failure};
use rcs_consensus::limits::ROUTERS_MAX;
use rcs_consensus::pki::Files;
use rcs_core::agreed::Authority;

use super::tls::TlsArguments;
use crate::app::{
    self, AdminAt, ClusterOptions, ListenAt, Mode, Options, Peers, PeersOption, ServiceError, SpillTo,
};
use crate::limits::{LISTENERS_MAX, THREADS_MAX};

const THREADS: RangeInclusive<i64> = 1..=THREADS_MAX as i64;
const EXPECT: RangeInclusive<i64> = 1..=ROUTERS_MAX as i64;

/// Run the router: accept OpenICF connections and distribute their calls over the members of the provider document.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// IDM's provisioner.openicf.connectorinfoprovider document; the router follows changes of the file.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_PROVIDER")]
    provider: PathBuf,
    /// Address to which IDMs connect: ws://ADDR/openicf/GROUP, or ws://ADDR/openicf to choose the group by the principal or by the
    /// connector of each call. ADDR=GROUP gives a group an address of its own, which an IDM needs that can send neither the path nor
    /// the principal (OpenIDM 6.3.0). wss://ADDR or wss://ADDR=GROUP is an address with TLS, and needs --tls-cert or --key-store. May be
    /// repeated, or separate the addresses by commas.
    #[arg(long, value_name = "ADDR[=GROUP]", default_value = "127.0.0.1:8759", action = ArgAction::Append, value_delimiter = ',', env = "RCS_ROUTER_LISTEN")]
    listen: Vec<ListenAt>,
    /// Address of /livez, /readyz, /metrics and the API. https://ADDR is an address with TLS, and needs --tls-cert or --key-store. Changes
    /// need a token. At a loopback address everybody may read. At any other address reading needs a token of any role, except for /livez,
    /// /readyz and /metrics.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8760", env = "RCS_ROUTER_ADMIN")]
    admin: AdminAt,
    /// Require a token for /metrics too, where reading needs a token. Give Prometheus a token with the role viewer.
    #[arg(long, env = "RCS_ROUTER_PROTECT_METRICS", value_parser = FalseyValueParser::new())]
    protect_metrics: bool,
    /// A DNS name of the admin address. Repeat the option for each name that clients use in their URLs, or separate the names by commas.
    /// Addresses, localhost, names without a dot and names of private networks (.local, .internal, .svc) need no entry. "*" accepts
    /// every name.
    #[arg(long = "admin-host", value_name = "NAME", action = ArgAction::Append, value_delimiter = ',', env = "RCS_ROUTER_ADMIN_HOST")]
    admin_hosts: Vec<String>,
    /// File whose first line is the key that callers must send; a second line may have another key, while a new key replaces the old one.
    /// The router follows changes of the file.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CALLER_KEY_FILE")]
    caller_key_file: Option<PathBuf>,
    /// File that names each caller, with the groups that the caller may use, and each member in client mode. An entry has hashes of keys, or
    /// the issuer of access tokens (TOML, see docs/identities.md). A caller without an entry is refused, unless the caller has the key of
    /// --caller-key-file. The router follows changes of the file.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// File whose first line is the token that API requests must carry to change anything; a second line may have another token, while a
    /// new token replaces the old one. The router follows changes of the file. Without this option the token is read from the variable
    /// RCS_ROUTER_TOKEN. If no token is set, changes are refused (except with --dev on a loopback address).
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
    /// Serve the part of IDM's own REST interface that has to do with connector servers, on the admin address: programs that were made for
    /// IDM read and replace the provider document there. Every request needs the token.
    #[arg(long, env = "RCS_ROUTER_IDM_API", value_parser = FalseyValueParser::new())]
    idm_api: bool,
    /// Trust store for members with useSSL, needed if there are such members: their certificates, or those of the authorities that
    /// signed them (PEM, DER or PKCS12). The router follows changes of the file.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_TRUST_STORE")]
    trust_store: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArguments,
    /// Directory for answers that slow callers have not read yet and that exceed the memory for them (encrypted, in files without
    /// names); "none" for memory only. Default: the system's directory for temporary files.
    #[arg(long, value_name = "DIR", env = "RCS_ROUTER_SPILL_DIR")]
    spill_dir: Option<PathBuf>,
    /// Worker threads; the default is half of the processors.
    #[arg(long, value_name = "N", default_value_t = app::default_threads(), value_parser = clap::value_parser!(u16).range(THREADS), env = "RCS_ROUTER_THREADS")]
    threads: u16,
    /// Directory in which the router keeps what was decided (marks, bundle sets, and in a cluster everything that its routers agree on),
    /// and calls with an unknown outcome until they are acknowledged; without it both are kept in memory. It must exist, and belong to
    /// one router.
    #[arg(long, value_name = "DIR", env = "RCS_ROUTER_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The router's number in its cluster, 1 or more. Each router has its own. Default: 1, or what the host name says, with --peers dns:.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535), env = "RCS_ROUTER_ID", help_heading = CLUSTER)]
    id: Option<u32>,
    /// Address on which the other routers of the cluster reach this one.
    #[arg(long, value_name = "ADDR", requires_all = ["data_dir", "cluster_certs"], env = "RCS_ROUTER_CLUSTER", help_heading = CLUSTER)]
    cluster: Option<SocketAddr>,
    /// The routers that make the cluster, as NUMBER=HOST:PORT, separated by commas; the same list for each router. Once the cluster is
    /// made, only the router's own entry counts: the address at which the others reach this router. For a StatefulSet: dns:NAME[:PORT],
    /// the headless service, with --expect. The pod SET-0 is router 1 at SET-0.NAME:PORT, and so on. Without PORT, the port of --cluster
    /// counts.
    #[arg(long, value_name = "LIST", requires = "cluster", env = "RCS_ROUTER_PEERS", help_heading = CLUSTER)]
    peers: Option<PeersOption>,
    /// How many routers make the cluster, with --peers dns:.
    #[arg(long, value_name = "N", requires = "peers", value_parser = clap::value_parser!(u32).range(EXPECT), env = "RCS_ROUTER_EXPECT", help_heading = CLUSTER)]
    expect: Option<u32>,
    /// Wait to be added to a cluster that exists: rcs-router cluster add N=HOST:PORT.
    #[arg(long, requires = "cluster", env = "RCS_ROUTER_JOIN", value_parser = FalseyValueParser::new(), help_heading = CLUSTER)]
    join: bool,
    /// Directory with ca.pem, router-N.pem and router-N.key, as `rcs-router cluster init` makes them. The router follows changes of the
    /// files.
    #[arg(long, value_name = "DIR", env = "RCS_ROUTER_CLUSTER_CERTS", help_heading = CLUSTER)]
    cluster_certs: Option<PathBuf>,
    /// Who decides members and groups: the provider file, whenever the file changes, or the cluster, which the file only fills at first.
    /// Without this option whoever decided before goes on; at first the file decides. Give all routers of a cluster the same.
    #[arg(long, value_name = "WHO", value_enum, requires = "data_dir", env = "RCS_ROUTER_AUTHORITY", help_heading = CLUSTER)]
    authority: Option<Who>,
    /// Settings of the router and its groups (TOML, see router.toml.example); the router follows changes of the file.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CONFIG")]
    config: Option<PathBuf>,
    /// A Unix socket. If a router runs there, this process takes over from it: the addresses and the sockets of callers without TLS go over,
    /// and the running router ends once its open calls have answers. Then this process waits there for the next one. See
    /// docs/operating.md.
    #[arg(long, value_name = "SOCKET", env = "RCS_ROUTER_TAKE_OVER")]
    take_over: Option<PathBuf>,
    /// Development mode: accept well-known keys; without a key file callers use "changeit". Never in production.
    #[arg(long, env = "RCS_ROUTER_DEV", value_parser = FalseyValueParser::new())]
    dev: bool,
}

const CLUSTER: &str = "Cluster";

/// Who decides members and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Who {
    File,
    Cluster,
}

impl Arguments {
    /// The router's place in its cluster; none without a data directory.
    fn cluster(&self) -> Result<Option<ClusterOptions>, Failure> {
        let Some(directory) = self.data_dir.clone() else { return Ok(None) };
        let (number, peers) = self.place()?;
        if let (Some(peers), false) = (&peers, self.join)
            && !peers.0.contains_key(&number)
        {
            return Err(Exit::Usage.with(match self.expect {
                None => format!("--peers does not list router {number}: add it, or start the router with --join"),
                Some(expect) => format!(
                    "--expect {expect} makes a cluster of the routers 1 to {expect}, and the host name says that this is router {number}: \
                     expect more, or start the router with --join"
                ),
            }));
        }
        Ok(Some(ClusterOptions {
            number,
            listen: self.cluster,
            peers,
            join: self.join,
            directory,
            certificates: self
                .cluster
                .and(self.cluster_certs.as_deref())
                .map(|dir| Files::in_folder(dir, number)),
            authority: self.authority.map(|who| match who {
                Who::File => Authority::File,
                Who::Cluster => Authority::Cluster,
            }),
        }))
    }

    /// The router's number, and the routers that make the cluster.
    fn place(&self) -> Result<(u32, Option<Peers>), Failure> {
        let usage = |text: &str| Exit::Usage.with(text);
        match (&self.peers, self.expect) {
            (Some(PeersOption::Service(service)), Some(expect)) => {
                let own_port = self.cluster.map_or(0, |address| address.port());
                let host = host_name();
                let routers = service.routers(&host, own_port, expect);
                let (number, peers) = routers.map_err(|error| usage(&error.to_string()))?;
                match self.id {
                    Some(id) if id != number => {
                        Err(usage(&ServiceError::OtherNumber { id, host, number }.to_string()))
                    }
                    _ => Ok((number, Some(peers))),
                }
            }
            (Some(PeersOption::Service(_)), None) => {
                Err(usage("--peers dns: needs --expect N, the number of routers that make the cluster"))
            }
            (_, Some(_)) => Err(usage(
                "--expect goes with --peers dns:NAME only: a list says itself how many routers there are",
            )),
            (Some(PeersOption::Listed(peers)), None) => Ok((self.id.unwrap_or(1), Some(peers.clone()))),
            (None, None) => Ok((self.id.unwrap_or(1), None)),
        }
    }
}

/// The name of this machine, or of this pod.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.listen.len() > LISTENERS_MAX {
        return Err(Exit::Usage
            .with(format!("--listen: at most {LISTENERS_MAX} addresses. Use paths for further groups")));
    }
    let cluster = arguments.cluster()?;
    let options = Options {
        cluster,
        provider: arguments.provider,
        config: arguments.config,
        listen: arguments.listen,
        admin: arguments.admin,
        protects_metrics: arguments.protect_metrics,
        admin_hosts: arguments.admin_hosts,
        caller_key_file: arguments.caller_key_file,
        credentials: arguments.credentials,
        admin_token_file: arguments.admin_token_file,
        has_idm_api: arguments.idm_api,
        trust_store: arguments.trust_store,
        tls: arguments.tls.files().map_err(|why| Exit::Usage.with(why))?,
        spill: match arguments.spill_dir {
            None => SpillTo::System,
            Some(directory) if directory.as_os_str() == "none" => SpillTo::Nowhere,
            Some(directory) => SpillTo::Directory(directory),
        },
        data_dir: arguments.data_dir,
        take_over: arguments.take_over,
        mode: if arguments.dev { Mode::Development } else { Mode::Production },
        threads: arguments.threads,
    };
    if options.cluster.is_none() {
        tracing::info!(
            "the state is kept in memory: a restart forgets which members were drained or disabled, and which bundle sets were \
             committed or pinned by command. Start the router with --data-dir to keep it"
        );
    }
    if options.mode == Mode::Development && options.caller_key_file.is_none() {
        tracing::warn!("--dev: callers are accepted with the well-known key");
    }
    app::serve(&options).map_err(|error| Exit::from(&error).with(error.to_string()))
}
