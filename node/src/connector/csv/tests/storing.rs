//! The file on disk: caching, replacing, locking, and what a crash leaves.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::super::config::Settings;
use super::super::store::Store;
use super::*;

#[test]
fn a_change_by_another_program_is_seen_by_the_next_call() {
    let rig = Rig::new("uid,email\na,0\n");
    for round in 0..50 {
        let value = (round % 10).to_string();
        fs::write(rig.file(), format!("uid,email\na,{value}\n")).unwrap();
        assert_eq!(rig.value("a", "email"), Some(value), "same size, perhaps the same tick of the clock");
    }
}

#[test]
fn a_file_that_takes_its_place_is_seen_though_size_and_time_are_the_same() {
    let rig = Rig::new("uid,email\na,0\n");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let mut seen = Vec::new();
    for value in ["1", "2"] {
        let other = rig.folder.path().join("other");
        fs::write(&other, format!("uid,email\na,{value}\n")).unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, rig.file()).unwrap();
        seen.push(rig.value("a", "email").unwrap());
    }
    assert_eq!(seen, ["1", "2"]);
}

#[test]
fn the_mode_survives_and_a_link_stays_a_link() {
    let rig = Rig::new(HR);
    let real = rig.folder.path().join("real.csv");
    fs::rename(rig.file(), &real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&real, rig.file()).unwrap();
    rig.delete("jdoe").unwrap();
    rig.connector.latest_sync_token(&account()).unwrap();
    assert!(fs::symlink_metadata(rig.file()).unwrap().is_symlink());
    assert_eq!(rig.names().len(), 3, "{:?}", rig.names());
    for name in rig.names() {
        let mode = fs::metadata(rig.folder.path().join(&name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o640, "{name} holds passwords");
    }
}

/// Killed between writing and renaming: the old file is whole, the next writer tidies up, other files are not touched.
#[test]
fn leftovers_of_a_crash_are_not_read_and_are_removed_by_the_next_writer() {
    let rig = Rig::new(HR);
    for name in [".hr.csv.Ab12Cd.rcs-tmp", ".hr.csv.keep", ".other.csv.Ab12Cd.rcs-tmp"] {
        fs::write(rig.folder.path().join(name), "\"uid\",\"em").unwrap();
    }
    assert_eq!(rig.search(None, &none()).unwrap(), ["bjensen", "scarter", "jdoe"]);
    assert_eq!(rig.names().len(), 4, "reading removes nothing");
    rig.delete("jdoe").unwrap();
    assert_eq!(rig.names(), [".hr.csv.keep", ".other.csv.Ab12Cd.rcs-tmp", "hr.csv"]);
}

#[test]
fn a_write_is_one_rename_so_an_open_reader_keeps_the_old_text() {
    let rig = Rig::new(HR);
    let mut open = File::open(rig.file()).unwrap();
    rig.delete("jdoe").unwrap();
    let mut old = String::new();
    std::io::Read::read_to_string(&mut open, &mut old).unwrap();
    assert_eq!(old, HR);
    assert_ne!(open.metadata().unwrap().ino(), fs::metadata(rig.file()).unwrap().ino());
    assert_eq!(rig.names(), ["hr.csv"]);
}

#[test]
fn writers_of_several_instances_lose_nothing() {
    let rig = Rig::new("uid,email\ncounter,0\n");
    thread::scope(|scope| {
        for writer in 0..4 {
            let connector = rig.another();
            scope.spawn(move || {
                for number in 0..10 {
                    let name = attribute("__NAME__", &format!("w{writer}-{number}"));
                    connector.create(&account(), &[name], &none()).unwrap();
                    let object = connector.get(&account(), &Uid::new("counter"), &none()).unwrap();
                    assert!(object.is_some(), "a reader always sees a whole file");
                }
            });
        }
    });
    let mut found = rig.search(None, &none()).unwrap();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 41);
    assert_eq!(rig.names(), ["hr.csv"]);
}

#[test]
fn one_name_created_by_many_at_once_is_created_once() {
    let rig = Rig::new("uid,email\n");
    let made = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let connector = rig.another();
                scope.spawn(move || connector.create(&account(), &[attribute("__NAME__", "x")], &none()))
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        assert!(
            results
                .iter()
                .flat_map(|result| result.as_ref().err())
                .all(|error| error.class == ErrorClass::AlreadyExists)
        );
        results.iter().filter(|result| result.is_ok()).count()
    });
    assert_eq!(made, 1);
    assert_eq!(rig.text(), "uid,email\n\"x\",\n");
}

#[test]
fn a_writer_waits_for_the_lock_of_another_process() {
    let rig = Rig::new(HR);
    let other = File::options().read(true).write(true).open(rig.file()).unwrap();
    other.lock().unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| rig.delete("jdoe"));
        assert_eq!(rig.search(None, &none()).unwrap().len(), 3, "readers do not wait");
        assert!(!writer.is_finished());
        other.unlock().unwrap();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(rig.search(None, &none()).unwrap().len(), 2);
}

/// A lookup costs a `stat`, not a read, once the file's state is older than the clock's grain.
#[test]
fn an_unchanged_file_is_not_read_again() {
    let rig = Rig::new(HR);
    let store = Store::new(
        Settings::read(&configuration(&rig.file(), &[])).unwrap(),
        Memory::default(),
        Folders::default(),
    );
    let reads = || store.reads.load(Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(180);
    let table = store.load().unwrap();
    loop {
        let before = reads();
        assert!(Arc::ptr_eq(&table, &store.load().unwrap()), "what was read again is not parsed again");
        if reads() == before {
            break;
        }
        assert!(Instant::now() < until, "the state of a file that nobody changes is trusted in the end");
    }
    let before = reads();
    for _ in 0..100 {
        store.load().unwrap();
    }
    assert_eq!(reads(), before);
    rig.delete("jdoe").unwrap();
    assert!(!Arc::ptr_eq(&table, &store.load().unwrap()));
}
