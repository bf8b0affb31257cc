//! Patches: the four kinds of body that change a part of an object, without what the object means.
//!
//! ```text
//! application/json-patch+json             json       RFC 6902: operations, in order
//! application/merge-patch+json            merge      RFC 7386: members; lists are replaced
//! application/strategic-merge-patch+json  strategic  members; lists are merged by keys
//! ```
//!
//! Pure. What comes out is judged like an update.

mod body;
mod error;
pub mod json;
mod lists;
pub mod merge;
pub mod schema;
pub mod strategic;

pub use body::{ACCEPTED, Patch, Unreadable};
pub use error::PatchError;
