//! The generic layer of the legacy serialisation. What is read can be written; what was written comes out as it went in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcs_proto::legacy;

fuzz_target!(|data: &[u8]| {
    rcs_fuzz::within_bound(data.len(), || {
        let _ = legacy::options_cookie(data);
        let Ok(node) = legacy::read(data) else { return };
        let written = legacy::write(&node);
        let again = legacy::read(&written).expect("what we write can be read");
        assert_eq!(legacy::write(&again), written);
    });
});
