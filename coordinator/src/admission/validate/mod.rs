//! What Kubernetes refuses of a Job: its rules, its order, its messages. One file a topic.
//!
//! Follows `pkg/apis/batch/validation` and the parts of `pkg/apis/core/validation` that a Job's
//! template meets. Fields of which Stint can do nothing are checked here only as far as the tables
//! of Kubernetes' own tests go: [`unsupported`](super::unsupported) refuses them.

mod container;
mod cron_job;
mod environment;
mod failure_policy;
mod handlers;
mod immutable;
pub mod indexes;
mod job;
pub(in crate::admission) mod metadata;
pub(crate) mod placing;
mod pod;
mod resources;
mod security;
mod selector;
mod spec;
mod status;
mod success_policy;
mod volumes;

pub use cron_job::{
    cron_job, cron_job_name, cron_job_spec, cron_job_update, schedule as cron_schedule,
};
pub use immutable::{Both, job_update, update};
pub use job::{Options, job};
pub use status::{Changed, job_status, status_update};
