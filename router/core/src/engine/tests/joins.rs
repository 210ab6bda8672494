//! A member that joins with other files than its group has gets no call, not even one (P5, G11, G12), however its link and its
//! agent's report come about.

use std::sync::Arc;

use rcs_proto::manifest::{Content, Digest, FileEntry, FileManifest, Root};

use super::world::*;
use crate::balance::Policy;
use crate::bundles::group::Reports;
use crate::engine::{AgentSays, Answer, Event};
use crate::settings::Settings;

/// Members of the group before the one that joins.
const OTHERS: usize = 2;
const FILES: usize = 12;
const JOINS: usize = 100;

/// The content of each file of the group, by its number.
fn content(file: usize) -> Vec<u8> {
    format!("content of file {file}").into_bytes()
}

fn manifest(files: impl IntoIterator<Item = (usize, Vec<u8>)>) -> Arc<FileManifest> {
    let entry = |(number, bytes): (usize, Vec<u8>)| FileEntry {
        root: if number.is_multiple_of(2) { Root::Bundles } else { Root::Lib },
        path: format!("folder/file-{number}.jar"),
        content: Content::File { sha256: Digest::of(&bytes), bytes: bytes.len() as u64 },
        bundle: None,
        link: None,
    };
    Arc::new(FileManifest::of(files.into_iter().map(entry).collect()).unwrap())
}

fn right() -> Vec<(usize, Vec<u8>)> {
    (0..FILES).map(|file| (file, content(file))).collect()
}

/// What the member of this join has that the group has not, and what the difference says of it.
fn wrong(join: usize) -> (Arc<FileManifest>, &'static str) {
    let (mut files, at) = (right(), join / 3 % FILES);
    match join % 3 {
        0 => {
            files.push((FILES + join, content(at)));
            (manifest(files), "added")
        }
        1 => {
            files.remove(at);
            (manifest(files), "missing")
        }
        _ => {
            let byte = join % files[at].1.len();
            files[at].1[byte] ^= 1;
            (manifest(files), "changed")
        }
    }
}

impl World {
    fn report(&mut self, member: usize, files: &Arc<FileManifest>) {
        let name = format!("n{member}");
        let says = AgentSays::Files(std::sync::Arc::clone(files));
        let answer = self.ask(|ticket| Event::Agent { ticket, member: name, says });
        assert_eq!(answer, Answer::Agent(Ok(true)));
    }

    /// Has each member called once, and answers; how many calls the newcomer got.
    fn calls_at_newcomer(&mut self, caller: &[rcs_proto::session::SocketId]) -> usize {
        let mut taken = 0;
        for id in 0..=OTHERS as i64 {
            self.call(caller[0], id, get());
            let (member, socket, id) = self.only_request();
            taken += usize::from(member == OTHERS);
            self.feed(socket, answer(id));
            assert_eq!(self.at_caller(caller).len(), 1);
        }
        taken
    }
}

/// A group of the others, under way, and the newcomer's place.
fn group() -> World {
    let mut world = World::with_members_down(OTHERS + 1, Policy::RoundRobin);
    let mut settings = Settings::default();
    settings.defaults.bundles.reports = Reports::RequireAgent;
    world.set(&settings);
    for member in 0..OTHERS {
        world.start(member);
        world.report(member, &manifest(right()));
    }
    world
}

#[test]
fn of_a_hundred_members_that_join_with_other_files_none_gets_a_call_g11() {
    for join in 0..JOINS {
        let (files, change) = wrong(join);
        let mut world = group();
        let caller = world.caller("idm", 1);
        let mut taken = 0;
        for step in 0..4 {
            // The agent reports before the server listens, between handshake and list, or last.
            if step == join % 4 {
                world.report(OTHERS, &files);
                taken += world.calls_at_newcomer(&caller);
            }
            match step {
                0 => world.pass(std::time::Duration::from_secs(2)),
                1 => world.connect(OTHERS),
                2 => world.tell(OTHERS),
                _ => {}
            }
            taken += world.calls_at_newcomer(&caller);
        }
        let report = world.engine.bundles("g", world.now).unwrap();
        let member = &report.members[OTHERS];
        let difference = member.difference().map(ToString::to_string).unwrap_or_default();
        assert!(difference.starts_with(change), "join {join}: {change}: {difference}");
        assert_eq!((member.standing.label(), taken), ("quarantined", 0), "join {join}");
        // Nothing else kept calls away from the member. The member is tested before it serves.
        world.report(OTHERS, &manifest(right()));
        world.answer_probes();
        assert_eq!(world.calls_at_newcomer(&caller), 1, "join {join}");
    }
}
