//! From a Job's template and a pod's identity to what is to be executed. Pure.
//!
//! What all pods of a Job share is worked out once, in [`PreparedJob`]; a pod then costs a few
//! microseconds.
//!
//! The environment of a container, later lines winning over earlier ones:
//!
//! 1. `PATH`, `HOME`, `LANG`, `TZ`, `USER`, `SHELL`, `TMPDIR` as the worker itself has them (they
//!    stand in for what an image would set); nothing else of the worker's environment;
//! 2. `HOSTNAME` (the pod's hostname), `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` where the pod is
//!    traced, `STINT_TERMINATION_LOG` (the file for the run's termination message);
//! 3. `STINT_POD_UID`, `STINT_JOB_UID`, `STINT_ATTEMPT`;
//! 4. the container's `env`, with `JOB_COMPLETION_INDEX` for Indexed Jobs.
//!
//! `$(NAME)` sees 3 and 4 only, as in Kubernetes, where it sees neither the image's environment nor
//! the host's.

mod config;
mod config_volumes;
mod env;
mod error;
mod expand;
mod field;
mod handler;
mod host;
mod job;
mod resources;
mod security;
mod setup;
#[cfg(test)]
mod tests;
mod volumes;

pub use config::{
    Found, Reference, References, Values, references, variables_of, with_files, with_variables,
    without_files,
};
pub use error::PrepareError;
pub use handler::{Endpoint, Handler, HealthCheck, HttpGet};
pub use host::{Host, INHERITED};
pub use job::{LaunchSpec, PreparedJob, RunFacts};
pub use setup::{
    FileContent, Filter, HostPathKind, Limits, Mount, Security, Setup, Volume, VolumeSource,
};
