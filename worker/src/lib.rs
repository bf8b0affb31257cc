//! The worker: claims pods and runs them on this machine.

pub mod agent;
pub mod forward;
pub mod launch;
pub mod logs;
pub mod machine;
pub mod pod;
pub mod runtime;
pub mod scrape;
pub mod serve;
pub mod supervisor;
