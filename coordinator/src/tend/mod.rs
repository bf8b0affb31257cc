//! What the owner looks after besides Jobs, with the verbs that clients have: namespaces and
//! CronJobs.
//!
//! Everything here may be done twice, by two coordinators at once, or not be finished: it is looked
//! at again.

mod cron_jobs;
mod namespaces;
mod run;

pub use run::run;
