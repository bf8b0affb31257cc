//! The log of our own processes, and where telemetry goes.

pub mod batch;
pub mod client;
pub mod otlp;
mod variables;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Sends our own log to standard error. `filter` is an `EnvFilter` text; `json` writes one object a
/// line.
///
/// Call once, in `main`; a second call changes nothing.
pub fn init_log(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // Files and the journal are searched for words, which codes of colours would tear apart.
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    let outcome = if json { builder.json().try_init() } else { builder.try_init() };
    // An error means that a subscriber is installed already, which is what was asked for.
    drop(outcome);
}
