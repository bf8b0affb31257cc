//! What becomes of a pod's containers: a pure state machine, one per pod.
//!
//! Events go in, effects come out; time is an argument. It knows `restartPolicy`, grace periods and
//! deadlines, and nothing of processes, files or NATS.

mod backoff;
mod container;
mod event;
mod machine;
#[cfg(test)]
mod tests;

pub use event::{Effect, Event, Impossible};
pub use machine::{Machine, RestartPolicy, Settings};
