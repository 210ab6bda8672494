//! Hostile blobs: whatever 1 KB of input says, reading it stays cheap (LEGACY section 12, promise P10).

use std::time::{Duration, Instant};

use rcs_proto::icf::Value;
use rcs_proto::legacy::{LegacyError, Wire, options_cookie, read, read_within};
use rcs_proto::limits::{LEGACY_DEPTH_MAX, LEGACY_DIGITS_MAX, LEGACY_POOL_NAMES_MAX};

use crate::vectors::load;

const INPUT_BYTES: usize = 1024;
const ALLOCATED_BYTES_MAX: u64 = 1024 * 1024;
const TIME_MAX: Duration = Duration::from_millis(10);
/// Runs of which one must be that fast. A busy machine interrupts many of them.
const RUNS: usize = 100;

#[test]
fn a_kilobyte_allocates_little_and_takes_no_time() {
    // The first read builds the table of types, once in the life of a process.
    assert!(read(&blob(&[], vec![0x3C, 0x48])).is_ok());
    let mut worst = (0, "none");
    for (name, input) in kilobytes() {
        assert!(input.len() <= INPUT_BYTES, "{name} is {} bytes", input.len());
        let allocated = allocated_by(&input);
        assert!(allocated < ALLOCATED_BYTES_MAX, "{name}: {allocated} bytes allocated");
        // The best of many runs: the machine's other work is not the reader's.
        let is_fast = (0..RUNS).any(|_| time_of(&input) < TIME_MAX);
        assert!(is_fast, "{name}: {RUNS} runs took {TIME_MAX:?} and longer");
        worst = worst.max((allocated, name));
    }
    println!("most allocated for 1 KB: {} bytes, {}", worst.0, worst.1);
}

#[test]
fn a_number_out_of_place_never_costs_memory() {
    for vector in load("legacy").into_iter().chain(load("legacy-reader")) {
        let blob = vector.blob();
        let bound = 256 * blob.len() as u64 + 4096;
        for at in 8..blob.len().saturating_sub(4) {
            for number in [0x7FFF_FFFF_u32, 0xFFFF_FFFF] {
                let mut odd = blob.clone();
                odd[at..at + 4].copy_from_slice(&number.to_be_bytes());
                let allocated = allocated_by(&odd);
                assert!(allocated < bound, "{} at {at}: {allocated} bytes", vector.name);
            }
        }
    }
}

#[test]
fn limits_are_where_they_are_said_to_be() {
    let cases = [
        ("depth", nested_lists(LEGACY_DEPTH_MAX), nested_lists(LEGACY_DEPTH_MAX + 1)),
        ("array marks", array_marks(8), array_marks(9)),
        ("digits", digits(LEGACY_DIGITS_MAX), digits(LEGACY_DIGITS_MAX + 1)),
        ("names", names(LEGACY_POOL_NAMES_MAX), names(LEGACY_POOL_NAMES_MAX + 1)),
        ("name length", long_name(256), long_name(257)),
    ];
    for (name, within, beyond) in cases {
        assert!(read(&within).is_ok(), "{name}: {:?}", read(&within));
        assert!(read(&beyond).is_err(), "{name}");
    }
    let small = blob(&[], vec![0x3C, 0x48]);
    assert!(read_within(&small, small.len()).is_ok());
    let limit = small.len() - 1;
    assert_eq!(read_within(&small, limit), Err(LegacyError::TooLarge { bytes: small.len(), limit }));
}

#[test]
fn more_than_a_million_objects_are_refused() {
    let members = |count: usize| {
        let body = [named(0), anonymous(&[0x3C, 0x48]).repeat(count), vec![0x48]].concat();
        blob(&["List"], body)
    };
    assert!(read(&members(999_999)).is_ok());
    let too_many = members(1_000_000);
    let refused = read(&too_many);
    assert!(matches!(refused, Err(LegacyError::Limit { limit: "objects", .. })), "{refused:?}");
}

#[test]
fn one_name_under_two_codes_is_refused() {
    // Two codes for one field name would hide a field given twice.
    let mut input = blob(&["Uid", "uid", "uid"], vec![0x3C, 0x48]);
    assert!(matches!(read(&input), Err(LegacyError::PoolTwice(_))));
    let body = [named(0), field(1, &text("a")), field(1, &text("b")), vec![0x48]].concat();
    input = blob(&["Uid", "uid"], body);
    assert!(matches!(read(&input), Err(LegacyError::FieldTwice(_))));
}

/// What a read and a typed decode of the same bytes allocate together, in bytes.
fn allocated_by(input: &[u8]) -> u64 {
    allocation_counter::measure(|| {
        let _ = read(input);
        let _ = Value::decode(input);
        let _ = options_cookie(input);
    })
    .bytes_total
}

fn time_of(input: &[u8]) -> Duration {
    let start = Instant::now();
    let _ = Value::decode(input);
    start.elapsed()
}

/// Inputs of up to 1 KB that make as much as possible of it.
fn kilobytes() -> Vec<(&'static str, Vec<u8>)> {
    let null = anonymous(&[0x3C, 0x48]);
    let empty = |code: u32| anonymous(&[named(code), vec![0x48]].concat());
    let many = |names: &[&str], member: Vec<u8>| {
        let room = INPUT_BYTES - blob(names, Vec::new()).len() - 6;
        let members = member.repeat(room / member.len());
        blob(names, [named(0), members, vec![0x48]].concat())
    };
    let distinct = |names: &[&str]| {
        let member =
            |number: u32| anonymous(&[named(1), anonymous(&number.to_be_bytes()), vec![0x48]].concat());
        blob(names, [named(0), (0..45).flat_map(member).collect(), vec![0x48]].concat())
    };
    let unknown_fields = {
        let names: Vec<String> = (0..40).map(|number| format!("f{number}")).collect();
        let names: Vec<&str> = ["Uid"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let fields: Vec<u8> = (1..=40).flat_map(|code| field(code, &[])).collect();
        blob(&names, [named(0), fields, vec![0x48]].concat())
    };
    vec![
        ("nulls in a list", many(&["List"], null.clone())),
        ("nulls in a set", many(&["Set"], null.clone())),
        ("numbers in a set", distinct(&["Set", "Integer"])),
        ("empty lists", many(&["List"], empty(0))),
        ("empty properties", many(&["List", "ConfigurationProperty"], empty(1))),
        ("empty configurations", many(&["List", "APIConfiguration"], empty(1))),
        ("search results", many(&["List", "SearchResult"], empty(1))),
        ("empty arrays", many(&["List", "String"], anonymous(&[0x3E, 0x3D, 0, 0, 0, 1, 0x48]))),
        ("nulls in a map", many(&["Map"], null)),
        ("nested lists", nested_lists(64)),
        ("lists nested too deeply", nested_lists(80)),
        ("unknown fields", unknown_fields),
        ("a full pool", names(80)),
        ("digits", digits(900)),
        ("guarded blocks", many(&["List", "GuardedByteArray"], anonymous(&guarded_block()))),
    ]
}

fn nested_lists(depth: usize) -> Vec<u8> {
    let mut body = vec![0x3C, 0x48];
    for _ in 1..depth {
        body = [named(0), anonymous(&body), vec![0x48]].concat();
    }
    blob(&["List"], body)
}

fn array_marks(marks: usize) -> Vec<u8> {
    blob(&["String"], [vec![0x3E; marks], named(0), vec![0x48]].concat())
}

fn digits(count: usize) -> Vec<u8> {
    blob(&["BigInteger"], [named(0), anonymous(&text(&"9".repeat(count))), vec![0x48]].concat())
}

fn names(count: usize) -> Vec<u8> {
    let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    blob(&names.iter().map(String::as_str).collect::<Vec<_>>(), vec![0x3C, 0x48])
}

fn long_name(bytes: usize) -> Vec<u8> {
    blob(&["n".repeat(bytes).as_str()], vec![0x3C, 0x48])
}

/// A `GuardedByteArray` of the one cipher block that stands for no bytes.
fn guarded_block() -> Vec<u8> {
    let empty = Value::GuardedBytes(rcs_proto::icf::Secret::new(Vec::new())).encode();
    let block = &empty[empty.len() - 17..empty.len() - 1];
    [named(1), anonymous(&[&16_u32.to_be_bytes(), block].concat()), vec![0x48]].concat()
}

fn blob(names: &[&str], body: Vec<u8>) -> Vec<u8> {
    let mut blob = vec![0, 0, 0xFA, 0xFB, 0, 0, 0, 2];
    blob.extend((names.len() as u32).to_be_bytes());
    for (code, name) in names.iter().enumerate() {
        blob.extend(text(name));
        blob.extend((code as u32).to_be_bytes());
    }
    blob.extend(body);
    blob
}

fn named(code: u32) -> Vec<u8> {
    [&[0x3D], code.to_be_bytes().as_slice()].concat()
}

fn anonymous(body: &[u8]) -> Vec<u8> {
    [&[0x46], (body.len() as u32).to_be_bytes().as_slice(), body].concat()
}

fn field(code: u32, body: &[u8]) -> Vec<u8> {
    [&[0x47], code.to_be_bytes().as_slice(), (body.len() as u32).to_be_bytes().as_slice(), body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [(text.len() as u32).to_be_bytes().as_slice(), text.as_bytes()].concat()
}
