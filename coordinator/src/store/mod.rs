//! What is kept of a Job and of other objects, and a replica in memory of all objects.
//!
//! The record is the envelope around the user's raw JSON; the replica is what reads and watches are
//! answered from, at most one stream read behind.

mod object;
mod record;
mod replica;

pub use object::ObjectRecord;
pub use record::{DecodeError, JobRecord, OF_DELETION};
pub use replica::{Change, Object, Replica, UNBURIED, WatchError, Watcher};

/// Whether what stands at an object's subject says that the object is gone. Not decoded: this is
/// asked of every message that is read.
#[must_use]
pub fn is_tombstone(payload: &[u8]) -> bool {
    payload.is_empty() || payload.ends_with(b"\"gone\":true}")
}
