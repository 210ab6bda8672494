//! The faulty disk under a real database: after any crash the database opens to a commit that was acknowledged, or says that it is
//! damaged.

use std::time::Duration;

use redb::{Builder, Database, ReadableDatabase, TableDefinition};
use redb::{ReadableTable, StorageBackend};

use super::disk::{Damage, Disk, SECTOR, SyncFault};
use super::executor::{self, Simulation};
use super::runtime::{JoinError, sleep, spawn_in};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("t");

fn open(disk: &Disk) -> Result<Database, redb::DatabaseError> {
    Builder::new().set_cache_size(1 << 20).create_with_backend(disk.open())
}

/// Writes what belongs to commit `number`: its number at key 0, and pages to tear.
fn commit(db: &Database, number: u64) -> Result<(), redb::Error> {
    let write = db.begin_write()?;
    {
        let mut table = write.open_table(TABLE)?;
        table.insert(0, number.to_be_bytes().as_slice())?;
        for key in 0..20 {
            table.insert(1 + (number * 7 + key) % 60, vec![number as u8; 700].as_slice())?;
        }
    }
    write.commit()?;
    Ok(())
}

/// Which commit the database shows; reads everything.
fn shown(db: &Database) -> Result<u64, redb::Error> {
    let read = db.begin_read()?;
    let table = match read.open_table(TABLE) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(0),
        table => table?,
    };
    for entry in table.iter()? {
        entry?;
    }
    let number = table.get(0)?.map(|bytes| u64::from_be_bytes(bytes.value().try_into().unwrap()));
    Ok(number.unwrap_or(0))
}

#[test]
fn after_any_crash_the_database_shows_an_acknowledged_commit() {
    let mut all = Damage::default();
    let mut damaged = 0;
    for seed in 0..300 {
        let disk = Disk::new(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut acked = 0;
        for _ in 0..4 {
            // The cut falls anywhere, creation and repair included.
            disk.cut_after(rng.u64(..60), None);
            let mut tried = acked;
            if let Ok(db) = open(&disk) {
                while commit(&db, tried + 1).inspect_err(|_| tried += 1).is_ok() {
                    tried += 1;
                    acked = tried;
                }
            }
            let damage = disk.crash();
            all.kept += damage.kept;
            all.torn += damage.torn;
            all.lost += damage.lost;
            match open(&disk) {
                Ok(db) => {
                    let now = shown(&db).unwrap();
                    assert!(
                        (acked..=tried).contains(&now),
                        "seed {seed}: {now}, acknowledged {acked}, tried {tried}"
                    );
                    acked = now;
                }
                Err(error) => {
                    assert_eq!(
                        acked, 0,
                        "seed {seed}: a database with acknowledged commits does not open: {error}"
                    );
                    damaged += 1;
                    break;
                }
            }
        }
    }
    println!("crashes: {all:?}; not even created: {damaged} of 300");
    assert!(all.kept > 100 && all.torn > 100 && all.lost > 100, "the crashes were harmless: {all:?}");
}

#[test]
fn what_is_synced_survives_and_the_rest_has_three_fates() {
    let disk = Disk::new(1);
    let handle = disk.open();
    handle.set_len(100 * SECTOR as u64).unwrap();
    handle.write(0, &[1; SECTOR]).unwrap();
    handle.sync_data().unwrap();
    for at in 1..100 {
        handle.write(at * SECTOR as u64, &[2; SECTOR]).unwrap();
    }
    let damage = disk.crash();
    assert!(damage.kept > 10 && damage.torn > 10 && damage.lost > 10, "{damage:?}");
    let image = disk.image();
    assert_eq!(image.len(), 100 * SECTOR);
    assert!(image[..SECTOR].iter().all(|byte| *byte == 1));
    let there =
        image[SECTOR..].chunks(SECTOR).filter(|sector| sector.iter().all(|byte| *byte == 2)).count() as u64;
    assert!((damage.kept..=damage.kept + damage.torn).contains(&there), "{there} of {damage:?}");
}

#[test]
fn a_handle_from_before_the_crash_is_dead() {
    let disk = Disk::new(1);
    let db = open(&disk).unwrap();
    commit(&db, 1).unwrap();
    disk.crash();
    let after = disk.image();
    assert!(commit(&db, 2).is_err());
    drop(db);
    assert_eq!(disk.image(), after);
    assert_eq!(shown(&open(&disk).unwrap()).unwrap(), 1);
}

#[test]
fn a_sync_that_failed_once_is_not_made_good_by_the_next() {
    let disk = Disk::new(0);
    let handle = disk.open();
    handle.set_len(40 * SECTOR as u64).unwrap();
    handle.sync_data().unwrap();
    for at in 0..39 {
        handle.write(at * SECTOR as u64, &[1; SECTOR]).unwrap();
    }
    disk.fail_sync(SyncFault::Once);
    handle.sync_data().unwrap_err();
    handle.write(39 * SECTOR as u64, &[2; SECTOR]).unwrap();
    handle.sync_data().unwrap();
    let damage = disk.crash();
    assert!(damage.lost > 0, "{damage:?}");
    let image = disk.image();
    assert!(image[39 * SECTOR..].iter().all(|byte| *byte == 2), "what the second sync wrote is there");
    assert!(image[..39 * SECTOR].contains(&0), "what the first left is not");
}

#[test]
fn syncs_that_fail_for_good_fail_until_the_crash() {
    let disk = Disk::new(0);
    let db = open(&disk).unwrap();
    commit(&db, 1).unwrap();
    disk.fail_sync(SyncFault::ForGood);
    assert!(commit(&db, 2).is_err() && commit(&db, 3).is_err());
    drop(db);
    disk.crash();
    let db = open(&disk).unwrap();
    assert!((1..=2).contains(&shown(&db).unwrap()));
    commit(&db, 4).unwrap();
}

#[test]
fn a_full_disk_refuses_to_grow_and_keeps_what_it_has() {
    let disk = Disk::new(0);
    let db = open(&disk).unwrap();
    commit(&db, 1).unwrap();
    disk.fill(0);
    let mut last = 1;
    let error = loop {
        let write = db.begin_write().unwrap();
        let mut table = write.open_table(TABLE).unwrap();
        let grown =
            table.insert(1_000 + last, vec![0; 200_000].as_slice()).map(drop).map_err(redb::Error::from);
        drop(table);
        match grown.and_then(|()| Ok(write.commit()?)) {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("space"), "{error}");
    drop(db);
    disk.crash();
    disk.fill(u64::MAX);
    let db = open(&disk).unwrap();
    assert_eq!(shown(&db).unwrap(), 1);
    commit(&db, 2).unwrap();
}

#[test]
fn a_rotten_sector_is_reported() {
    let disk = Disk::new(0);
    let db = open(&disk).unwrap();
    commit(&db, 1).unwrap();
    drop(db);
    let (image, mut found) = (disk.image(), 0);
    let used: Vec<usize> =
        (0..image.len() / SECTOR).filter(|s| image[s * SECTOR..][..SECTOR].iter().any(|b| *b != 0)).collect();
    for sector in &used {
        disk.restore(image.clone());
        assert!(disk.rot(sector * SECTOR));
        let checked = Builder::new().set_check_integrity_on_open(true).create_with_backend(disk.open());
        found += u64::from(!matches!(checked.map_err(redb::Error::from).and_then(|db| shown(&db)), Ok(1)));
    }
    println!("{found} of {} rotten sectors were noticed", used.len());
    assert!(found > 0);
    assert!(!disk.rot(image.len() + SECTOR));
}

#[test]
fn a_power_cut_takes_the_process_with_it() {
    Simulation::new(1).run(async {
        let (disk, node) = (Disk::new(0), executor::new_group("n1"));
        disk.cut_after(40, Some(node));
        let used = disk.clone();
        let end = spawn_in(node, async move {
            let db = open(&used).unwrap();
            for number in 1.. {
                if commit(&db, number).is_err() {
                    // The process is dead, but for what its task does without waiting.
                    sleep(Duration::ZERO).await;
                    panic!("the process outlived its power");
                }
            }
        });
        assert_eq!(end.await.unwrap_err(), JoinError::Killed);
        disk.crash();
        shown(&open(&disk).unwrap()).unwrap();
    });
}

#[test]
fn the_time_of_a_sync_is_drawn() {
    let disk = Disk::new(0);
    disk.set_sync_us(2_000, 2_000);
    assert_eq!(disk.sync_time(), Duration::from_millis(2));
}

#[test]
fn a_wiped_disk_is_empty() {
    let disk = Disk::new(0);
    let db = open(&disk).unwrap();
    commit(&db, 1).unwrap();
    assert!(disk.syncs() > 0);
    disk.restore(Vec::new());
    drop(db);
    assert_eq!(shown(&open(&disk).unwrap()).unwrap(), 0);
}
