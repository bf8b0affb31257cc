//! One stream of one run: how far its file was read, and what the cap dropped of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use nix::fcntl::{FallocateFlags, fallocate};

use super::limits::{HEAD_BYTES, PUNCH_BYTES, ROLL_BYTES, TAIL_BYTES};

/// Where a stream's reader stands. The file itself is passed to each call.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The next byte of the file to be read.
    position: u64,
    /// The file is a hole up to here, since that was read.
    punched: u64,
    /// The file is a hole from the end of its head up to here, since that is dropped.
    dropped_to: u64,
    /// Bytes of the file's earlier lives, all dropped but for the head.
    rolled: u64,
    /// Set at the end: what was written in all, and dropped of it.
    end: Option<StreamEnd>,
    /// The line that says what was dropped was given out.
    said: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamEnd {
    /// Bytes written.
    pub(super) bytes: u64,
    /// Bytes that the cap kept out.
    pub(super) dropped: u64,
    /// The file's size.
    pub(super) size: u64,
}

impl Stream {
    /// Whether anything was read of it.
    pub(super) fn is_untouched(&self) -> bool {
        self.position == 0 && self.rolled == 0
    }

    /// How much of the head was read.
    pub(super) fn place(&self) -> u64 {
        self.position.min(HEAD_BYTES)
    }

    /// One of whose head so much was read by somebody else.
    pub(super) fn from(position: u64) -> Self {
        let position = position.min(HEAD_BYTES);
        Self { position, punched: position, ..Self::default() }
    }

    /// Up to `max` bytes that were not read before, with their place in the stream.
    pub(super) fn read(&mut self, file: &File, max: usize) -> io::Result<Option<(u64, Vec<u8>)>> {
        let size = match self.end {
            Some(end) => end.size,
            None => file.metadata()?.len(),
        };
        if self.end.is_none() {
            self.drop_middle(file, size);
        }
        let limit = match self.end {
            Some(end) if end.dropped == 0 => size,
            Some(_) | None => size.min(HEAD_BYTES),
        };
        // Past the head the file may have been begun anew: nothing is read before the end.
        if self.rolled == 0 && self.position < limit {
            return self.read_at(file, limit, max).map(Some);
        }
        match self.end {
            Some(end) if end.dropped > 0 => self.read_tail(file, end, max),
            Some(_) | None => Ok(None),
        }
    }

    /// Keeps the disk bounded when nobody reads: drops what is past the head, but for the tail.
    pub(super) fn tend(&mut self, file: &File) {
        if let (None, Ok(metadata)) = (self.end, file.metadata()) {
            self.drop_middle(file, metadata.len());
        }
    }

    /// No more is written: fixes what is kept.
    pub(super) fn finish(&mut self, file: &File) -> StreamEnd {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let bytes = self.rolled + size;
        let kept = if self.rolled == 0 { HEAD_BYTES + TAIL_BYTES } else { HEAD_BYTES };
        let dropped = if bytes > kept { bytes - HEAD_BYTES - TAIL_BYTES.min(size) } else { 0 };
        *self.end.insert(StreamEnd { bytes, dropped, size })
    }

    fn read_at(&mut self, file: &File, limit: u64, max: usize) -> io::Result<(u64, Vec<u8>)> {
        let left = usize::try_from(limit - self.position).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(max)];
        let read = file.read_at(&mut bytes, self.position)?;
        bytes.truncate(read);
        let place = self.rolled + self.position;
        // A file that a process cut short gives nothing up to its old size: passed over.
        self.position = if read == 0 { limit } else { self.position + wide(read) };
        if self.position - self.punched >= PUNCH_BYTES {
            self.punch(file, self.position);
        }
        Ok((place, bytes))
    }

    /// The line that says what was dropped, then the end of the stream.
    fn read_tail(
        &mut self,
        file: &File,
        end: StreamEnd,
        max: usize,
    ) -> io::Result<Option<(u64, Vec<u8>)>> {
        if !self.said {
            self.said = true;
            self.position = end.size - TAIL_BYTES.min(end.size);
            let line = format!("\n… {} bytes dropped\n", end.dropped);
            return Ok(Some((HEAD_BYTES, line.into_bytes())));
        }
        if self.position >= end.size {
            return Ok(None);
        }
        self.read_at(file, end.size, max).map(Some)
    }

    fn drop_middle(&mut self, file: &File, size: u64) {
        let head_is_read = self.rolled > 0 || self.position >= HEAD_BYTES;
        if head_is_read && size >= ROLL_BYTES && file.set_len(0).is_ok() {
            // What was written between the look at the size and the cut is lost uncounted.
            self.rolled += size;
            self.dropped_to = 0;
            return;
        }
        let from = if self.rolled == 0 { HEAD_BYTES.max(self.dropped_to) } else { self.dropped_to };
        if size > from + TAIL_BYTES + PUNCH_BYTES {
            self.dropped_to = size - TAIL_BYTES;
            punch(file, from, self.dropped_to);
        }
    }

    fn punch(&mut self, file: &File, to: u64) {
        punch(file, self.punched, to);
        self.punched = to;
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Gives the disk back what lies between `from` and `to`. Where the file system cannot (NFS), the
/// output stays on disk until the run ends.
fn punch(file: &File, from: u64, to: u64) {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    if let (Ok(offset), Ok(length)) = (i64::try_from(from), i64::try_from(to.saturating_sub(from)))
    {
        let _unsupported = fallocate(file, flags, offset, length);
    }
}
