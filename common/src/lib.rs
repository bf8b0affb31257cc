//! The words that coordinator, worker and clients share: ids, names, wire messages, and the few
//! JetStream primitives on which the protocol stands. Holds no decisions.

pub mod annotations;
pub mod backoff;
pub mod capability;
pub mod collections;
pub mod config;
pub mod id;
pub mod index_set;
pub mod metrics;
pub mod names;
pub mod nats;
pub mod placing;
pub mod pod_meta;
pub mod quantity;
#[cfg(feature = "test-util")]
pub mod stage;
pub mod task;
pub mod telemetry;
pub mod time;
pub mod trace;
pub mod wire;
