//! Verbs on objects: admission, preconditions, patches, uids and generations.
//!
//! Both front ends call the same functions; neither holds a rule.

mod absent;
pub mod apply;
mod apply_job;
mod apply_request;
mod change;
mod collection;
mod convert;
mod cron;
mod deletion;
pub mod error;
mod events;
mod job_list;
pub mod job_object;
mod jobs;
mod late;
mod logs;
mod nodes;
pub mod objects;
mod options;
pub mod patch;
pub mod pod_object;
mod pod_status;
mod pods;
mod pods_change;
mod pods_delete;
mod pods_feed;
mod pods_open;
mod pods_pages;
mod pods_position;
mod pods_watch;
mod rerun;
mod scheduling;
pub mod selector;
mod services;
mod status;
mod store;
mod target;
mod watch;

pub use crate::admission::MAX_BODY_BYTES;
pub use apply_request::is_apply;
pub use cron::{CronName, CronNews};
pub use deletion::{FOREGROUND, ORPHAN};
pub use error::Error;
pub use events::{EventForm, Said};
pub use jobs::{Answer, MAX_JOB_BYTES};
pub use logs::LogStream;
pub(crate) use options::is_true;
pub use options::{LogStreams, Options, Propagation, RevisionMatch};
pub use patch::merge;
pub use store::Registry;
pub use watch::WatchStream;
