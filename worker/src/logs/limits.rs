//! How much output is kept, and in what portions it travels.

/// A chunk is at most this long: far below NATS' largest message.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Output up to this size, both streams together, rides in the pod's record.
pub const INLINE_BYTES: u64 = 4 * 1024;
/// So much of the beginning of each stream is kept.
pub const HEAD_BYTES: u64 = 8 * 1024 * 1024;
/// So much of the end of a stream that went past its head is kept.
pub const TAIL_BYTES: u64 = 64 * 1024;
/// So much of the end of stderr rides in the record of a container that failed.
pub const STDERR_TAIL_BYTES: u64 = 1024;
/// So much of the end of a container's output stands in for its termination message, where that is
/// wanted (the kubelet's `MaxContainerTerminationMessageLogLength`).
pub(super) const LAST_WORDS_BYTES: u64 = 2048;
/// And at most so many lines (its `MaxContainerTerminationMessageLogLines`).
pub(super) const LAST_WORDS_LINES: usize = 80;
/// Holes are punched behind the reader in steps of this size: a system call each.
pub(super) const PUNCH_BYTES: u64 = 1024 * 1024;
/// A file past its head is begun anew when it has grown to this size, before it meets the file
/// system's limit (16 TiB on ext4), which would end its writer with SIGXFSZ.
pub(super) const ROLL_BYTES: u64 = 1 << 40;
