//! Containers as host processes.
//!
//! ```text
//!  start ─▶ queue ─▶ spawner threads ── posix_spawn ─▶ leader of a process group ─▶ its tree
//!                        │ registers                          │ exits
//!                        ▼                                    ▼
//!  terminate, kill ─▶ registry ◀──────────── reaper: KILL to the group, reap, orphans? ─▶ sink
//!
//!  watchdog (own session) ── reads a pipe; its end: the worker died ─▶ kills all that is left
//! ```
//!
//! Each run is a process group of its own, made by `posix_spawn` itself: nothing of ours runs
//! between fork and exec. The worker is a child subreaper, so what leaves the group (`setsid`,
//! double fork) comes to it when its parent ends, and is known by the variable `marker::VARIABLE`
//! in its environment. A run is over when its group is empty and no such orphan is left.
//!
//! What must happen in the process of a container that asks for more (volumes, another user) is
//! done by the [`launcher`], a program between us and it.
//!
//! Whoever hosts this calls [`with_main_thread`] in `main`: orphans are handed to the main thread,
//! so the reaper can ask there, in one system call, whether there are any.
//!
//! Limits of what can be done without cgroups: a process that left its group *and* emptied its
//! environment cannot be told from those of other runs that were alive when it was born; it is
//! killed when the last of these is over.

mod busy;
mod cgroup;
mod close;
mod freeze;
pub mod launcher;
mod limits;
mod main_thread;
mod marker;
mod open;
mod pods;
mod proc;
mod program;
mod reaper;
mod registry;
mod rights;
mod shared;
mod spawn;
mod spawner;
mod strangers;
mod sweep;
mod table;
mod terminate;
pub mod watchdog;

pub use limits::{FilesError, raise_file_limit};
pub use main_thread::with_main_thread;
pub use open::{Config, OpenError, ProcessRuntime, WatchdogCommand};
