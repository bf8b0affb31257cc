//! The coordinator: admits Jobs, decides what their pods do, counts every termination once.

pub mod control;
pub mod job;
pub mod serve;
pub mod store;
