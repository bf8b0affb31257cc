//! The worker: claims pods and runs them on this machine.

pub mod serve;
