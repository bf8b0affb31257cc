//! The API server's decoding, defaulting and validation: for `batch/v1` Jobs, and (in `plain`) for
//! objects that are kept as they are sent. Pure.
//!
//! ```text
//! bytes --decode--> Body --create or update--> Admitted { job, warnings }
//!                          | typed: wrong types, unknown members
//!                          | defaults, generate: what is not said
//!                          | validate: what Kubernetes refuses
//!                          | unsupported: what Stint refuses on top
//! ```
//!
//! What is stored is the JSON that was sent, with what is added to it; typed objects are only read.

mod cause;
mod create;
mod decode;
pub mod defaults;
mod extension;
pub mod generate;
mod images;
pub mod plain;
mod pod_defaults;
mod read;
mod rejection;
pub mod semantic;
mod status;
pub mod text;
pub mod typed;
pub mod unsupported;
mod update;
pub mod validate;
pub mod warnings;

pub use cause::{Cause, CauseReason, Causes, Path};
pub use create::{CreateContext, create};
pub use decode::{Body, MAX_BODY_BYTES, decode, decode_as};
pub use read::{Admitted, FieldValidation, Identity};
pub use rejection::Rejection;
pub use status::{AdmittedStatus, check_status, prepare_status, update_status};
pub use update::{UpdateContext, prepare as prepare_update, update};
