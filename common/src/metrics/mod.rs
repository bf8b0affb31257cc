//! What our own processes count: one set of instruments a process, read by OTLP and on `/metrics`.
//!
//! ```text
//! jetstream    writes in groups, conflicts, requests      both roles
//! coordinator  what the owner decides, what the API answers
//! worker       what the agent takes, runs and says
//! board        what is looked at when somebody reads: queues, places
//! start        who reads
//! ```
//!
//! Before [`start()`] they count nothing and cost next to nothing; so a program that only asks the
//! API, and a simulation, need not know of them. Names are OpenTelemetry's (`stint.pods.ended`);
//! Prometheus sees `stint_pods_ended_total`.

mod board;
mod coordinator;
mod jetstream;
mod start;
mod worker;

use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, Meter};

pub use board::{Owned, Places, Queue, owned, places};
pub use coordinator::{Asked, Coordinator, coordinator};
pub use jetstream::{JetStream, jetstream};
pub use start::{Metrics, Role, are_read, render, start};
pub use worker::{Worker, worker};

/// Bounds of times in seconds, from a round trip on one machine to a night's work.
const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0,
    7200.0,
];
/// Bounds of the sizes of groups.
const SIZES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0];

fn meter() -> Meter {
    opentelemetry::global::meter("stint")
}

fn seconds(meter: &Meter, name: &'static str, about: &'static str) -> Histogram<f64> {
    let bounds = SECONDS.to_vec();
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(about);
    histogram.with_boundaries(bounds).build()
}

fn counter(meter: &Meter, name: &'static str, about: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(about).build()
}

/// One that has no attributes, and is seen from the start: a rate begins at nothing.
fn zero(meter: &Meter, name: &'static str, about: &'static str) -> Counter<u64> {
    let counter = counter(meter, name, about);
    counter.add(0, &[]);
    counter
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn secs(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
