//! Server-side apply: who has said what about an object (`metadata.managedFields`), and what it
//! means when somebody says something else. Pure.
//!
//! ```text
//! fields    sets of fields, as `FieldsV1` writes them
//! typed     which fields a value has, merging, taking away, comparing
//! managed   `managedFields`: entries, kept as objects are applied and changed
//! ```
//!
//! As in Kubernetes, an object that nobody has ever applied is not kept account of: at the first
//! apply, all that it has belongs to `before-first-apply`. Differs from Kubernetes: there, accounts
//! of new objects are kept from their creation on; and what is written into a status has no account
//! here.

mod fields;
mod managed;
mod typed;

pub use managed::{Applied, Conflict, apply, track};
