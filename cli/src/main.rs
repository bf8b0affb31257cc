//! The one binary. Parses arguments, starts the log, calls the command, turns errors into exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use stint::args::Cli;
use stint::{command, exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match command::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprint!("{}", exit::render(&error));
            exit::of(&error).into()
        }
    }
}
