//! Verbs on objects that are kept as they are sent: one set of functions, and a line in [`kind`]
//! for each kind.
//!
//! They share the stream of the Jobs' records, and are read and written as these are: reads from
//! the replica once it is as far as the stream, writes by compare-and-set against the stream's
//! leader.

mod apply;
pub mod kind;
mod namespaces;
mod read;
mod stored;
mod watch;
mod write;

pub use kind::Kind;
pub use namespaces::NamespaceChanges;
pub(super) use stored::StoredObject;
pub use write::Changed;
