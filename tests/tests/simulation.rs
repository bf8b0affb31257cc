//! Whole systems on simulated time, one a seed.
//!
//! `STINT_SIM_SEED=7` runs one seed and says what came of it, `STINT_SIM_ALOUD=1` every message;
//! `STINT_SIM_SEEDS=10000` runs so many, from `STINT_SIM_FIRST` (1) on (`.ci/run` does so). Without
//! them the same few hundred run each time, so that a change is judged and not a machine's speed.

use stint_sim::many;

/// What is simulated makes many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Without a number of seeds, so many are run.
const SEEDS: u64 = 400;
/// After so many failures the rest would tell little (`STINT_SIM_ENOUGH`).
const ENOUGH: u64 = 10;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_seed_holds() {
    if let Some(seed) = variable("STINT_SIM_SEED") {
        let verdict = stint_sim::run(seed, variable("STINT_SIM_ALOUD").is_some());
        println!("{verdict:#?}");
        assert!(verdict.violations.is_empty(), "\n{}", verdict.violations.join("\n"));
        return;
    }
    let first = variable("STINT_SIM_FIRST").unwrap_or(1);
    let enough = usize::try_from(variable("STINT_SIM_ENOUGH").unwrap_or(ENOUGH)).unwrap();
    let count = variable("STINT_SIM_SEEDS").unwrap_or(SEEDS);
    let summary = many(first, count, None, enough);
    println!("{summary}");
    let failed = &summary.failed;
    assert!(failed.is_empty(), "{} seeds failed\n{}", failed.len(), failed.join("\n"));
}
