//! What becomes of a pod's containers: a pure state machine, one per pod.
//!
//! Events go in, effects come out; time is an argument. It knows the order of init containers,
//! sidecars and main containers, `restartPolicy`, probes, hooks, grace periods and deadlines, and
//! nothing of processes, files or NATS.

mod actions;
mod backoff;
mod clock;
mod container;
mod event;
mod machine;
mod order;
mod probe;
mod report;
mod settings;
mod stop;
#[cfg(test)]
mod tests;

pub use event::{ActionId, ActionKind, ActionOutcome, Effect, Event, Impossible, ProbeKind};
pub use machine::{Awaits, Machine};
pub use settings::{ContainerSettings, Hook, ProbeSettings, RestartPolicy, Role, Settings};
