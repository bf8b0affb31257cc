//! Copies one pod's output to standard output. Goes on by itself when whoever sends it is replaced.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::client::{Call, Client, Error, Frame, Stream};

/// A line longer than this is printed in parts.
const LONGEST_LINE: usize = 64 * 1024;
/// Attempts to go on with a log whose sender is gone, without a byte of progress.
const TRIES: u32 = 120;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Copies one pod's output, line by line when the lines get a prefix. It may have been asked for
/// already.
pub(super) async fn copy(
    client: &Client,
    call: &Call,
    prefix: &str,
    mut asked: Option<Stream>,
) -> anyhow::Result<()> {
    let mut lines = LineBuffer { prefix: prefix.as_bytes(), line: Vec::new() };
    let mut copied = 0;
    let mut tries = 0..TRIES;
    loop {
        let before = copied;
        let stream = match asked.take() {
            Some(stream) => Ok(stream),
            None => client.stream(call).await,
        };
        match copy_on(stream, &mut lines, &mut copied).await {
            Ok(()) => break,
            Err(error) if is_transient(&error) && !call.has_option("tailLines") => {
                // Whoever sends is being replaced. Progress earns new patience.
                tries = if copied > before { 0..TRIES } else { tries };
                if tries.next().is_none() {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(&lines.finish())?;
    Ok(stdout.flush()?)
}

/// Copies from the beginning to the end; what an earlier try copied is passed over.
async fn copy_on(
    stream: Result<Stream, Error>,
    lines: &mut LineBuffer<'_>,
    copied: &mut usize,
) -> anyhow::Result<()> {
    let mut stream = stream?;
    let mut known = *copied;
    while let Frame::Body(part) = stream.next().await? {
        let new = &part[known.min(part.len())..];
        known -= known.min(part.len());
        io::stdout().lock().write_all(&lines.push(new))?;
        *copied += new.len();
    }
    Ok(())
}

fn is_transient(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_transient)
}

/// Puts a prefix before each line; a line is given out when it is whole, so that pods do not mix in
/// it.
struct LineBuffer<'a> {
    prefix: &'a [u8],
    line: Vec<u8>,
}

impl LineBuffer<'_> {
    fn push(&mut self, part: &[u8]) -> Vec<u8> {
        if self.prefix.is_empty() {
            return part.to_vec();
        }
        let mut ready = Vec::with_capacity(part.len() + self.prefix.len());
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                self.give(&mut ready);
            }
        }
        ready
    }

    fn finish(&mut self) -> Vec<u8> {
        let mut ready = Vec::new();
        if !self.line.is_empty() {
            self.give(&mut ready);
        }
        ready
    }

    fn give(&mut self, ready: &mut Vec<u8>) {
        ready.extend_from_slice(self.prefix);
        ready.append(&mut self.line);
        if ready.last() != Some(&b'\n') {
            ready.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_their_prefix_when_they_are_whole() {
        let mut lines = LineBuffer { prefix: b"3 | ", line: Vec::new() };
        assert_eq!(lines.push(b"one\ntw"), b"3 | one\n");
        assert_eq!(lines.push(b"o\n\nlast"), b"3 | two\n3 | \n");
        assert_eq!(lines.finish(), b"3 | last\n");
        assert_eq!(lines.finish(), b"");
    }

    #[test]
    fn without_a_prefix_bytes_stay_as_they_are() {
        let mut lines = LineBuffer { prefix: b"", line: Vec::new() };
        assert_eq!(lines.push(b"a\xff\nb"), b"a\xff\nb");
        assert_eq!(lines.finish(), b"");
    }
}
