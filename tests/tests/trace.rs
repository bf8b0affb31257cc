//! Traces as a receiver gets them: OTLP over HTTP, from real processes.

#[path = "trace/away.rs"]
mod away;
#[path = "trace/foreign.rs"]
mod foreign;
#[path = "trace/output.rs"]
mod output;
#[path = "trace/receiver.rs"]
mod receiver;
#[path = "trace/tls.rs"]
mod tls;
#[path = "trace/tree.rs"]
mod tree;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use stint_tests::{Shape, World};

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");

/// A world, and the program that its parts are, which sets variables first.
struct Traced {
    world: World,
    _program: tempfile::TempDir,
}

impl std::ops::Deref for Traced {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

/// A world whose processes have these variables set.
async fn world_with(variables: &[(&str, &str)]) -> Traced {
    let program = tempfile::tempdir().expect("a temporary directory can be made");
    let stint = with_variables(program.path(), variables);
    Traced { world: World::start(&stint, Shape::default()).await, _program: program }
}

/// A program that becomes the one under test, with variables set.
fn with_variables(dir: &Path, variables: &[(&str, &str)]) -> String {
    let mut script = "#!/bin/sh\n".to_owned();
    for (name, value) in variables {
        writeln!(script, "export {name}='{value}'").expect("a string takes every line");
    }
    writeln!(script, "exec '{STINT}' \"$@\"").expect("a string takes every line");
    let path = dir.join("stint");
    fs::write(&path, script).expect("the directory can be written to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    path.display().to_string()
}
