//! Who gets the calls (P4).

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::wait::wait_until;

use crate::bounds::PATIENCE;
use crate::site::{GROUP, JavaSite, MEMBERS};

#[test]
fn round_robin_spreads_exactly() {
    let Some(java) = Java::or_skip("balance::round_robin_spreads_exactly") else { return };
    let site = JavaSite::start(&java);
    let router = site.router("roundrobin", 2);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&site.journal("journal").use_command());
    idm.ok("create name=u0");
    let load = idm.load("get 16 10 u0");
    println!("{load:?}");
    assert_eq!((load.err, load.hung_threads), (0, 0), "{load:?}");
    assert!(load.ok > 1000, "too little to judge by: {load:?}");
    assert!(load.spread(&MEMBERS) <= 1, "{load:?}");
}

#[test]
fn failover_uses_the_first_while_it_lives_and_comes_back_to_it() {
    let Some(java) = Java::or_skip("balance::failover_uses_the_first_while_it_lives_and_comes_back_to_it")
    else {
        return;
    };
    let mut site = JavaSite::start(&java);
    let router = site.router("failover", 2);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&site.journal("journal").use_command());
    idm.ok("create name=u0");

    let first = idm.load("get 8 2 u0");
    assert_eq!(first.served.keys().collect::<Vec<_>>(), ["n1"], "{first:?}");
    site.members[0].kill();
    let second = idm.load("get 8 2 u0");
    assert_eq!(second.served.keys().collect::<Vec<_>>(), ["n2"], "{second:?}");
    assert_eq!((second.err, second.hung_threads), (0, 0), "{second:?}");

    site.members[0].restart(&java);
    router.await_up(GROUP, &MEMBERS);
    wait_until("calls go to the first member again", PATIENCE, || idm.ok("script who") == "n1:who");
    let back = idm.load("get 8 2 u0");
    assert_eq!(back.served.keys().collect::<Vec<_>>(), ["n1"], "{back:?}");
}
