//! `stint completion`.

use clap::CommandFactory as _;

use super::print::out;
use crate::args::{Cli, CompletionArgs};
use crate::exit::Exit;

pub(super) fn run(args: CompletionArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stint", &mut script);
    out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
