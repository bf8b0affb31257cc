//! Pods' output as OTLP log records, a line each, for a receiver of telemetry; only where that is
//! asked for (`OTEL_LOGS_EXPORTER=otlp`).
//!
//! ```text
//! agent reads output ──Tap──▶ bounded queue ──▶ own thread: lines → records → OTLP over HTTP
//!                    try_send                   (waits, retries and gives up here, only here)
//! ```
//!
//! Nothing waits for it, and nothing rests on it: what users ask for as logs comes from the pods'
//! records and the logs' stream. A full queue drops output, and what is lost is counted.

mod lines;
mod request;
mod send;
mod tap;
mod thread;

pub use tap::{Origin, Outlet, Tap};
pub use thread::{Forwarder, start};
