//! What starts and stops things. [`Runtime`] is the port; `process` runs host processes.

#[cfg(any(test, feature = "test-util"))]
pub mod noop;
mod port;
pub mod process;

pub use port::{
    Abilities, EventSink, Kept, KeptRun, Progress, RunId, Runtime, RuntimeEvent, StartError,
};
