//! The same commands through the router, line for line as without it.

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::{hr, transcript};

use crate::site::{GROUP, JavaSite, MEMBERS};

/// Both algorithms, a group in the path and the choice by connector key, with 1, 2 and 3 sockets to each member.
#[test]
fn every_command_answers_as_without_a_router() {
    let Some(java) = Java::or_skip("through::every_command_answers_as_without_a_router") else { return };
    let site = JavaSite::start(&java);
    let csv = hr::write(site.scratch.path());
    let mut wrong = Vec::new();
    for algorithm in ["failover", "roundrobin"] {
        for sockets in 1..=3 {
            let router = site.router(algorithm, sockets);
            for group in [Some(GROUP), None] {
                let case = format!("{algorithm}, {sockets} sockets, {group:?}");
                let mut idm = Idm::start_through(&java, &router.url(group), 1);
                assert_eq!(idm.ask("connectors 2"), transcript::CONNECTORS, "{case}");
                let journal = site.journal(&case.replace([' ', '"', '(', ')', ','], ""));
                idm.ok(&journal.use_command());
                let mut lines = transcript::differences(&mut idm, transcript::RIG, &MEMBERS);
                idm.ok(&hr::use_command(&csv));
                lines.extend(transcript::differences(&mut idm, transcript::CSV, &MEMBERS));
                wrong.extend(lines.into_iter().map(|line| format!("{case}: {line}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// V08: hr.csv through a group whose first member was killed gives the same three users.
#[test]
fn hr_csv_reads_the_same_after_the_first_member_is_killed() {
    let Some(java) = Java::or_skip("through::hr_csv_reads_the_same_after_the_first_member_is_killed") else {
        return;
    };
    let mut site = JavaSite::start(&java);
    let csv = hr::write(site.scratch.path());
    let router = site.router("failover", 2);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&hr::use_command(&csv));
    let before = idm.ok("search rows");
    assert!(before.starts_with("3 "), "{before}");
    site.members[0].kill();
    assert_eq!(idm.ok("search rows"), before);
    assert_eq!(idm.ok("search").split(' ').skip(2).collect::<Vec<_>>(), hr::UIDS);
}
