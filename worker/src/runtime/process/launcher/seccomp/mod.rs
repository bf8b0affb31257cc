//! Filters on system calls: which a container may not make.
//!
//! ```text
//! usual   what container runtimes forbid if nothing else is said ─┐
//! oci     a profile that lies on the machine                     ─┴▶ Profile ─ program ─▶ kernel
//! ```

mod oci;
mod profile;
mod program;
mod usual;

use std::path::Path;

use seccompiler::BpfProgram;
use stint_common::capability::Capabilities;

use super::instructions::Failure;
use crate::launch::{Filter, Security};

/// The filter that `wanted` asks for, read while all files can still be seen. `profiles` is where
/// profiles lie.
pub(super) fn prepare(wanted: &Security, profiles: &Path) -> Result<Option<BpfProgram>, Failure> {
    let profile = match &wanted.filter {
        None => return Ok(None),
        Some(Filter::Usual) => {
            let usual = Capabilities::of_container(&[], &[]);
            usual::profile(wanted.capabilities.unwrap_or(usual))
        }
        Some(Filter::Profile(name)) => {
            let path = profiles.join(name);
            let fault = |error: String| {
                Failure::container(format!("seccomp profile {}: {error}", path.display()))
            };
            let text = std::fs::read(&path).map_err(|error| fault(error.to_string()))?;
            oci::read(&text).map_err(fault)?
        }
    };
    let program = program::compile(&profile);
    Ok(Some(program.map_err(|error| Failure::container(format!("seccomp profile: {error}")))?))
}

/// Filters the calls of this process and of all that it becomes or starts. No program that it
/// executes gets more rights from then on: only so may everybody filter.
pub(super) fn apply(program: &BpfProgram) -> Result<(), Failure> {
    seccompiler::apply_filter(program)
        .map_err(|error| Failure::system("filtering system calls", std::io::Error::other(error)))
}
