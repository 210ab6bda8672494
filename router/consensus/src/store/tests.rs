use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use openraft::testing::{StoreBuilder, Suite};
use openraft::{StorageError, TokioRuntime};
use tempfile::TempDir;

use super::*;

/// A machine that keeps what it was told.
#[derive(Default)]
struct Told(Vec<Vec<u8>>);

impl Machine for Told {
    fn apply(&mut self, _: u64, command: &[u8]) -> Result<Vec<u8>, Unreadable> {
        self.0.push(command.to_vec());
        Ok(command.to_vec())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.concat()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Unreadable> {
        self.0 = vec![snapshot.to_vec()];
        Ok(())
    }
}

type Log = LogStore<TokioRuntime>;
type State = StateMachine<TokioRuntime, Told>;

fn owner(number: u32) -> Owner {
    Owner { number, incarnation: 7, cluster: Some("c1".into()) }
}

fn open(directory: &Path) -> Result<Store<TokioRuntime>, StoreError> {
    Store::open(directory, &owner(1), Pacing::Thread)
}

struct Builder;

impl StoreBuilder<crate::types::Types<TokioRuntime>, Log, State, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, State), StorageError<RouterId>> {
        let directory = tempfile::tempdir().unwrap();
        let (log, state) = open(directory.path()).unwrap().split(Told::default()).unwrap();
        Ok((directory, log, state))
    }
}

#[test]
fn openrafts_own_tests_of_stores_pass() {
    Suite::test_all(Builder).unwrap();
}

/// Why the store in the directory is not opened.
fn refusal(directory: &Path, owner: &Owner) -> String {
    match Store::<TokioRuntime>::open(directory, owner, Pacing::Thread) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error.to_string(),
    }
}

/// A directory with a store that was closed in order.
async fn closed() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    assert!(store.is_new());
    let (log, _) = store.split(Told::default()).unwrap();
    log.close().await.unwrap();
    directory
}

#[tokio::test]
async fn a_store_knows_its_owner_and_refuses_others() {
    let directory = closed().await;
    let again = open(directory.path()).unwrap();
    assert_eq!((again.id(), again.cluster()), (RouterId { number: 1, incarnation: 7 }, Some("c1")));
    assert!(again.ended_in_order() && !again.is_new());
    assert!(refusal(directory.path(), &owner(1)).contains("is used by another process"));
    again.split(Told::default()).unwrap().0.close().await.unwrap();
    for (other, says) in [
        (owner(2), "belongs to router 1.00000007, not to router 2"),
        (Owner { cluster: Some("c2".into()), ..owner(1) }, "belongs to cluster c1, not to c2"),
    ] {
        let said = refusal(directory.path(), &other);
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn a_store_that_is_gone_is_not_taken_for_a_new_one() {
    let directory = closed().await;
    fs::remove_file(directory.path().join(DATABASE)).unwrap();
    let said = refusal(directory.path(), &owner(1));
    assert!(said.contains("was the data directory of router 1.00000007"), "{said}");
    assert!(said.contains("cluster replace"), "{said}");
}

#[tokio::test]
async fn a_damaged_store_is_refused_with_the_way_out() {
    let directory = closed().await;
    let path = directory.path().join(DATABASE);
    let whole = fs::read(&path).unwrap();
    for (what, damage) in [
        ("no database", b"this is no database, and long enough to look like one at first".to_vec()),
        ("its tail is gone", whole[..whole.len() / 2].to_vec()),
    ] {
        fs::write(&path, damage).unwrap();
        let said = refusal(directory.path(), &owner(1));
        assert!(said.contains("is damaged") && said.contains("cluster replace"), "{what}: {said}");
    }
    // An emptied file is a store that is gone, not a new one.
    fs::write(&path, b"").unwrap();
    let said = refusal(directory.path(), &owner(1));
    assert!(said.contains("was the data directory of router"), "{said}");
}

/// Flips one byte in every page in turn: each time the store is refused, or says what it said before.
#[tokio::test]
async fn no_flipped_byte_makes_another_store_of_it() {
    let directory = closed().await;
    let path = directory.path().join(DATABASE);
    let whole = fs::read(&path).unwrap();
    let (mut refused, mut same) = (0, 0);
    for at in (0..whole.len()).step_by(4096).flat_map(|page| [page + 9, page + 77, page + 900]) {
        if at >= whole.len() || whole[at..].iter().take(64).all(|byte| *byte == 0) {
            continue;
        }
        let mut file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        file.write_all(&whole).unwrap();
        file.set_len(whole.len() as u64).unwrap();
        let mut byte = [0];
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte[0] ^ 0x40]).unwrap();
        drop(file);
        match open(directory.path()) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("cluster replace"), "{at}: {error}");
            }
            Ok(store) => {
                same += 1;
                assert!(!store.is_new(), "byte {at}: a damaged store was opened as an empty one");
                assert_eq!(store.id(), RouterId { number: 1, incarnation: 7 }, "byte {at}");
                store.split(Told::default()).unwrap().0.close().await.unwrap();
            }
        }
    }
    println!("{refused} flipped bytes refused, {same} without effect");
    assert!(refused > 0);
}
