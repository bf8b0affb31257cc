//! `simulate [COUNT [FIRST]]`: runs so many seeds (10,000) from FIRST (1) on, on all cores, and
//! prints those that fail; exit code 1 if one does. `STINT_SIM_SEED=7 simulate` runs one and says
//! what came of it, with `STINT_SIM_ALOUD=1` every message.

use std::process::ExitCode;

use stint_sim::{many, run};

/// What is simulated makes many small allocations: with the system's allocator a tenth of its time
/// goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After so many failures the rest would tell little.
const ENOUGH: usize = 20;

fn main() -> anyhow::Result<ExitCode> {
    if let Ok(seed) = std::env::var("STINT_SIM_SEED") {
        let verdict = run(seed.parse()?, std::env::var_os("STINT_SIM_ALOUD").is_some());
        println!("{verdict:#?}");
        return Ok(exit_code(verdict.violations.is_empty()));
    }
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
    let first = arguments.next().map_or(Ok(1), |first| first.parse())?;
    let summary = many(first, count, None, ENOUGH);
    println!("{summary}");
    for failed in &summary.failed {
        println!("{failed}");
    }
    Ok(exit_code(summary.failed.is_empty()))
}

fn exit_code(holds: bool) -> ExitCode {
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
