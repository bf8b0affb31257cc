//! `stint completion`.

use super::print::out;
use crate::args::CompletionArgs;
use crate::complete::registration;
use crate::exit::{Exit, Expected};

pub(super) fn run(args: CompletionArgs) -> anyhow::Result<Exit> {
    let script = registration(&args.shell.to_string())
        .map_err(|error| Expected::usage("which shell").because(anyhow::Error::new(error)))?;
    out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
