//! Who dials and which framework: all four directions, with both published versions of the framework at either end (M01, M02, P2).
//!
//! In each combination a real Java IDM has the whole conversation with a real Java connector server through one router, and the answers are
//! those of a direct connection. Then the router is killed and started again, which shows who comes back by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rcs_rig::idm::Idm;
use rcs_rig::java::{Framework, Java};
use rcs_rig::journal::Journal;
use rcs_rig::ports::free_port;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::{ClientRcs, Rcs};
use rcs_rig::router::Router;
use rcs_rig::wait::{hold, wait_until};
use rcs_rig::{transcript, workspace};

use crate::bounds::PATIENCE;
use crate::router_dials::{RENEWED, dialled_for};

/// What the test shows, as docs/client-mode.md keeps it. In each cell: the framework of the IDM, and that of the connector server.
const CONVERSATIONS: &str = "\
| who dials: IDM and router | who dials: router and server | 1.8.0, 1.8.0 | 1.8.0, 2.0.1 | 2.0.1, 1.8.0 | 2.0.1, 2.0.1 |
|---|---|---|---|---|---|
| the IDM | the router (server mode) | as directly | as directly | as directly | as directly |
| the IDM | the server (client mode) | as directly | as directly | as directly | as directly |
| the router (client mode of the router) | the router (server mode) | as directly | as directly | as directly | as directly |
| the router (client mode of the router) | the server (client mode) | as directly | as directly | as directly | as directly |";

/// Who comes back by itself. The diallers of both versions give up: 2.0.4 is the first one that dials again (WIRE 7.5).
const COMES_BACK: &str = "\
| after the router was killed and started again | 1.8.0 | 2.0.1 |
|---|---|---|
| an IDM that dials the router | stays away | stays away |
| a connector server that dials the router | stays away | stays away |
| an IDM that the router dials | comes back | comes back |
| a connector server that the router dials | comes back | comes back |";

/// Who opens the sockets at one of the router's sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Dials {
    Peer,
    Router,
}

impl Dials {
    const ALL: [Self; 2] = [Self::Peer, Self::Router];
}

/// A connector server of this version that dials the router, or is dialled.
fn member(framework: Framework, dials: Dials) -> String {
    let side = match dials {
        Dials::Router => "near",
        Dials::Peer => "far",
    };
    format!("{side}{}", framework.version().replace('.', ""))
}

fn router_at(provider: &Path, config: &Path, port: u16) -> Router {
    let (config, listen) = (config.display().to_string(), format!("127.0.0.1:{port}"));
    Router::start_with(provider, &["--config", &config, "--listen", &listen])
}

/// One site for all: each Java process costs seconds.
#[test]
fn every_direction_and_version_has_the_whole_conversation() {
    let Some(java) = Java::or_skip("combinations::every_direction_and_version_has_the_whole_conversation")
    else {
        return;
    };
    let (scratch, port) = (workspace::scratch(), free_port());
    let url = |path: &str| format!("ws://127.0.0.1:{port}/openicf/{path}");
    let near = Framework::ALL.map(|of| Rcs::start(&java.on(of), &member(of, Dials::Router)));
    let mut provider = Provider::new();
    for rcs in &near {
        provider = provider.server(rcs.member(), rcs.port(), 2);
    }
    for of in Framework::ALL {
        provider = provider.client(&member(of, Dials::Peer));
    }
    let (provider, config) = (provider.write(scratch.path()), scratch.path().join("router.toml"));
    fs::write(&config, "").expect("scratch is there");
    let router = router_at(&provider, &config, port);
    let _far = Framework::ALL.map(|of| {
        let name = member(of, Dials::Peer);
        ClientRcs::start(&java.on(of), &name, &url(&name))
    });
    for (of, dials) in Framework::ALL.into_iter().flat_map(|of| Dials::ALL.map(|dials| (of, dials))) {
        let name = member(of, dials);
        router.await_up(&name, &[&name]);
    }

    let mut table: Vec<String> = CONVERSATIONS.lines().take(2).map(str::to_owned).collect();
    let mut conversations = 0;
    let (mut callers, mut tables) = (BTreeMap::new(), BTreeMap::new());
    for (idm_dials, rcs_dials) in
        Dials::ALL.into_iter().flat_map(|idm| [Dials::Router, Dials::Peer].map(|rcs| (idm, rcs)))
    {
        let mut row = format!(
            "| {} | {} |",
            match idm_dials {
                Dials::Peer => "the IDM",
                Dials::Router => "the router (client mode of the router)",
            },
            match rcs_dials {
                Dials::Router => "the router (server mode)",
                Dials::Peer => "the server (client mode)",
            }
        );
        for (idm_of, rcs_of) in
            Framework::ALL.into_iter().flat_map(|idm| Framework::ALL.map(|rcs| (idm, rcs)))
        {
            let (java, name) = (java.on(idm_of), member(rcs_of, rcs_dials));
            let (mut idm, dialled) = match idm_dials {
                Dials::Peer => (Idm::start_through(&java, &url(&name), 2), String::new()),
                Dials::Router => dialled_for(&java, &router, &config, &name, RENEWED),
            };
            assert_eq!(idm.ask("connectors 2"), transcript::CONNECTORS, "{row} {name}");
            conversations += 1;
            let journal = Journal::new(scratch.path(), &format!("conversation{conversations}"));
            idm.ok(&journal.use_command());
            let differences = transcript::differences(&mut idm, transcript::RIG, &[&name]);
            assert!(
                differences.is_empty(),
                "{row} IDM {}, {name}: {}",
                idm_of.version(),
                differences.join("\n")
            );
            row.push_str(" as directly |");
            // One of each kind stays, to see whether it comes back: at a server that does.
            if (rcs_of, rcs_dials) == (Framework::Newer, Dials::Router) {
                callers.insert((idm_dials, idm_of.version()), idm);
                tables.insert(idm_of.version(), dialled);
            }
        }
        table.push(row);
    }
    assert_eq!(table.join("\n"), CONVERSATIONS);
    println!("{CONVERSATIONS}");

    fs::write(&config, tables.into_values().collect::<String>()).expect("scratch is there");
    drop(router);
    let journal = Journal::new(scratch.path(), "back");
    assert_eq!(who_comes_back(&router_at(&provider, &config, port), callers, &journal), COMES_BACK);
    println!("{COMES_BACK}");
}

/// The table of who is back at a router that was started again.
fn who_comes_back(router: &Router, mut callers: BTreeMap<(Dials, &str), Idm>, journal: &Journal) -> String {
    // The facade of an IDM may be that of a session that is over.
    let works = |idm: &mut Idm| {
        idm.ask("connectors 2 1") == transcript::CONNECTORS
            && idm.ask(&journal.use_command()).starts_with("ok ")
            && idm.ask("test").trim_end() == "ok"
    };
    let up = |of: Framework, dials| router.is_up(&member(of, dials), &member(of, dials));
    for of in Framework::ALL {
        let name = member(of, Dials::Router);
        router.await_up(&name, &[&name]);
        let idm = callers.get_mut(&(Dials::Router, of.version())).expect("each kind has one");
        wait_until(&format!("the IDM {} that is dialled is back", of.version()), PATIENCE, || works(idm));
    }
    hold("a 2.0.4 dials again within 0.1 s", Duration::from_secs(5), || {
        !Framework::ALL.iter().any(|of| up(*of, Dials::Peer))
    });
    let said = |yes: bool| if yes { "comes back" } else { "stays away" };
    let shown = Framework::ALL.map(|of| {
        let mut idm = |dials| callers.get_mut(&(dials, of.version())).is_some_and(&works);
        [idm(Dials::Peer), up(of, Dials::Peer), idm(Dials::Router), up(of, Dials::Router)].map(said)
    });
    let [stock, newer] = shown;
    let whose = COMES_BACK.lines().skip(2).map(|row| row.split('|').nth(1).unwrap_or_default().trim());
    let rows = whose.zip(stock.into_iter().zip(newer));
    let rows = rows.map(|(whose, (stock, newer))| format!("| {whose} | {stock} | {newer} |"));
    let head = COMES_BACK.lines().take(2).map(str::to_owned);
    head.chain(rows).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_docs_keep_the_tables_of_combinations() {
    let kept = fs::read_to_string(workspace::root().join("docs/client-mode.md")).expect("the page is there");
    for table in [CONVERSATIONS, COMES_BACK] {
        assert!(kept.contains(table), "docs/client-mode.md lacks:\n{table}");
    }
}
