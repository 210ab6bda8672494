//! The typed layer of the legacy serialisation, and facade keys. Content that was read is written so that it reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcs_proto::icf;
use rcs_proto::legacy::{Wire, facade_key};

fuzz_target!(|data: &[u8]| {
    rcs_fuzz::within_bound(data.len(), || {
        again::<icf::Value>(data);
        again::<Vec<icf::Attribute>>(data);
        again::<icf::OperationOptions>(data);
        again::<icf::Filter>(data);
        again::<icf::ConnectorObject>(data);
        again::<icf::Schema>(data);
        again::<Vec<icf::ConnectorInfo>>(data);
        again::<icf::ApiConfiguration>(data);
        again::<Vec<icf::ConfigurationProperty>>(data);
        let _ = facade_key::decode(data);
    });
});

fn again<T: Wire>(blob: &[u8]) {
    let Ok(value) = T::decode(blob) else { return };
    let written = value.encode();
    let read = T::decode(&written).expect("what we write can be read");
    assert_eq!(read.encode(), written);
}
