//! The one binary. Parses arguments, starts the log, calls the command, turns errors into exit
//! codes.

use std::process::ExitCode;

use stint::{command, report};
use stint_worker::runtime::process::{launcher, watchdog, with_main_thread};

/// The coordinator makes and drops hundreds of small values a Job, on several threads: with the
/// system's allocator a third of its time goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        // Before anything else: the watchdog stays small, and outlives what this program grows
        // into; the launcher has no other thread.
        Some(watchdog::SUBCOMMAND) => return watchdog::main(&arguments.collect::<Vec<_>>()),
        Some(launcher::SUBCOMMAND) => return launcher::main(),
        _ => {}
    }
    // The main thread is lent to the worker's process runtime, which reaps orphans there.
    match with_main_thread(run) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("stint: cannot start a thread: {error}");
            ExitCode::FAILURE
        }
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
