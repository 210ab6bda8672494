//! What all fuzz targets share: a bound on the memory that one input may make the code under test hold.

use std::alloc::System;
use std::panic;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Heap that an input of up to [`SMALL_INPUT`] bytes may hold at once; a larger input may hold in proportion.
pub const HEAP_PER_SMALL_INPUT: usize = 1024 * 1024;

/// The size, in bytes, from which the bound grows.
pub const SMALL_INPUT: usize = 1024;

/// Runs `work` on an input of `input_bytes`. An allocation over the bound aborts the process, which the fuzzer reports.
pub fn within_bound(input_bytes: usize, work: impl FnOnce()) {
    static HOOK: Once = Once::new();
    HOOK.call_once(lift_the_bound_before_a_panic_is_shown);
    let room = HEAP_PER_SMALL_INPUT / SMALL_INPUT * input_bytes.max(SMALL_INPUT);
    HEAP.set_limit(HEAP.allocated() + room).expect("a limit above what is in use is taken");
    work();
    lift_the_bound();
}

fn lift_the_bound() {
    HEAP.set_limit(usize::MAX).expect("no limit is above what is in use");
}

/// A backtrace takes more than an input may.
fn lift_the_bound_before_a_panic_is_shown() {
    let show = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        lift_the_bound();
        show(info);
    }));
}
