//! The launcher: what must happen in a container's own process before its program is executed.
//!
//! ```text
//! spawner ── posix_spawn ─▶ stint __run ── mounts, groups, user … ── exec ─▶ program
//!    │                         ▲   │
//!    └── instructions ─────────┘   └─ `!`, or why not ─▶ spawner
//! ```
//!
//! Both ways go over one socket, which is the launcher's standard input and is closed by the
//! `exec`. Containers that need nothing of this are spawned without it.

mod identity;
mod instructions;
mod mirror;
mod mounts;
mod namespaces;
mod read_only;
mod run;
mod seccomp;
mod start;
mod talk;

pub use run::{SUBCOMMAND, main};

pub(super) use instructions::Bind;
pub(super) use read_only::mount_point;
pub(super) use start::{start, try_out};
