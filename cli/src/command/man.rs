//! `stint man`: a page for each command.

use clap::CommandFactory as _;

use crate::args::{Cli, ManArgs};
use crate::exit::{Exit, Expected};

pub(super) fn run(args: &ManArgs) -> anyhow::Result<Exit> {
    let failed = |error| {
        let what = format!("writing pages to {}", args.directory.display());
        Expected::usage(what).because(anyhow::Error::new(error))
    };
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.directory).map_err(failed)?;
    Ok(Exit::Success)
}
