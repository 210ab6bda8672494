//! A router with a data directory starts again with all that it knew, however much that is.

use std::time::{Duration, Instant};

use rcs_rig::metrics::Metrics;
use rcs_rig::wait::wait_until;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Router, file, scratch};

/// Members of each group.
const MEMBERS: usize = 10;
/// Groups of a usual run; with `RCS_LONG=1` ten times as many.
const GROUPS: usize = 100;
const GROUPS_LONG: usize = 1_000;

/// Members in client mode, so that the router dials nobody and the start itself is measured.
fn document(groups: usize) -> Value {
    let name = |group: usize, member: usize| format!("g{group}m{member}");
    let clients = (0..groups * MEMBERS)
        .map(|at| json!({"type": "remoteConnectorClient", "name": name(at / MEMBERS, at % MEMBERS), "enabled": true}));
    let listed = (0..groups).map(|group| {
        let members: Vec<Value> = (0..MEMBERS).map(|at| json!({"name": name(group, at)})).collect();
        json!({"type": "remoteConnectorServersGroup", "name": format!("g{group}"), "algorithm": "roundrobin",
            "serversList": members})
    });
    json!({"remoteConnectorServers": [], "remoteConnectorClients": clients.collect::<Vec<_>>(),
        "remoteConnectorServersGroups": listed.collect::<Vec<_>>()})
}

#[test]
fn a_large_state_is_there_again_after_a_restart() {
    let groups = if std::env::var_os("RCS_LONG").is_some() { GROUPS_LONG } else { GROUPS };
    let members = groups * MEMBERS;
    let folder = scratch();
    let provider = file(&folder, "provider.json", &document(groups).to_string());
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut revision = 0;
    for run in ["first start", "second start", "third start"] {
        let begun = Instant::now();
        let mut router = Router::serve(provider.as_ref(), &["--dev", "--data-dir", data.to_str().unwrap()]);
        let ready = begun.elapsed();
        router.await_alive();
        let alive = begun.elapsed();
        let mut known = Value::Null;
        wait_until("all members are known", PATIENCE, || {
            known = serde_json::from_str(&router.get("/v1/members").1).unwrap_or_default();
            known.as_array().is_some_and(|all| all.len() >= members)
        });
        let whole = begun.elapsed();
        let cluster: Value = serde_json::from_str(&router.get("/v1/cluster").1).unwrap_or_default();
        assert!(
            revision == 0 || cluster["revision"] == revision,
            "{run}: nothing is applied twice: {cluster}"
        );
        revision = cluster["revision"].as_u64().unwrap();
        let shown = Metrics::scrape(router.admin);
        let (cpu, memory) = (
            shown.sum("process_cpu_seconds_total", &[]),
            shown.sum("process_resident_memory_bytes", &[]) / f64::from(1 << 20),
        );
        println!(
            "{run}, {members} members: ready line after {ready:.2?}, /livez {alive:.2?}, all members {whole:.2?}; {cpu:.2} s of a processor, {memory:.0} MiB"
        );
        router.process.signal(Signal::TERM);
        router.process.wait(PATIENCE.max(Duration::from_secs(60)));
    }
}
