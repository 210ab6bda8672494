//! What idle sockets with TLS cost in memory (S01).

use std::fs;

use rcs_proto::driver::descriptors::Descriptors;
use rcs_proto::driver::endpoint::{Caller, EndpointConfig};
use rcs_rig::metrics::Metrics;
use rcs_rig::wait::wait_until;
use tokio::task::JoinSet;

use crate::callers_tls::{Site, made};
use crate::support::PATIENCE;

const SESSIONS: usize = 1_000;
const SOCKETS: usize = 2;
/// The most that an idle socket may take, in a debug build too.
const SOCKET_BYTES: usize = 40 << 10;

/// Memory of the router that is in use by nobody else, in bytes.
fn resident(site: &Site) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", site.router.process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// What one socket takes, if many callers connect to the address with TLS, or without.
fn bytes_of_a_socket(own: &crate::callers_tls::Made, is_tls: bool) -> usize {
    let site = Site::new(own, &[]);
    let target = || {
        let mut target = site.target(own, None);
        if !is_tls {
            (target.port, target.tls) = (site.router.listen.port(), None);
        }
        target
    };
    let connect = || {
        let config = EndpointConfig::new(EndpointConfig::random_identity());
        Caller::connect(target(), SOCKETS, config)
    };
    let _first = site.runtime.block_on(connect()).unwrap();
    let before = resident(&site);
    let callers: Vec<Caller> = site.runtime.block_on(async {
        let mut coming = JoinSet::new();
        for _ in 0..SESSIONS {
            coming.spawn(connect());
        }
        coming.join_all().await.into_iter().map(Result::unwrap).collect()
    });
    let sockets = || Metrics::scrape(site.router.admin).sum("rcs_sockets", &[("side", "downstream")]);
    wait_until("every socket is in", PATIENCE, || sockets() == ((SESSIONS + 1) * SOCKETS) as f64);
    let each = (resident(&site) - before) / (SESSIONS * SOCKETS);
    site.runtime.block_on(async {
        for caller in callers {
            caller.close().await;
        }
    });
    each
}

#[test]
fn an_idle_socket_with_tls_takes_little_memory() {
    Descriptors::raise().unwrap();
    let own = made("router", 300, None);
    let [plain, tls] = [false, true].map(|is_tls| bytes_of_a_socket(&own, is_tls));
    println!("an idle socket takes {plain} bytes without TLS and {tls} with TLS");
    assert!(tls <= SOCKET_BYTES, "{tls}");
}
