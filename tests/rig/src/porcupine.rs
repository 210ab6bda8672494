//! Has histories of clients judged by Porcupine, a checker for linearizability that others wrote (`tests/porcupine`, in Go).

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::workspace;

/// What clients asked of a list to which writes append their id, and what the clients were told. Moments count from any start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(String);

impl History {
    /// A write that appends `id`, which no other write has. `ended` is when its client was told that it is done, and `place` the place
    /// that the client was told: the first is 1.
    pub fn write(&mut self, began: Duration, ended: Option<Duration>, id: u64, place: Option<u64>) {
        let number =
            |number: Option<u128>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let (ended, place) = (number(ended.map(|at| at.as_nanos())), number(place.map(u128::from)));
        let _ = writeln!(self.0, "write {} {ended} {id} {place}", began.as_nanos());
    }

    /// A read that saw a list of `len` ids with this hash ([`chain`]).
    pub fn read(&mut self, began: Duration, ended: Duration, len: u64, hash: u64) {
        let _ = writeln!(self.0, "read {} {} {len} {hash}", began.as_nanos(), ended.as_nanos());
    }

    /// The list after everything else was over. Nothing is added to a history behind it.
    pub fn list(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.0.push_str("list");
        for id in ids {
            let _ = write!(self.0, " {id}");
        }
        self.0.push('\n');
    }
}

/// The hash of a list with one more id; of an empty list it is 0.
pub const fn chain(hash: u64, id: u64) -> u64 {
    (hash.rotate_left(7) ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1)
}

/// What Porcupine says of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A single list could have shown this history.
    Linearizable,
    /// No single list could have shown it.
    Violated,
    /// Porcupine gave up after a minute.
    Undecided,
}

/// Porcupine in a process of its own, which ends with this value.
#[derive(Debug)]
pub struct Porcupine {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Porcupine {
    /// Porcupine, or `None` where Go is missing or cannot fetch Porcupine: the test or drill `what` then says so and goes on without. With
    /// `RCS_REQUIRE_ALL=1` in the environment this is a panic instead.
    pub fn or_skip(what: &str) -> Option<Self> {
        static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let started = BUILT.get_or_init(built).clone().and_then(|program| Self::start(&program));
        started
            .map_err(|why| {
                assert!(env::var_os("RCS_REQUIRE_ALL").is_none(), "{what} needs Porcupine: {why}");
                // Past the test runner's capture, or nobody would see what was not tested.
                let _ = writeln!(std::io::stderr().lock(), "SKIPPED {what}: the check by Porcupine: {why}");
            })
            .ok()
    }

    fn start(program: &Path) -> Result<Self, String> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{} does not start: {e}", program.display()))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        Ok(Self { child, to, from: BufReader::new(from.expect("standard output is a pipe")) })
    }

    /// Judges a history that ends with its list.
    ///
    /// # Panics
    /// If the program ends, for it was given something else.
    pub fn judge(&mut self, history: &History) -> Verdict {
        let to = self.to.as_mut().expect("open until the end");
        let written = to.write_all(history.0.as_bytes()).and_then(|()| to.flush());
        let mut said = String::new();
        let read = written.and_then(|()| self.from.read_line(&mut said));
        match (read, said.trim_end()) {
            (Ok(_), "ok") => Verdict::Linearizable,
            (Ok(_), "violated") => Verdict::Violated,
            (Ok(_), "undecided") => Verdict::Undecided,
            other => panic!("tests/porcupine does not judge a history: {other:?}"),
        }
    }
}

impl Drop for Porcupine {
    fn drop(&mut self) {
        // At the end of its input the program ends.
        self.to = None;
        let _ = self.child.wait();
    }
}

fn built() -> Result<PathBuf, String> {
    let mut go = Command::new("go");
    go.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
    match go.status() {
        Ok(status) if status.success() => {}
        _ => return Err("there is no Go (1.19 or later)".to_owned()),
    }
    let sources = workspace::root().join("tests/porcupine");
    if !sources.is_dir() {
        return Err(format!("its sources are not at {}", sources.display()));
    }
    workspace::locked("porcupine", || build(&sources))
}

/// Builds the program into a folder named after its sources, unless that was done before.
fn build(sources: &Path) -> Result<PathBuf, String> {
    let folder = workspace::target_dir().join("porcupine").join(workspace::digest(sources));
    let program = folder.join("judge");
    if !program.is_file() {
        fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        let mut go = Command::new("go");
        go.current_dir(sources).args(["build", "-trimpath", "-buildvcs=false", "-o"]).arg(&program).arg(".");
        let output = go.output().map_err(|e| format!("go does not start: {e}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("go does not build {}: {}", sources.display(), said.trim_end()));
        }
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn hash(ids: &[u64]) -> u64 {
        ids.iter().fold(0, |hash, id| chain(hash, *id))
    }

    #[test]
    fn porcupine_accepts_what_one_list_could_have_shown_and_nothing_else() {
        let Some(mut porcupine) = Porcupine::or_skip("rig::porcupine") else { return };
        let mut verdict = |history: &dyn Fn(&mut History), list: &[u64]| {
            let mut whole = History::default();
            history(&mut whole);
            whole.list(list.iter().copied());
            porcupine.judge(&whole)
        };
        let two = |history: &mut History| {
            history.write(at(0), Some(at(10)), 7, Some(1));
            history.write(at(5), Some(at(20)), 8, Some(2));
        };
        assert_eq!(verdict(&two, &[7, 8]), Verdict::Linearizable);
        assert_eq!(verdict(&two, &[8, 7]), Verdict::Violated, "the places that were told");
        assert_eq!(verdict(&two, &[7]), Verdict::Violated, "a lost write");
        assert_eq!(verdict(&two, &[7, 8, 7]), Verdict::Violated, "applied twice");
        assert_eq!(verdict(&two, &[7, 8, 9]), Verdict::Violated, "nobody wrote 9");

        let read = |from: u64, to: u64, seen: &'static [u64]| {
            move |history: &mut History| {
                two(history);
                history.read(at(from), at(to), seen.len() as u64, hash(seen));
            }
        };
        assert_eq!(verdict(&read(6, 7, &[]), &[7, 8]), Verdict::Linearizable);
        assert_eq!(verdict(&read(11, 12, &[7]), &[7, 8]), Verdict::Linearizable);
        assert_eq!(verdict(&read(11, 12, &[]), &[7, 8]), Verdict::Violated, "a stale read");
        assert_eq!(verdict(&read(1, 2, &[7, 8]), &[7, 8]), Verdict::Violated, "a read of what comes later");
        assert_eq!(verdict(&read(30, 31, &[8, 7]), &[7, 8]), Verdict::Violated, "a list that never was");

        let unknown = |ended: Option<u64>, place| {
            move |history: &mut History| {
                history.write(at(0), Some(at(10)), 7, Some(1));
                history.write(at(11), ended.map(at), 8, place);
            }
        };
        assert_eq!(verdict(&unknown(None, None), &[7]), Verdict::Linearizable, "nobody was told");
        assert_eq!(verdict(&unknown(None, None), &[7, 8]), Verdict::Linearizable);
        assert_eq!(verdict(&unknown(None, None), &[8, 7]), Verdict::Violated, "before it began");
        assert_eq!(verdict(&unknown(Some(12), None), &[7, 8]), Verdict::Linearizable, "told no place");
        assert_eq!(verdict(&unknown(Some(12), None), &[7]), Verdict::Violated, "told, and lost");
    }
}
