//! Compiles `proto/cluster` with protox: no installed protoc is needed.

use std::io::{Error, Result};

const FOLDER: &str = "../../proto/cluster";

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed={FOLDER}");
    let files = protox::compile(["raft.proto"], [FOLDER]).map_err(Error::other)?;
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_fds(files)
}
