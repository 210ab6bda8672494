//! Compiles our own .proto files with protox: no installed protoc is needed.

use std::io::Result;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=openicf");
    let files = protox::compile(["envelope.proto", "operations.proto", "declared.proto"], ["openicf"])
        .map_err(std::io::Error::other)?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    println!("cargo:rerun-if-changed=handover");
    let files = protox::compile(["handover.proto"], ["handover"]).map_err(std::io::Error::other)?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)
}
