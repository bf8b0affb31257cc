//! What lies in `deploy/`, run as it is.

#![cfg(test)]

#[path = "deploy/backup.rs"]
mod backup;
#[path = "deploy/cluster.rs"]
mod cluster;
#[path = "deploy/units.rs"]
mod units;

use std::path::PathBuf;

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");

/// A file of `deploy/`.
fn deployed(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    path.canonicalize().expect("it is there")
}
