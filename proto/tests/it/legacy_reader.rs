//! Odd and hostile blobs: each is accepted or refused as LEGACY sections 10 and 12 advise.

use rcs_proto::legacy::read;

use crate::legacy_describe::{describe, without_decimals};
use crate::vectors::load;

#[test]
fn every_odd_blob_is_judged_as_advised() {
    let vectors = load("legacy-reader");
    assert_eq!(vectors.len(), 65);
    for vector in vectors {
        let blob = vector.blob();
        match (vector.text("safe"), read(&blob)) {
            ("reject", Err(_)) => {}
            ("accept", Ok(node)) => {
                let described = without_decimals(&vector.fields["json"]);
                assert_eq!(describe(&node), described, "{}: content", vector.name);
            }
            ("reject", Ok(_)) => panic!("{}: accepted", vector.name),
            ("accept", Err(error)) => panic!("{}: {error}", vector.name),
            (advice, _) => panic!("{}: unknown advice {advice}", vector.name),
        }
    }
}
