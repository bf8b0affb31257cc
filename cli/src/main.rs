//! The one binary. Parses arguments, starts the log, calls the command, turns errors into exit
//! codes.

use std::process::ExitCode;

use stint::{command, report};
use stint_worker::runtime::process::{launcher, watchdog, with_main_thread};
use stint_worker::supervisor;

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
    match with_main_thread(play) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("stint: cannot start a thread: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map_while(|it| it.into_string().ok()).collect();
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
