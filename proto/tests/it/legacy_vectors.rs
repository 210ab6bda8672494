//! Every golden vector of the legacy serialisation, written by the real Java framework: bytes to content and back.

use rcs_proto::legacy::{read, write};

use crate::legacy_describe::{build, describe, without_decimals};
use crate::vectors::{hex, load};

#[test]
fn every_vector_reads_as_described_and_is_written_as_java_wrote_it() {
    let vectors = load("legacy");
    assert_eq!(vectors.len(), 228);
    for vector in vectors {
        let blob = vector.blob();
        let node = read(&blob).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let described = without_decimals(&vector.fields["json"]);
        assert_eq!(describe(&node), described, "{}: content", vector.name);
        assert_eq!(hex(&write(&node)), vector.text("hex"), "{}: bytes", vector.name);
    }
}

#[test]
fn every_vector_is_written_from_its_description_alone() {
    for vector in load("legacy") {
        let blob = write(&build(&vector.fields["json"]));
        assert_eq!(hex(&blob), vector.text("hex"), "{}", vector.name);
    }
}

#[test]
fn every_vector_cut_short_or_lengthened_is_refused() {
    for vector in load("legacy") {
        let mut blob = vector.blob();
        for end in 0..blob.len() {
            assert!(read(&blob[..end]).is_err(), "{} cut at {end}", vector.name);
        }
        blob.push(0x48);
        assert!(read(&blob).is_err(), "{} with a byte behind it", vector.name);
    }
}
