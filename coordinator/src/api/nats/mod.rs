//! The API over NATS: an ADR-32 service named `stint`.
//!
//! `<prefix>.v1.<namespace>.<resource>.<verb>[.<name>]`; the body is the object, JSON or YAML;
//! options are headers named like Kubernetes' query parameters; an error is a `v1` `Status` with
//! the two service headers. `watch`, and `pods/log`, stream their answers to the reply subject.

mod schema;
mod service;
mod stream;
mod target;

pub use service::{ServiceError, serve};
