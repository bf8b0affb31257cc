//! What the agent reads of a run's output, while it runs and at its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use stint_common::wire::{Exit, InlineOutput, LogSummary};

use super::capture::Capture;
use super::limits::{
    CHUNK_BYTES, INLINE_BYTES, LAST_WORDS_BYTES, LAST_WORDS_LINES, STDERR_TAIL_BYTES,
};
use super::remote::RemoteFiles;
use super::stream::{Stream, StreamEnd};

/// One of the two streams of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A portion of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which stream it is of.
    pub stream: StreamName,
    /// Where in the stream, as written by the container, it stands.
    pub offset: u64,
    /// The bytes; not cut at lines or characters.
    pub bytes: Bytes,
}

/// Reads the output of one run.
///
/// While it runs: [`poll`](Self::poll) as often as followers are to see something, and at least a
/// few times a second [`tend`](Self::tend) (which `poll` includes), so that a flood does not fill
/// the disk. After its exit: [`finish`](Self::finish), once, then `poll` until it gives nothing.
#[derive(Debug)]
pub struct LogReader {
    source: Source,
    stdout: Stream,
    stderr: Stream,
    /// The stream that is looked at first by the next poll, so that neither starves the other.
    next: StreamName,
    /// Nothing is left to be read: the output went inline.
    inline: bool,
    /// It is to be read, however small.
    never_inline: bool,
    /// The end of a failed run's output is to be kept as its last words.
    keeps_last_words: bool,
    last_words: String,
}

/// Where output is.
#[derive(Debug)]
enum Source {
    /// A run without output files.
    None,
    Here(Arc<Capture>),
    /// Not opened yet.
    Elsewhere(Arc<RemoteFiles>),
}

impl LogReader {
    /// Reads what is written to `capture`.
    #[must_use]
    pub fn new(capture: Arc<Capture>) -> Self {
        Self { source: Source::Here(capture), ..Self::empty() }
    }

    /// Reads what a run of another process writes.
    #[must_use]
    pub fn of_another(files: Arc<RemoteFiles>) -> Self {
        Self { source: Source::Elsewhere(files), ..Self::empty() }
    }

    /// From where an earlier reader was: so many bytes of standard output and of standard error.
    #[must_use]
    pub fn from(self, stdout: u64, stderr: u64) -> Self {
        Self { stdout: Stream::from(stdout), stderr: Stream::from(stderr), ..self }
    }

    /// The files, if they are this process' own.
    #[must_use]
    pub fn capture(&self) -> Option<&Arc<Capture>> {
        match &self.source {
            Source::Here(capture) => Some(capture),
            Source::None | Source::Elsewhere(_) => None,
        }
    }

    /// How much was read of standard output and of standard error.
    #[must_use]
    pub fn positions(&self) -> (u64, u64) {
        (self.stdout.place(), self.stderr.place())
    }

    /// The output of a run that writes nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            source: Source::None,
            stdout: Stream::default(),
            stderr: Stream::default(),
            next: StreamName::Stdout,
            inline: false,
            never_inline: false,
            keeps_last_words: false,
            last_words: String::new(),
        }
    }

    /// The record has no room for the output: another run follows.
    pub fn never_inline(&mut self) {
        self.never_inline = true;
    }

    /// Keeps the end of the output, if the run fails, for [`last_words`](Self::last_words).
    pub fn keep_last_words(&mut self) {
        self.keeps_last_words = true;
    }

    /// The last lines of a run that has failed, both streams together, standard error last: there
    /// is no telling how they came. Empty unless they were to be kept.
    pub fn last_words(&mut self) -> String {
        std::mem::take(&mut self.last_words)
    }

    /// The next new bytes, at most `max_bytes` and never more than a chunk; `None` if there are
    /// none now.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn poll(&mut self, max_bytes: usize) -> io::Result<Option<Chunk>> {
        if self.inline {
            return Ok(None);
        }
        let Some(capture) = self.open()? else { return Ok(None) };
        let max = max_bytes.clamp(1, CHUNK_BYTES);
        for _ in 0..2 {
            let stream = self.next;
            let read = match stream {
                StreamName::Stdout => {
                    self.next = StreamName::Stderr;
                    self.stdout.read(capture.stdout(), max)?
                }
                StreamName::Stderr => {
                    self.next = StreamName::Stdout;
                    self.stderr.read(capture.stderr(), max)?
                }
            };
            if let Some((offset, bytes)) = read.filter(|(_, bytes)| !bytes.is_empty()) {
                return Ok(Some(Chunk { stream, offset, bytes: Bytes::from(bytes) }));
            }
        }
        Ok(None)
    }

    /// Gives the disk back what the cap drops, without reading anything.
    pub fn tend(&mut self) {
        if let Ok(Some(capture)) = self.open() {
            self.stdout.tend(capture.stdout());
            self.stderr.tend(capture.stderr());
        }
    }

    /// The run has ended as `exit`: what its record says of its output. Output that is small and of
    /// which nothing was read rides inline; then `poll` gives nothing more.
    pub fn finish(&mut self, exit: Exit) -> LogSummary {
        let capture = match self.open() {
            Ok(Some(capture)) => capture,
            Ok(None) => return LogSummary::default(),
            Err(error) => {
                tracing::error!(%error, "the output of a container cannot be read");
                return LogSummary::default();
            }
        };
        let untouched = self.stdout.is_untouched() && self.stderr.is_untouched();
        let stdout = self.stdout.finish(capture.stdout());
        let stderr = self.stderr.finish(capture.stderr());
        if self.keeps_last_words && exit != Exit::Code(0) {
            let text = |file, end| last_text(file, end, LAST_WORDS_BYTES);
            let both = text(capture.stdout(), stdout) + &text(capture.stderr(), stderr);
            self.last_words = last_words(both);
        }
        let mut summary = LogSummary {
            bytes: stdout.bytes + stderr.bytes,
            dropped: stdout.dropped + stderr.dropped,
            ..LogSummary::default()
        };
        if untouched && !self.never_inline && summary.bytes <= INLINE_BYTES {
            self.inline = true;
            summary.inline = (summary.bytes > 0).then(|| InlineOutput {
                stdout: last_text(capture.stdout(), stdout, INLINE_BYTES),
                stderr: last_text(capture.stderr(), stderr, INLINE_BYTES),
            });
        } else if exit != Exit::Code(0) {
            summary.stderr_tail = last_lines(capture.stderr(), stderr);
        }
        summary
    }
}

impl LogReader {
    fn open(&mut self) -> io::Result<Option<Arc<Capture>>> {
        match &self.source {
            Source::None => Ok(None),
            Source::Here(capture) => Ok(Some(capture.clone())),
            Source::Elsewhere(files) if files.is_silent() => {
                self.source = Source::None;
                Ok(None)
            }
            Source::Elsewhere(files) => {
                let capture = files.open()?;
                self.source = Source::Here(capture.clone());
                Ok(Some(capture))
            }
        }
    }
}

/// The last `most` bytes of a stream as text; what is not UTF-8 is replaced, what cannot be read is
/// left out.
fn last_text(file: &File, end: StreamEnd, most: u64) -> String {
    let length = end.size.min(most);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    if bytes.is_empty() || file.read_exact_at(&mut bytes, end.size - length).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As much of the end of a text as may stand in for a termination message.
fn last_words(mut text: String) -> String {
    let most = usize::try_from(LAST_WORDS_BYTES).unwrap_or(usize::MAX);
    let start = text.ceil_char_boundary(text.len().saturating_sub(most));
    let lines = text.trim_end_matches('\n').rmatch_indices('\n').nth(LAST_WORDS_LINES - 1);
    let start = start.max(lines.map_or(0, |(at, _)| at + 1));
    text.drain(..start);
    text
}

/// The last whole lines of a stream, as many as fit; the end of the last one if it is longer than
/// that.
fn last_lines(file: &File, end: StreamEnd) -> String {
    let mut text = last_text(file, end, STDERR_TAIL_BYTES);
    let most = usize::try_from(STDERR_TAIL_BYTES).unwrap_or(usize::MAX);
    // Replaced bytes have made it longer.
    let start = text.ceil_char_boundary(text.len().saturating_sub(most));
    text.drain(..start);
    if end.size > STDERR_TAIL_BYTES
        && let Some((_, lines)) = text.split_once('\n').filter(|(_, lines)| !lines.is_empty())
    {
        return lines.to_owned();
    }
    text
}
