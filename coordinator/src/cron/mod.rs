//! What `batch/v1` CronJobs mean: when a Job is due, and what is done about it. Pure.
//!
//! ```text
//! schedule (text) --parse--> Schedule --next--> times --+
//! CronJob, its Jobs, now -------------------------------+--> plan: status, Jobs to make, to delete
//! ```

mod field;
mod job;
mod plan;
mod schedule;
mod times;
mod view;
mod zone;

pub use job::{JOB_NAME_SUFFIX, job_from_template, job_name};
pub use plan::{Created, Event, Plan, created, obsolete, plan};
pub use schedule::Schedule;
pub use times::{Missed, RecentTime, most_recent, next_after};
pub use view::{Child, ConcurrencyPolicy, CronJob, CronStatus, Finish, JobRef};
pub use zone::time_zone;
