//! The process runtime with real processes.
//!
//! This program is its own watchdog and its own dying worker, so it has its own `main`. Its main
//! thread is lent to the reaper, as in the worker.
#![cfg(test)]

mod busy;
mod death;
mod ends;
mod escapes;
mod freezing;
mod setups;
mod starts;
mod supervised;
mod world;

use std::process::ExitCode;

use stint_worker::runtime::process::{launcher, watchdog, with_main_thread};
use stint_worker::supervisor;

type Case = (&'static str, fn());

/// All cases, by file.
const SUITES: [&[Case]; 8] = [
    &starts::CASES,
    &busy::CASES,
    &ends::CASES,
    &escapes::CASES,
    &freezing::CASES,
    &death::CASES,
    &setups::CASES,
    &supervised::CASES,
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some(watchdog::SUBCOMMAND) => watchdog::main(&args[1..]),
        Some(launcher::SUBCOMMAND) => launcher::main(),
        Some(supervisor::SUBCOMMAND) => {
            with_main_thread(|| supervisor::main(&args[1..])).expect("a thread can be made")
        }
        Some(death::ROLE) => {
            with_main_thread(|| death::be_worker(&args[1..])).expect("a thread can be made");
            ExitCode::SUCCESS
        }
        _ => {
            let filters: Vec<String> =
                args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
            let passed = with_main_thread(|| run_all(&filters)).expect("a thread can be made");
            if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

/// Runs the cases whose name holds a filter, all if there is none. Whether all passed.
fn run_all(filters: &[String]) -> bool {
    let mut passed = true;
    for (name, case) in SUITES.into_iter().flatten() {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        let start = std::time::Instant::now();
        let ok = std::panic::catch_unwind(case).is_ok();
        let verdict = if ok { "ok" } else { "FAILED" };
        println!("test {name} ({} ms) ... {verdict}", start.elapsed().as_millis());
        passed &= ok;
    }
    passed
}
