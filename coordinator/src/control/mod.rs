//! The owner's loop: observes the streams, lets the core plan, carries the plans out.
//!
//! ```text
//! objects tail --+                       +-- Jobs' records  (compare-and-set)
//! pods tail -----+--> Owner (one task) --+-- work items     (after the record that issued them)
//! outcomes ------+    no await inside    +-- ends, orders   (after the record that closed them)
//! ticks ---------+                       +-- nudges, events (best effort)
//! ```
//!
//! Holds no rule of Kubernetes: those are in `job`. Holds nothing that the streams do not: it may
//! be killed between any two writes.

mod ask;
mod carry;
mod classes;
mod dependents;
mod ends;
mod events;
mod graves;
mod intake;
mod kept;
mod leader;
mod managed;
mod measure;
mod mend;
mod owner;
mod retire;
mod run;
mod spans;
mod stops;
mod strays;
#[cfg(test)]
mod tests;
mod window;
mod workers;

pub use leader::Candidate;
pub use run::{Keep, Shared, run};
