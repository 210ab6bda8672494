//! What is on disk, and what is not.

use std::time::Duration;

use bytes::Bytes;

use super::*;

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named_at_the_start() {
    let error = Spill::into(Path::new("/proc/no-such-directory"), 1).unwrap_err().to_string();
    assert!(error.starts_with("no file can be written in /proc/no-such-directory: "), "{error}");
}

#[tokio::test]
async fn files_have_no_name_and_no_readable_content_p9() {
    let directory = tempfile::tempdir().unwrap();
    let spill = Spill::into(directory.path(), 1 << 20).unwrap();
    let file = SpillFile::new(Arc::clone(&spill));
    let frames = vec![Bytes::from_static(b"canary-4711"), Bytes::new(), Bytes::from(vec![7; 100_000])];
    let chunk = file.store(frames.clone()).await.unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let raw = chunk.raw();
    assert!(raw.len() > 100_000);
    assert!(!raw.windows(11).any(|window| window == b"canary-4711"));
    assert!(!raw.windows(32).any(|window| window == [7; 32]));
    assert_eq!(spill.waiting().disk, raw.len() as u64);
    assert_eq!(chunk.load().await.unwrap(), frames);
    eventually("the space is given back", || spill.waiting().disk == 0).await;
}

#[tokio::test]
async fn space_goes_back_segment_by_segment() {
    let directory = tempfile::tempdir().unwrap();
    let spill = Spill::into(directory.path(), 1 << 30).unwrap();
    let mut file = SpillFile::new(Arc::clone(&spill));
    let frame = Bytes::from(vec![1; 4 << 20]);
    let mut chunks = std::collections::VecDeque::new();
    for _ in 0..20 {
        let chunk = file.store(vec![frame.clone()]).await.unwrap();
        file.stored(&chunk);
        chunks.push_back(chunk);
    }
    while let Some(chunk) = chunks.pop_front() {
        assert_eq!(chunk.load().await.unwrap(), std::slice::from_ref(&frame));
        let most = (chunks.len() as u64) * (frame.len() as u64 + 64) + 2 * limits::SPILL_SEGMENT_BYTES;
        assert!(
            spill.waiting().disk <= most,
            "{} are kept for {} chunks",
            spill.waiting().disk,
            chunks.len()
        );
    }
    file.let_go();
    eventually("the last segment is given back", || spill.waiting().disk == 0).await;
}

#[tokio::test]
async fn a_changed_byte_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let spill = Spill::into(directory.path(), 1 << 20).unwrap();
    let chunk = SpillFile::new(spill).store(vec![Bytes::from_static(b"row")]).await.unwrap();
    chunk.spoil();
    assert_eq!(chunk.load().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn the_bound_of_all_files_holds_and_nothing_is_counted_for_what_was_refused() {
    let directory = tempfile::tempdir().unwrap();
    let spill = Spill::into(directory.path(), 10_000).unwrap();
    let file = SpillFile::new(Arc::clone(&spill));
    let error = file.store(vec![Bytes::from(vec![0; 10_000])]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(spill.waiting().disk, 0);
    assert!(file.store(vec![Bytes::from(vec![0; 9_000])]).await.is_ok());
}

#[test]
fn a_share_is_reported_in_steps_and_taken_back_whole() {
    let spill = Spill::nowhere();
    let mut share = Share::new(Arc::clone(&spill));
    share.report(limits::COUNT_STEP_BYTES - 1);
    assert_eq!(spill.waiting().memory, 0);
    share.report(1 << 20);
    share.report((1 << 20) - 1);
    assert_eq!(spill.waiting().memory, 1 << 20);
    share.report(10);
    share.report(0);
    assert_eq!(spill.waiting().memory, 0);
    share.report(1 << 20);
    drop(share);
    assert_eq!(spill.waiting().memory, 0);
}

/// Rows hold people's attributes (P9): nobody else can open the file, whatever the umask of the router is.
#[test]
fn a_spill_file_belongs_to_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = super::file::nameless_file(directory.path()).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "it has no name");
}
