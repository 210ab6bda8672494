//! The protobuf messages of the wire, generated from `proto/openicf/*.proto`, one Rust type a message.
//!
//! They stop at this crate and at the sockets: the router's hot path reads [`crate::envelope`] instead, because prost drops
//! unknown fields and copies what it decodes.
#![allow(missing_docs, unreachable_pub, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/rcs.openicf.rs"));

/// Messages that are declared and were never seen (WIRE 3.3); some share their names with messages above.
pub mod declared {
    include!(concat!(env!("OUT_DIR"), "/rcs.openicf.declared.rs"));
}

/// What two processes of one router say to each other during a handover; generated from `proto/handover/handover.proto`.
pub mod handover {
    include!(concat!(env!("OUT_DIR"), "/rcs.handover.v1.rs"));
}
