//! Which part of a log is wanted, and in which form: `sinceTime`, `timestamps`, `tailLines`,
//! `limitBytes`, in this order. Pure.
//!
//! Differs from Kubernetes: a time is that of the piece of output that a line begins in, as it was
//! stored, not of the line; output that rides in the record of a pod's end has the end's.

use bytes::Bytes;
use jiff::Timestamp;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Nothing older.
    pub(super) since: Option<Timestamp>,
    /// A time before each line.
    pub(super) timestamps: bool,
    /// The last lines only, of what there is at the beginning.
    pub(super) tail_lines: Option<usize>,
    /// So many bytes and no more.
    pub(super) limit_bytes: Option<usize>,
}

/// A log on its way to a client.
#[derive(Debug)]
pub(super) struct Shaper {
    shape: Shape,
    in_line: bool,
    left: usize,
}

impl Shaper {
    /// At the beginning of a log.
    pub(super) fn new(shape: Shape) -> Self {
        let left = shape.limit_bytes.unwrap_or(usize::MAX);
        Self { shape, in_line: false, left }
    }

    /// Whether the last lines must be found, for which all there are must be known.
    pub(super) fn needs_all(&self) -> bool {
        self.shape.tail_lines.is_some()
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// All that there is at the beginning.
    pub(super) fn all(&mut self, pieces: &[(Timestamp, Bytes)]) -> Bytes {
        let mut text = Vec::new();
        for (time, piece) in pieces {
            self.stamp(*time, piece, &mut text);
        }
        if let Some(lines) = self.shape.tail_lines {
            text.drain(..last_lines(&text, lines));
        }
        self.cut(text.into())
    }

    /// One more piece.
    pub(super) fn next(&mut self, time: Timestamp, piece: &Bytes) -> Bytes {
        if !self.shape.timestamps && self.shape.since.is_none() {
            return self.cut(piece.clone());
        }
        let mut text = Vec::new();
        self.stamp(time, piece, &mut text);
        self.cut(text.into())
    }

    fn stamp(&mut self, time: Timestamp, piece: &[u8], text: &mut Vec<u8>) {
        if self.shape.since.is_some_and(|since| time < since) {
            return;
        }
        if !self.shape.timestamps {
            return text.extend_from_slice(piece);
        }
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            if !self.in_line {
                text.extend_from_slice(format!("{time:.9} ").as_bytes());
            }
            text.extend_from_slice(line);
            self.in_line = line.last() != Some(&b'\n');
        }
    }

    fn cut(&mut self, mut text: Bytes) -> Bytes {
        text.truncate(self.left);
        self.left -= text.len();
        text
    }
}

/// Where the last lines begin.
fn last_lines(text: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return text.len();
    }
    let end = text.len() - usize::from(text.last() == Some(&b'\n'));
    let mut ends = text[..end].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    ends.nth(lines - 1).map_or(0, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn shaped(shape: Shape, pieces: &[(i64, &str)]) -> String {
        let pieces: Vec<(Timestamp, Bytes)> = pieces
            .iter()
            .map(|(second, text)| (at(*second), Bytes::from((*text).to_owned())))
            .collect();
        let all = Shaper::new(shape.clone()).all(&pieces);
        if shape.tail_lines.is_none() {
            let mut shaper = Shaper::new(shape);
            let each: Vec<Bytes> =
                pieces.iter().map(|(time, piece)| shaper.next(*time, piece)).collect();
            assert_eq!(each.concat(), all, "piece by piece it is the same");
        }
        String::from_utf8(all.to_vec()).unwrap()
    }

    fn tail(text: &str, lines: usize) -> String {
        shaped(Shape { tail_lines: Some(lines), ..Shape::default() }, &[(0, text)])
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a\nb\n", 9), "a\nb\n");
        assert_eq!(tail("a\nb\n", 0), "");
        assert_eq!(tail("", 3), "");
    }

    #[test]
    fn bytes_are_limited() {
        let shape = Shape { limit_bytes: Some(3), ..Shape::default() };
        assert_eq!(shaped(shape, &[(0, "ab"), (1, "cd"), (2, "e")]), "abc");
        let shape = Shape { limit_bytes: Some(2), tail_lines: Some(1), ..Shape::default() };
        assert_eq!(shaped(shape, &[(0, "a\nbcd\n")]), "bc");
    }

    #[test]
    fn lines_have_the_time_of_the_piece_that_they_begin_in() {
        let shape = Shape { timestamps: true, ..Shape::default() };
        assert_eq!(
            shaped(shape, &[(0, "a\nb"), (1, "c\nd\n")]),
            "1970-01-01T00:00:00.000000000Z a\n1970-01-01T00:00:00.000000000Z bc\n\
             1970-01-01T00:00:01.000000000Z d\n"
        );
    }

    #[test]
    fn what_is_older_is_left_out() {
        let shape = Shape { since: Some(at(1)), ..Shape::default() };
        assert_eq!(shaped(shape, &[(0, "a\n"), (1, "b\n"), (2, "c\n")]), "b\nc\n");
    }
}
