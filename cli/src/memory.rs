//! The memory of a process that holds keys.

use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Keeps keys in this process's memory from others. A crash writes no core file, and no process of the same user can attach to this
/// process or read its memory. Debuggers cannot attach either, so development modes leave this out.
///
/// # Errors
/// If the kernel refuses.
pub fn forbid_dumps() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn nobody_reads_the_memory() {
        forbid_dumps().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
