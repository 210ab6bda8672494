//! How changes are found: former states of the file are kept beside it, and compared.
//!
//! A CSV file has no change log, and other programs write it too. So whenever a caller asks for a token or for changes, the
//! content is kept as `FILE.TOKEN` (the published connector's naming, so that its tokens go on working here), unless it is
//! still what the newest one holds. A token names a content:
//!
//! - it is the file's time of change in milliseconds, or the newest token plus one if that is not greater, so two contents
//!   never share a token, whatever the clock does;
//! - the file is written under the writer's lock, flushed and renamed, *before* the token is handed out: a token that
//!   anybody holds survives a restart and a crash;
//! - a sync from a token compares its content with the content now. Nothing is lost between two tokens, nothing is
//!   told twice, and a change that was undone in between is not told at all.
//!
//! The oldest contents go, but two always stay: the one a caller syncs from and the one it gets to. Every delta carries the
//! token that the caller came with, so an interrupted sync starts again from there.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_cli::file::{self, FileError};
use rcs_proto::icf::{ObjectClass, SyncDelta, SyncDeltaType, Uid, Value};

use super::store::{Access, Locked, Store};
use super::table::{Row, Table};
use super::values::object_of;
use crate::connector::paging::AttributesToGet;
use crate::connector::{DeltaHandler, Flow};
use crate::error::{ErrorClass, IcfError};
use crate::limits::CSV_FILE_BYTES;

/// Bytes compared at a time.
const COMPARED_BYTES: usize = 64 << 10;

/// A token: the number behind the file name.
pub(super) type Token = i64;

/// The token of the content as it is now.
///
/// # Errors
/// Why the content cannot be read or kept.
pub(super) fn latest(store: &Store) -> Result<Token, IcfError> {
    Ok(keep_now(&store.lock(Access::Keep)?)?.token)
}

/// Hands the changes since `since` to the handler: deletions first, then the others in the order of the file. `None` if
/// the handler stopped.
///
/// # Errors
/// `ConnectorException` if `since` is no number, or older than every content that is kept.
pub(super) fn sync(
    store: &Store,
    since: &Value,
    wanted: &AttributesToGet,
    handler: &mut DeltaHandler<'_>,
) -> Result<Option<Token>, IcfError> {
    let since = read_token(since)?;
    let (now, base) = {
        let locked = store.lock(Access::Keep)?;
        let now = keep_now(&locked)?;
        let base = base_of(store, &locked, &now, since)?;
        remove_oldest(store.settings().snapshots, &now, base.as_ref().map(|(token, _)| *token));
        (now, base.map(|(_, table)| table))
    };
    let mut tell = |delta_type, table: &Table, row: &Row| {
        handler(SyncDelta {
            token: Value::Long(since),
            delta_type,
            previous_uid: None,
            object_class: ObjectClass(ObjectClass::ACCOUNT.to_owned()),
            uid: Uid::new(table.uid_of(row)),
            object: Some(wanted.cut(object_of(table, row))),
        })
    };
    for (delta_type, table, row) in changes(base.as_deref(), &now.table) {
        if tell(delta_type, table, row) == Flow::Stop {
            return Ok(None);
        }
    }
    Ok(Some(now.token))
}

/// The content now, kept.
struct Now {
    token: Token,
    table: Arc<Table>,
    /// Everything that is kept, oldest first, `token` the last.
    kept: Vec<(Token, PathBuf)>,
    /// Whether anything was kept before.
    first: bool,
}

fn keep_now(locked: &Locked<'_>) -> Result<Now, IcfError> {
    let (modified_ms, table) = locked.load()?;
    let mut kept = list(locked.path());
    let first = kept.is_empty();
    if let Some((token, path)) = kept.last()
        && holds(path, table.bytes()).unwrap_or(false)
    {
        return Ok(Now { token: *token, table, kept, first });
    }
    let newest = kept.last().map_or(0, |(token, _)| *token);
    let token = modified_ms.max(newest.saturating_add(1)).max(1);
    let path = path_of(locked.path(), token);
    locked.put_beside(&path, table.bytes())?;
    kept.push((token, path));
    Ok(Now { token, table, kept, first })
}

/// Whether the file holds exactly these bytes.
fn holds(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    let (mut file, metadata) = file::open_regular(path)?;
    if metadata.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut rest = bytes;
    let mut piece = vec![0; COMPARED_BYTES];
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(rest.is_empty());
        };
        match rest.strip_prefix(read) {
            Some(behind) => rest = behind,
            None => return Ok(false),
        }
    }
}

/// The content to compare with: that of the token, else the newest one before it (which reports too many changes rather than too few).
/// `None` means everything is news.
fn base_of(
    store: &Store,
    locked: &Locked<'_>,
    now: &Now,
    since: Token,
) -> Result<Option<(Token, Arc<Table>)>, IcfError> {
    if since <= 0 {
        return Ok(None);
    }
    match now.kept.iter().rev().find(|(token, _)| *token <= since) {
        Some((token, _)) if *token == now.token => Ok(Some((*token, now.table.clone()))),
        Some((token, path)) => {
            let unusable = |error: String| {
                store.io(&format!("its former state {} cannot be read: {error}", path.display()))
            };
            let (mut file, metadata) =
                file::open_regular(path).map_err(|error| unusable(error.to_string()))?;
            let size = metadata.len().min(CSV_FILE_BYTES);
            let lease = store.reserve(size)?;
            let bytes_max = usize::try_from(size).unwrap_or(usize::MAX);
            let bytes =
                file::read_opened(&mut file, size, bytes_max).map_err(|error| unusable(error.to_string()))?;
            let table = store.parse(bytes, lease).map_err(|error| unusable(error.message))?;
            Ok(Some((*token, Arc::new(table))))
        }
        None if now.first => Ok(None),
        None => Err(IcfError::new(
            ErrorClass::Connector,
            format!(
                "the changes since this token are not known any more: the states of {} before it are gone; \
                 reconcile, then go on from the latest token, and raise syncFileRetentionCount if it happens again",
                locked.path().display()
            ),
        )),
    }
}

fn changes<'a>(base: Option<&'a Table>, now: &'a Table) -> Vec<(SyncDeltaType, &'a Table, &'a Row)> {
    let Some(base) = base else {
        return now.rows().iter().map(|row| (SyncDeltaType::Update, now, row)).collect();
    };
    let gone = base.rows().iter().filter(|row| now.row(base.uid_of(row)).is_none());
    let gone = gone.map(|row| (SyncDeltaType::Delete, base, row));
    let come = now.rows().iter().filter_map(|row| match base.row(now.uid_of(row)) {
        None => Some((SyncDeltaType::Create, now, row)),
        Some(old) if differs(base, old, now, row) => Some((SyncDeltaType::Update, now, row)),
        Some(_) => None,
    });
    gone.chain(come).collect()
}

/// Whether two rows differ in any column, the columns compared by name.
fn differs(old: &Table, old_row: &Row, new: &Table, new_row: &Row) -> bool {
    let missing = |from: &Table, row: &Row, to: &Table, other: &Row| {
        from.columns().iter().enumerate().any(|(column, name)| {
            let there = to.column(name).and_then(|column| other.cell(column));
            row.cell(column) != there
        })
    };
    missing(new, new_row, old, old_row) || missing(old, old_row, new, new_row)
}

fn list(file: &Path) -> Vec<(Token, PathBuf)> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let prefix = format!("{}.", file.file_name().unwrap_or_default().to_string_lossy());
    let mut kept: Vec<(Token, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let digits = name.to_str()?.strip_prefix(&prefix)?.to_owned();
            let token = digits.parse().ok().filter(|token| *token > 0)?;
            (digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| (token, entry.path()))
        })
        .collect();
    kept.sort();
    kept
}

fn path_of(file: &Path, token: Token) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{token}"));
    PathBuf::from(name)
}

fn remove_oldest(keep: usize, now: &Now, base: Option<Token>) {
    for (token, path) in now.kept.iter().rev().skip(keep) {
        if Some(*token) != base {
            // What cannot be removed now is removed after the next change.
            let _ = fs::remove_file(path);
        }
    }
}

fn read_token(token: &Value) -> Result<Token, IcfError> {
    let number = match token {
        Value::Long(number) => Some(*number),
        Value::Integer(number) => Some(Token::from(*number)),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        IcfError::new(
            ErrorClass::Connector,
            "the sync token is none of this connector's; start from the latest token",
        )
    })
}
