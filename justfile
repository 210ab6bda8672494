# The commands of this repository. `just` alone lists them (`cargo install just`).
# Each recipe is one or a few commands that can be typed as well.

# List the recipes.
default:
    @just --list

# Check format, lints and documentation. Writes nothing but the target folder.
check:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

# Format, and apply what clippy can mend by itself.
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all
    cargo fmt --manifest-path fuzz/Cargo.toml

# Run the tests of one crate, or those whose names contain NAME: `just test rcs-core verdict`.
test CRATE *NAME:
    cargo test -p {{ CRATE }} {{ NAME }}

# OAuth2 with Keycloak. The first time it is fetched (141 MB).
keycloak:
    RCS_KEYCLOAK=1 cargo test -p rcs-tests --test it keycloak -- --nocapture

# Start a router and three nodes, and kill a node under load. `just demo --stay` keeps them up.
demo *OPTIONS:
    cargo run --release -p rcs-router -- demo {{ OPTIONS }}

# Do damage to real processes under load: `just drill kill --minutes 20`, `just drill all --short --java`.
drill NAME *OPTIONS:
    cargo build --release -p rcs-router -p rcs-node -p rcs-bench
    target/release/rcs-bench drill {{ NAME }} {{ OPTIONS }}

# Fuzz every target for some seconds each, or the named ones: `just fuzz 600 envelope legacy`.
fuzz SECONDS="60" *TARGETS:
    fuzz/run {{ SECONDS }} {{ TARGETS }}

# Everything that must hold before a change lands.
ci:
    .ci/run

# The long forms, hours of them, all or by name: `just long order idle`. `just long list` names them.
long *PARTS:
    .ci/long {{ PARTS }}
