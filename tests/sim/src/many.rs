//! Many seeds, on as many threads as the machine has.

use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::world::{Verdict, run};

/// Of so many seeds one is run twice.
const TWICE: u64 = 50;

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds in which nothing was wrong.
    pub held: u64,
    /// Pods that ran in them.
    pub pods: u64,
    /// What came to the servers.
    pub events: u64,
    /// On the simulated clocks.
    pub lasted: Duration,
    /// On the real one.
    pub took: Duration,
    /// What was wrong, seed by seed.
    pub failed: Vec<String>,
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { held, pods, events, lasted, took, failed } = self;
        let failed = failed.len();
        write!(
            f,
            "{held} seeds held, {failed} failed: {pods} pods, {events} messages, {lasted:.0?} of \
             simulated time, in {took:.1?}"
        )
    }
}

/// Runs seeds from `first` on, `count` of them or as many as there is `time` for; until `enough`
/// have failed.
///
/// # Panics
///
/// When a thread cannot be made.
#[must_use]
pub fn many(first: u64, count: u64, time: Option<Duration>, enough: usize) -> Summary {
    let (next, start) = (AtomicU64::new(first), Instant::now());
    let summary = Mutex::new(Summary::default());
    let lock = || summary.lock().expect("no thread panics with it");
    let go_on = || time.is_none_or(|time| start.elapsed() < time) && lock().failed.len() < enough;
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while go_on() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first.saturating_add(count) {
                        return;
                    }
                    let outcome = one(seed);
                    let mut summary = lock();
                    match outcome {
                        Ok(verdict) => {
                            summary.held += 1;
                            summary.pods += verdict.pods as u64;
                            summary.events += verdict.events;
                            summary.lasted += verdict.lasted;
                        }
                        Err(what) => summary.failed.push(what),
                    }
                }
            });
        }
    });
    let summary = summary.into_inner().expect("no thread panics with it");
    Summary { took: start.elapsed(), ..summary }
}

fn one(seed: u64) -> Result<Verdict, String> {
    let verdict = try_seed(seed)?;
    if seed.is_multiple_of(TWICE) && try_seed(seed).as_ref() != Ok(&verdict) {
        return Err(format!("seed {seed}: not the same twice"));
    }
    Ok(verdict)
}

fn try_seed(seed: u64) -> Result<Verdict, String> {
    let again = format!("STINT_SIM_SEED={seed} cargo test -p stint-tests --test simulation");
    match catch_unwind(AssertUnwindSafe(|| run(seed, false))) {
        Ok(verdict) if verdict.violations.is_empty() => Ok(verdict),
        Ok(verdict) => Err(format!("seed {seed}: {again}\n  {}", verdict.violations.join("\n  "))),
        Err(_) => Err(format!("seed {seed} panicked: {again}")),
    }
}
