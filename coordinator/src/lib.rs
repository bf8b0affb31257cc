//! The coordinator: admits Jobs, decides what their pods do, counts every termination once.

pub mod job;
pub mod serve;
