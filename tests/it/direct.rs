//! The baseline: real Java IDM, real Java RCS, nothing between them. Everything else is compared with these lines.

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::rcs::Rcs;
use rcs_rig::{hr, transcript, workspace};

const NOTHING: &[String] = &[];

#[test]
fn every_command_answers_the_baseline_line() {
    let Some(java) = Java::or_skip("direct::every_command_answers_the_baseline_line") else { return };
    let scratch = workspace::scratch();
    let journal = Journal::new(scratch.path(), "journal");
    let rcs = Rcs::start(&java, "n1");
    let mut idm = Idm::start_directly(&java, &rcs.url(), 2);
    assert_eq!(idm.ask("connectors 2"), transcript::CONNECTORS);

    idm.ok(&journal.use_command());
    assert_eq!(transcript::differences(&mut idm, transcript::RIG, &["n1"]), NOTHING);
    let twice: Vec<_> = journal.writes("CREATE").into_iter().filter(|(_, n)| *n != 1).collect();
    assert_eq!(twice, [], "a direct caller never writes twice");

    let csv = hr::write(scratch.path());
    idm.ok(&hr::use_command(&csv));
    assert_eq!(transcript::differences(&mut idm, transcript::CSV, &["n1"]), NOTHING);
}
