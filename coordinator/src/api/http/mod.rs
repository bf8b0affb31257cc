//! The API over HTTP: Kubernetes' REST paths, so that `kubectl` and every client library of
//! Kubernetes are clients.
//!
//! ```text
//! server   connections, limits, deadlines   tls          patient  who takes nothing is cut off
//! front    one request: route, call, respond
//! route    what a path and a method mean            query   what stands behind the question mark
//! accept   which form the client takes              respond from an answer to bytes
//! access   who asks, and what they may              browser  pages must not speak for readers
//! table    objects as `kubectl get` prints them     stream  watches and logs, as they come
//! ui       the page for people
//! protobuf bodies of Go clients                     discovery, openapi, health: about itself
//! ```

mod accept;
mod access;
mod browser;
mod discovery;
mod front;
mod health;
mod openapi;
mod patient;
mod protobuf;
mod query;
mod respond;
mod route;
mod server;
mod stream;
mod table;
mod tls;
mod ui;

pub use access::{Access, AccessError, AccessFile};
pub use server::{BindError, Listener, Offer, serve};
pub use tls::{Tls, TlsError, TlsFiles};
