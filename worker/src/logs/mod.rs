//! Containers' output: written by them into nameless files, read here without ever holding them up.
//!
//! ```text
//! container ─▶ file (one a stream, O_APPEND, no name) ─ LogReader::poll ─▶ chunks ─▶ agent ships
//!                 └─ holes are punched behind what was read, and into what the cap drops
//! ```
//!
//! Small output rides in the pod's record ([`LogReader::finish`]); the rest is read in chunks. Per
//! stream the first 8 MiB and the last 64 KiB are kept, and what was dropped is counted and said.

mod capture;
mod limits;
mod reader;
mod remote;
mod stream;
#[cfg(test)]
mod tests;

pub use capture::{Capture, CapturePool, has_room};
pub use limits::{CHUNK_BYTES, HEAD_BYTES, INLINE_BYTES, STDERR_TAIL_BYTES, TAIL_BYTES};
pub use reader::{Chunk, LogReader, StreamName};
pub use remote::RemoteFiles;
