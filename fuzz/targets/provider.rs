//! The operator's provider document. Anything gives a reading; one without errors gives a view.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcs_core::ids::NameBook;
use rcs_core::provider::report::Report;
use rcs_core::provider::{self, Properties, Severity};

fuzz_target!(|data: &[u8]| {
    let properties = Properties::from([("rcs.host".to_owned(), "rcs.example".to_owned())]);
    rcs_fuzz::within_bound(data.len(), || {
        let reading = provider::read(data, &properties);
        assert_eq!(reading.provider.is_none(), reading.of(Severity::Error).next().is_some());
        drop(Report(&reading).to_string());
        let Some(provider) = reading.provider else { return };
        let view = provider.view(&mut NameBook::new()).expect("a clean document gives a view");
        drop(view);
    });
});
