//! What tests from the outside share: a [`World`] of real processes, a client that knows NATS only,
//! and builders of manifests.
//!
//! Nothing here knows how Stint decides; it starts things, asks, waits with a deadline, ends
//! things.

pub mod api;
pub mod clock;
pub mod http;
pub mod job;
pub mod mutations;
pub mod parts;
pub mod proc;
pub mod records;
pub mod relay;
pub mod wait;
pub mod world;

pub use api::{Api, Reply, Streamed};
pub use clock::WallClock;
pub use http::{Http, HttpReply, HttpStream};
pub use job::{JobBuilder, job};
pub use relay::{Cut, Relay};
pub use wait::{eventually, until};
pub use world::{Shape, World};
