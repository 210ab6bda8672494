//! Whole clusters with real disks: how they come to be, lose routers and get them back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_consensus::store::{Owner, recover, restore};
use rcs_consensus::{Formed, Machine, NotApplied, NotFormed, Role, RouterId, RoutersChange, Status};
use tokio::time::timeout;

use crate::mesh::{List, Mesh, PANIC, Router, Site, sites};

/// What a loaded machine keeps, for anything that a cluster does by itself.
const SOON: Duration = Duration::from_secs(60);

/// Waits until the router's status is so.
async fn until(router: &Router, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
    let mut status = router.status();
    match timeout(SOON, status.wait_for(|status| is_so(status))).await {
        Ok(found) => found.unwrap().clone(),
        Err(_) => panic!("{what} is not so after {SOON:?}: {:?}", router.status().borrow()),
    }
}

/// Proposes until the command is applied.
async fn write(router: &Router, command: &str) -> u64 {
    let began = Instant::now();
    loop {
        match router.propose(Bytes::copy_from_slice(command.as_bytes())).await {
            Ok(applied) => return applied.index,
            Err(error) => assert!(began.elapsed() < SOON, "{command}: {error}"),
        }
    }
}

async fn list(router: &Router) -> Vec<String> {
    let began = Instant::now();
    while let Err(error) = router.read_barrier().await {
        assert!(began.elapsed() < SOON, "{error}");
    }
    router
        .look(|list| list.0.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect())
        .unwrap_or_default()
}

/// A cluster of three that was made by all of its routers at once.
async fn three() -> (Mesh, Vec<Site>, Vec<Router>) {
    let (mesh, (sites, peers)) = (Mesh::default(), sites(3));
    let mut routers = Vec::new();
    for site in &sites {
        routers.push(site.start(&mesh).await);
    }
    let form = |router: Router| {
        let peers = peers.clone();
        tokio::spawn(async move { timeout(SOON, router.form(&peers, |_| ())).await.unwrap() })
    };
    // The one that makes the cluster is not the first to ask.
    let forming: Vec<_> = routers.iter().rev().cloned().map(form).collect();
    for formed in forming {
        assert_eq!(formed.await.unwrap(), Ok(Formed::Member));
    }
    for router in &routers {
        until(router, "three voters and a leader", |s| s.voters.len() == 3 && s.has_leader()).await;
    }
    (mesh, sites, routers)
}

/// The place of the leader, as all the given routers see it.
async fn leader(routers: &[Router]) -> usize {
    let status = until(&routers[0], "a leader", Status::has_leader).await;
    routers.iter().position(|router| Some(router.id()) == status.leader).expect("the leader is one of them")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_alone_is_a_cluster_and_keeps_its_state() {
    let (mesh, site) = (Mesh::default(), Site::new(1));
    let router = site.start(&mesh).await;
    let peers = [(1, site.address())].into();
    assert_eq!(router.form(&peers, |_| ()).await, Ok(Formed::Member));
    assert_eq!(router.form(&peers, |_| ()).await, Ok(Formed::Member), "a second time changes nothing");
    for number in 0..20 {
        write(&router, &format!("w{number}")).await;
    }
    router.stop().await;
    assert!(matches!(router.status().borrow().role, Role::Down { .. }));
    let again = site.start(&mesh).await;
    assert_eq!(again.form(&peers, |_| ()).await, Ok(Formed::Member));
    write(&again, "after").await;
    assert_eq!(list(&again).await.len(), 21);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_router_takes_writes_and_reads_what_was_acknowledged_anywhere() {
    let (_, _, routers) = three().await;
    for (turn, router) in routers.iter().cycle().take(30).enumerate() {
        write(router, &format!("w{turn}")).await;
        let reader = &routers[(turn + 1) % 3];
        assert!(
            list(reader).await.contains(&format!("w{turn}")),
            "write {turn} is not read at another router"
        );
    }
    for router in routers {
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_lost_is_replaced_and_comes_back_with_all_that_was_acknowledged() {
    let (mesh, sites, mut routers) = three().await;
    write(&routers[0], "before").await;
    let lost = leader(&routers).await;
    mesh.cut(&sites[lost].address());
    routers[lost].stop().await;
    let survivor = routers[(lost + 1) % 3].clone();
    write(&survivor, "without").await;
    assert_eq!(list(&survivor).await, ["before", "without"]);
    routers[lost] = sites[lost].start(&mesh).await;
    write(&routers[lost], "back").await;
    assert_eq!(list(&routers[lost]).await, ["before", "without", "back"]);
    for router in routers {
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_writes_are_refused_within_a_second() {
    let (mesh, sites, routers) = three().await;
    write(&routers[0], "before").await;
    let last = leader(&routers).await;
    for (place, site) in sites.iter().enumerate().filter(|(place, _)| *place != last) {
        mesh.cut(&site.address());
        routers[place].stop().await;
    }
    until(&routers[last], "no majority", |s| {
        s.quorum_heard.is_none_or(|ago| ago > Duration::from_secs(1)) || !s.has_leader()
    })
    .await;
    let began = Instant::now();
    let refused = routers[last].propose(Bytes::from_static(b"refused")).await.unwrap_err();
    let took = began.elapsed();
    assert!(matches!(refused, NotApplied::NoQuorum(_) | NotApplied::Unknown), "{refused:?}");
    assert!(refused.to_string().contains("routers 1, 2, 3"), "{refused}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(
        routers[last].look(|list| list.0.clone()).unwrap(),
        [b"before"],
        "what is known stays readable"
    );
    let other = (last + 1) % 3;
    let back = sites[other].start(&mesh).await;
    write(&back, "again").await;
    assert!(list(&back).await.contains(&"again".to_owned()));
    back.stop().await;
    routers[last].stop().await;
}

/// A router that is started again, and reaches nobody, knows what was decided up to half a second before its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_comes_back_alone_knows_what_was_decided() {
    let (mesh, sites, routers) = three().await;
    let last = write(&routers[0], "decided").await;
    for router in &routers {
        until(router, "the entry is applied", |s| s.applied >= last).await;
    }
    // Nothing is written any more, so the note has no entry to ride along with. The routers end without their last words.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let noted = async {
        loop {
            ticks.tick().await;
            let copy = tempfile::tempdir().unwrap();
            for file in std::fs::read_dir(sites[0].directory.path()).unwrap().flatten() {
                std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
            let alone = sites[0].copied_to(copy);
            let Ok(router) = alone.try_start(&Mesh::default()).await else { continue };
            let known = router.look(|list| list.0.clone()).unwrap_or_default();
            router.stop().await;
            if known == [b"decided"] {
                return;
            }
        }
    };
    timeout(SOON, noted).await.expect("the disk says what was decided");
    assert_eq!(mesh.cut(&sites[0].address()).map(|router| router.id()), Some(routers[0].id()));
    for router in routers {
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_is_added_promoted_replaced_and_removed() {
    let (mesh, mut sites, mut routers) = three().await;
    for number in 0..50 {
        write(&routers[0], &format!("w{number}")).await;
    }
    // A fourth router: it finds the cluster, and waits.
    sites.push(Site::new(4));
    routers.push(sites[3].start(&mesh).await);
    let peers = sites.iter().map(|site| (site.number, site.address())).collect();
    assert_eq!(routers[3].form(&peers, |_| ()).await, Ok(Formed::Stranger));
    let fourth = routers[3].id();
    routers[1].change_routers(RoutersChange::AddLearner(fourth, sites[3].address())).await.unwrap();
    until(&routers[3], "a learner with the log", |s| s.role == Role::Learner && s.applied > 50).await;
    let began = Instant::now();
    while let Err(error) = routers[2].change_routers(RoutersChange::Promote(fourth)).await {
        assert!(began.elapsed() < SOON, "{error}");
    }
    until(&routers[0], "four voters", |s| s.voters.len() == 4).await;
    assert_eq!(list(&routers[3]).await.len(), 50);
    // The second router's disk is lost. The cluster recognises that, and takes the new one in place of the old one.
    mesh.cut(&sites[1].address());
    routers[1].stop().await;
    let old = routers[1].id();
    sites[1] = sites[1].wiped();
    routers[1] = sites[1].start(&mesh).await;
    let refused = routers[1].form(&peers, |_| ()).await.unwrap_err();
    assert!(matches!(&refused, NotFormed::StoreLost { known, .. } if *known == old), "{refused}");
    let new = routers[1].id();
    let twice = routers[0].change_routers(RoutersChange::AddLearner(new, sites[1].address())).await;
    assert!(twice.unwrap_err().to_string().contains("cluster replace"));
    routers[0].change_routers(RoutersChange::Remove(old)).await.unwrap();
    routers[0].change_routers(RoutersChange::AddLearner(new, sites[1].address())).await.unwrap();
    until(&routers[1], "the log again", |s| s.applied > 50).await;
    let began = Instant::now();
    while let Err(error) = routers[0].change_routers(RoutersChange::Promote(new)).await {
        assert!(began.elapsed() < SOON, "{error}");
    }
    assert_eq!(list(&routers[1]).await.len(), 50);
    // And one leaves, the leader.
    let leaving = leader(&routers).await;
    let id = routers[leaving].id();
    let other = (leaving + 1) % 4;
    routers[other].change_routers(RoutersChange::Remove(id)).await.unwrap();
    until(&routers[other], "three voters and a leader", |s| {
        s.voters.len() == 3 && s.leader.is_some_and(|leader| leader != id)
    })
    .await;
    write(&routers[other], "after").await;
    until(&routers[leaving], "removed", |s| s.role == Role::Removed).await;
    for router in routers {
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_with_other_lists_make_no_cluster() {
    let (mesh, (sites, peers)) = (Mesh::default(), sites(3));
    let (one, two) = (sites[0].start(&mesh).await, sites[1].start(&mesh).await);
    let only_two = peers.iter().take(2).map(|(number, address)| (*number, address.clone())).collect();
    // The first that asks sees the difference, and gives up; the other then waits for it.
    let first = async {
        tokio::select! {
            refused = one.form(&peers, |_| ()) => refused,
            refused = two.form(&only_two, |_| ()) => refused,
        }
    };
    let refused = timeout(SOON, first).await.expect("somebody sees the difference");
    assert!(matches!(refused, Err(NotFormed::OtherPeers { .. })), "{refused:?}");
    for router in [&one, &two] {
        assert_eq!(router.status().borrow().role, Role::Waiting);
    }
    one.stop().await;
    two.stop().await;
}

/// The run of one router panics while it applies an entry: that router is down for a moment, and then has what the others have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_takes_the_consensus_part_down_and_up_again() {
    let (_, _, routers) = three().await;
    write(&routers[0], "before").await;
    // Its outcome is lost if the leader is the one that panics.
    let _ = routers[0].propose(Bytes::from_static(PANIC)).await;
    let began = Instant::now();
    let [one, two, three] =
        [0, 1, 2].map(|place| until(&routers[place], "started again", |s| s.restarts > 0));
    tokio::select! { _ = one => (), _ = two => (), _ = three => () }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    write(&routers[1], "after").await;
    for router in &routers {
        let found = list(router).await;
        assert_eq!(found.first().map(String::as_str), Some("before"));
        assert_eq!(found.last().map(String::as_str), Some("after"), "{found:?}");
    }
    for router in routers {
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_has_another_one_elected() {
    let (_, _, routers) = three().await;
    write(&routers[0], "before").await;
    let stopping = leader(&routers).await;
    let id = routers[stopping].id();
    let other = routers[(stopping + 1) % 3].clone();
    let began = Instant::now();
    routers[stopping].stop().await;
    let status = until(&other, "another leader", |s| s.leader.is_some_and(|leader| leader != id)).await;
    println!("router {} leads {:?} after {id} began to stop", status.leader.unwrap(), began.elapsed());
    write(&other, "after").await;
    assert_eq!(list(&other).await, ["before", "after"]);
    for router in routers {
        router.stop().await;
    }
}

/// Two of three routers are lost with their disks. The third one goes on as a cluster of one with all that it has, and grows again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_recovers_the_cluster_after_the_majority_is_lost() {
    let (mesh, sites, routers) = three().await;
    for number in 0..10 {
        write(&routers[0], &format!("w{number}")).await;
    }
    list(&routers[2]).await;
    for router in &routers {
        router.stop().await;
    }
    let owner = Owner { number: 3, incarnation: 333, cluster: None };
    let directory = sites[2].directory.path();
    let rebuilt = recover(directory, &owner, &sites[2].address(), List::default()).await.unwrap();
    assert_eq!(
        (rebuilt.id, rebuilt.id == routers[2].id()),
        (RouterId { number: 3, incarnation: 333 }, false)
    );
    let again = sites[2].start(&mesh).await;
    write(&again, "after").await;
    assert_eq!(list(&again).await.len(), 11);
    let fresh = sites[0].wiped();
    let joined = fresh.start(&mesh).await;
    again.change_routers(RoutersChange::AddLearner(joined.id(), fresh.address())).await.unwrap();
    until(&joined, "the whole log", |s| s.role == Role::Learner && s.applied > rebuilt.index).await;
    assert_eq!(list(&joined).await.len(), 11);
    // The same state out of a backup.
    let backup = again.look(Machine::snapshot).unwrap();
    let site = Site::new(1);
    let owner = Owner { number: 1, incarnation: 5, cluster: Some("mesh".into()) };
    restore(site.directory.path(), &owner, &site.address(), List::default(), &backup).unwrap();
    let twice = restore(site.directory.path(), &owner, &site.address(), List::default(), &backup);
    assert!(twice.unwrap_err().to_string().contains("give an empty --data-dir"));
    let restored = site.start(&Mesh::default()).await;
    write(&restored, "of the backup").await;
    assert_eq!(list(&restored).await.len(), 12);
    for router in [again, joined, restored] {
        router.stop().await;
    }
}
