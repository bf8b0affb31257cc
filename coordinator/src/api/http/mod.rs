//! The API over HTTP: Kubernetes' REST paths, so that `kubectl` and every client library of
//! Kubernetes are clients.
//!
//! ```text
//! server   connections, their limits and deadlines   patient  who takes nothing is cut off
//! front    one request: route, call, respond
//! route    what a path and a method mean            query   what stands behind the question mark
//! accept   which form the client takes              respond from an answer to bytes
//! browser  pages must not speak for their readers
//! table    objects as `kubectl get` prints them     stream  watches and logs, as they come
//! discovery, openapi, health                        documents about the API itself
//! ```

mod accept;
mod browser;
mod discovery;
mod front;
mod health;
mod patient;
mod query;
mod respond;
mod route;
mod server;
mod stream;
mod table;

pub use server::{BindError, Listener, serve};
