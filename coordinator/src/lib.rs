//! The coordinator: admits Jobs, decides what their pods do, counts every termination once.

pub mod admission;
pub mod api;
pub mod control;
pub mod cron;
pub mod job;
pub mod registry;
pub mod serve;
pub mod store;
pub mod tend;
pub mod trace;
