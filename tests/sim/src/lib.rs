//! A whole Stint on simulated time: one seed decides everything, and production code runs over a
//! JetStream in memory.
//!
//! ```text
//! clients ─▶ registry ┐                     ┌─▶ truth: invariants at every write and start
//! coordinators ───────┼─ Port ─ Net ─ Server┤
//! workers ─ Machine ──┘                     └─▶ trace: the same number for the same seed
//! faults: crash at any await, pause, cut, clock, shutdown, server; lapses of the server; delays
//! ```

pub mod clients;
pub mod faults;
pub mod jetstream;
pub mod job_truth;
pub mod judge;
pub mod machine;
pub mod many;
pub mod net;
pub mod process;
pub mod rng;
pub mod roles;
pub mod trace;
pub mod truth;
pub mod world;

pub use many::{Summary, many};
pub use rng::Rng;
pub use world::{Verdict, run};
