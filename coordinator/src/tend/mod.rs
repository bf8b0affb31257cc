//! What the owner looks after besides Jobs, with the verbs that clients have: namespaces,
//! CronJobs, and the streams themselves.
//!
//! Everything here may be done twice, by two coordinators at once, or not be finished: it is looked
//! at again.

mod cron_jobs;
mod namespaces;
mod run;
mod streams;

pub use run::run;
