//! Verbs on objects: admission, preconditions, patches, uids and generations.
//!
//! Both front ends call the same functions; neither holds a rule.

mod convert;
pub mod error;
pub mod job_object;
mod jobs;
mod logs;
pub mod merge;
mod options;
pub mod pod_object;
mod pod_status;
mod pods;
pub mod selector;
mod store;
mod watch;

pub use error::Error;
pub use jobs::{Answer, MAX_JOB_BYTES};
pub use logs::LogStream;
pub use options::{LogStreams, Options, Propagation};
pub use store::Registry;
pub use watch::WatchStream;
