//! The speed of the whole road, as ratios measured in one run on this machine.
//!
//! `cargo bench -p stint-tests --bench throughput [-- ROW…]` prints a table; rows are named in
//! [`rows`]. This one program plays every part: nats-server is a child, coordinator and workers are
//! this program again.

mod fleet;
mod kinds;
mod roles;
mod rows;

use std::process::ExitCode;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(exit) = roles::play(&arguments) {
        return exit;
    }
    let wanted: Vec<String> =
        arguments.into_iter().filter(|argument| !argument.starts_with("--")).collect();
    match rows::run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
