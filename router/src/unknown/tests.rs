use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn entry(id: &str, at: &str) -> Entry {
    Entry { id: id.to_owned(), at: at.to_owned(), op: "create".to_owned(), ..Entry::default() }
}

fn ids(list: &Unknowns) -> Vec<String> {
    list.list(|_| true).into_iter().map(|entry| entry.id).collect()
}

fn call(id: &str, at: Option<&str>) -> Which {
    Which::Call { id: id.to_owned(), at: at.map(str::to_owned) }
}

#[test]
fn entries_outlive_the_process_until_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let list = Unknowns::open(Some(folder.path())).unwrap();
    for id in ["1", "2", "3"] {
        list.record(entry(id, "2026-11-29T08:00:00Z"));
    }
    list.flush();
    let file = folder.path().join("unknown-outcomes.jsonl");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(list.acknowledge(&call("2", None)), Ok(1));
    list.flush();
    drop(list);

    let list = reopened(folder.path());
    assert_eq!(ids(&list), ["1", "3"]);
    assert_eq!(list.acknowledge(&Which::All), Ok(2));
    list.flush();
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

/// When a list is dropped, its thread ends and gives the directory up.
fn reopened(folder: &Path) -> Unknowns {
    loop {
        match Unknowns::open(Some(folder)) {
            Err(DataDirError::InUse(_)) => thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

#[test]
fn an_id_that_several_calls_have_needs_the_time() {
    let list = Unknowns::open(None).unwrap();
    list.record(entry("1", "2026-11-29T08:00:00Z"));
    list.record(entry("1", "2026-11-29T09:00:00Z"));
    list.flush();
    let refused = list.acknowledge(&call("1", None)).unwrap_err();
    assert!(refused.to_string().contains("--at 2026-11-29T08:00:00Z"), "{refused}");
    assert_eq!(list.acknowledge(&call("1", Some("2026-11-29T09:00:00Z"))), Ok(1));
    assert_eq!(list.acknowledge(&call("1", None)), Ok(1));
    assert_eq!(list.acknowledge(&call("1", None)), Err(NotAcknowledged::NotThere("1".to_owned())));
}

/// P10: the owner never waits, and lost entries are counted.
#[test]
fn the_list_is_bounded_and_counts_what_it_lost() {
    let list = Unknowns::open(None).unwrap();
    for id in 0..UNKNOWN_OUTCOMES_MAX + 5 {
        list.record(entry(&id.to_string(), ""));
        if id % (UNKNOWN_QUEUE_MAX / 2) == 0 {
            list.flush();
        }
    }
    list.flush();
    let (open, lost) = list.counts();
    assert_eq!((open, lost), (UNKNOWN_OUTCOMES_MAX, 5));
    assert_eq!(list.list(|_| true)[0].id, "5", "the oldest went first");
}

#[test]
fn a_second_router_does_not_get_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Unknowns::open(Some(folder.path())).unwrap();
    assert!(matches!(Unknowns::open(Some(folder.path())), Err(DataDirError::InUse(_))));
}

#[test]
fn a_line_that_was_cut_short_is_left_out_and_swallows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unknown-outcomes.jsonl");
    let good = serde_json::to_string(&entry("1", "t")).unwrap();
    fs::write(&file, format!("{good}\n{}", &good[..10])).unwrap();
    let list = Unknowns::open(Some(folder.path())).unwrap();
    list.record(entry("2", "t"));
    list.flush();
    drop(list);
    assert_eq!(ids(&reopened(folder.path())), ["1", "2"]);
}

#[test]
fn what_is_no_directory_or_no_file_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Unknowns::open(Some(&folder.path().join("absent"))), Err(DataDirError::Io { .. })));
    fs::create_dir(folder.path().join("unknown-outcomes.jsonl")).unwrap();
    assert!(matches!(Unknowns::open(Some(folder.path())), Err(DataDirError::Io { .. })));
}

/// An outcome that cannot be written stays on the list, and is written when the directory is there again.
#[test]
fn a_file_that_cannot_be_written_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("data");
    fs::create_dir(&inner).unwrap();
    let list = Unknowns::open(Some(&inner)).unwrap();
    fs::rename(&inner, folder.path().join("away")).unwrap();
    list.record(entry("1", "t"));
    // Writing the file anew needs the directory. Adding to the open file does not need it.
    assert_eq!(list.acknowledge(&call("none", None)), Err(NotAcknowledged::NotThere("none".to_owned())));
    list.flush();
    list.record(entry("2", "t"));
    list.flush();
    assert_eq!(list.acknowledge(&call("1", None)), Ok(1));
    list.flush();
    assert_eq!(ids(&list), ["2"], "in memory at least");
    fs::rename(folder.path().join("away"), &inner).unwrap();
    list.record(entry("3", "t"));
    list.flush();
    drop(list);
    assert_eq!(ids(&reopened(&inner)), ["2", "3"]);
}

/// A later process that failed to take over, and hangs, keeps the directory for a while.
#[test]
fn a_directory_that_is_given_back_late_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let list = Unknowns::open(Some(folder.path())).unwrap();
    list.record(entry("1", "2026-11-29T08:00:00Z"));
    list.lend();
    let later = reopened(folder.path());
    list.record(entry("2", "2026-11-29T08:00:01Z"));
    list.take_back(folder.path());
    list.flush();
    drop(later);
    let file = folder.path().join("unknown-outcomes.jsonl");
    // Within seconds, without another entry.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !fs::read_to_string(&file).unwrap().contains("\"2\"") {
        assert!(std::time::Instant::now() < until, "{:?}", fs::read_to_string(&file));
        thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Unknowns::open(Some(folder.path())).is_err(), "the list has the directory again");
}
