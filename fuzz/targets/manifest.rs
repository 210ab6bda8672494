//! An agent's report, from whoever reaches the admin address: valid or refused, at a cost of the order of its size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcs_proto::manifest::Report;

fuzz_target!(|data: &[u8]| {
    rcs_fuzz::within_bound(data.len(), || match Report::decode(data) {
        Ok(report) => {
            let again = report.encode().expect("what was read can be sent");
            assert_eq!(Report::decode(&again).as_ref(), Ok(&report));
        }
        Err(error) => drop(error.to_string()),
    });
});
