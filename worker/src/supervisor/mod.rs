//! A small process between the agent and the pods: it owns their processes, so that the agent can
//! be restarted, upgraded or killed without harm to them.
//!
//! ```text
//!  agent ── SupervisedRuntime ══ unix socket, frames ══ supervisor ── ProcessRuntime ─▶ pods
//!    │        start, kill, note, prove ─▶   ◀─ started, exited   │ deadline: freezes, thaws
//!    └─ dies, comes back: Hello ─▶          ◀─ Welcome: all      └─ watchdog, if it dies
//! ```
//!
//! There is one for each data directory, found by its socket there. It decides nothing: what it
//! keeps for the next agent are the agent's own notes, which it does not read. See
//! `docs/supervisor.md`.

mod client;
mod deadline;
mod find;
mod keep;
mod peer;
mod serve;
mod wire;

pub use client::SupervisedRuntime;
pub use find::{Config, FindError};
pub use serve::{SUBCOMMAND, main};
