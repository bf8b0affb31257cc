//! The `stint` program as these tests run it: the same entry, built with the tests, so that they
//! never meet an older one.

use std::process::ExitCode;

use stint::{command, report};
use stint_worker::runtime::process::{launcher, watchdog, with_main_thread};
use stint_worker::supervisor;

/// As the real one has it: what is measured is to be that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(watchdog::SUBCOMMAND) => return watchdog::main(&arguments.collect::<Vec<_>>()),
        Some(launcher::SUBCOMMAND) => return launcher::main(),
        _ => {}
    }
    match with_main_thread(play) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("stint: cannot start a thread: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == supervisor::SUBCOMMAND => supervisor::main(rest),
        _ => run(),
    }
}

fn run() -> ExitCode {
    match command::run_typed() {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprint!("{}", report::render(&error));
            report::exit(&error).into()
        }
    }
}
