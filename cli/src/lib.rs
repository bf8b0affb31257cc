//! The `stint` program: what users type, and the roles (coordinator, worker, all in one) behind it.
//!
//! `args` says what can be typed, `command` does it, `output` renders what comes back; `client`
//! talks to the API, `dev` and `nats_server` start things on this machine, `demo` shows it all.

pub mod args;
pub mod client;
pub mod command;
pub mod complete;
pub mod config_file;
pub mod demo;
pub mod dev;
pub mod exit;
pub mod launch;
pub mod manifest;
pub mod nats_server;
pub mod output;
pub mod report;
pub mod resource;

mod paths;
mod signals;
