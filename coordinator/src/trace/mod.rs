//! Traces: one span for each Job, and one for each pod that a worker had.
//!
//! ```text
//! owner --facts--> bounded queue --> own thread: facts -> spans -> OTLP over HTTP
//!        try_send                    (waits, retries and gives up here, and only here)
//! ```
//!
//! Ids are derived (`stint_common::trace`), so whoever owns the Job at its end finishes the span
//! that another began, and a span that is sent twice is the same span. A Job is one trace; a large
//! one has its pods in linked traces of 1,000 each. At most about 5,000 spans of it are sent,
//! besides its failures, which are always kept. Nothing here decides anything about a Job, and
//! nothing waits for it: a full queue drops spans, and says how many.

mod export;
mod facts;
mod sample;
mod spans;
mod tracer;

pub use export::{Exporter, start};
pub use sample::Settings;
pub use tracer::{JobTrace, Tracer};
