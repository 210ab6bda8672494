//! What the system reports of this process, under the names that Prometheus' client libraries use. Only Linux has these metrics.

use std::fs;
use std::path::Path;

/// The parts of a second in which a process's processor time is counted, on every system that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes that are read of one of the system's files about a process. None of these files is longer.
const PROC_FILE_BYTES_MAX: u64 = 64 << 10;

/// Figures of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    /// Processor time since the start, user and system, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Memory that is resident, in bytes.
    pub(super) resident_bytes: Option<i64>,
    /// Open file descriptors.
    pub(super) open_fds: Option<i64>,
    /// File descriptors that the process may have open (the soft limit); `None` if there is no limit.
    pub(super) max_fds: Option<i64>,
    /// When the process began, in seconds since 1970.
    pub(super) start_seconds: Option<f64>,
}

impl Process {
    /// What `/proc` says now.
    pub(super) fn now() -> Self {
        Self::read(Path::new("/proc"))
    }

    fn read(proc: &Path) -> Self {
        let text = |file: &str| read(&proc.join(file));
        let stat = text("self/stat").unwrap_or_default();
        // The name of the program, in brackets, may hold any characters. The fields after the name are numbers, from the third field on.
        let fields: Vec<&str> =
            stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        let field = |number: usize| fields.get(number - 3)?.trim().parse::<f64>().ok();
        let boot = text("stat").and_then(|stat| line(&stat, "btime ")?.trim().parse::<f64>().ok());
        let resident = text("self/status").and_then(|status| {
            let kib: i64 = line(&status, "VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            kib.checked_mul(1024)
        });
        let limits = text("self/limits").and_then(|limits| {
            line(&limits, "Max open files")?.split_whitespace().next()?.parse::<i64>().ok()
        });
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident_bytes: resident,
            // The folder that is being listed is itself open, and is not counted.
            open_fds: fs::read_dir(proc.join("self/fd")).ok().and_then(|all| i64::try_from(all.count()).ok()),
            max_fds: limits,
            start_seconds: field(22).zip(boot).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND),
        }
    }
}

fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(start))
}

fn read(file: &Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(file).ok()?.take(PROC_FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described() {
        let process = Process::now();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.open_fds.is_some_and(|fds| fds > 2), "{process:?}");
        assert!(process.start_seconds.is_some_and(|start| start > 1.6e9), "{process:?}");
        assert!(process.cpu_seconds.is_some_and(|cpu| (0.0..1e6).contains(&cpu)), "{process:?}");
    }

    #[test]
    fn a_program_with_brackets_in_its_name_and_files_that_are_not_there_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("self")).unwrap();
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 6000 1 2 3";
        fs::write(folder.path().join("self/stat"), stat).unwrap();
        fs::write(folder.path().join("stat"), "cpu 1 2\nbtime 1700000000\n").unwrap();
        let process = Process::read(folder.path());
        assert_eq!((process.cpu_seconds, process.start_seconds), (Some(2.0), Some(1_700_000_060.0)));
        assert_eq!((process.resident_bytes, process.open_fds, process.max_fds), (None, None, None));
    }
}
