//! Pieces of a stream become lines: synchronous, without I/O.

/// Longer lines are cut in pieces of this size.
const MOST: usize = 64 * 1024;

/// One stream, up to its last whole line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    /// Where the next piece stands if nothing is missing before it.
    next: u64,
}

impl Lines {
    /// Gives the lines that a piece of the stream completes, without their ends.
    pub(super) fn take(&mut self, offset: u64, mut bytes: &[u8], give: &mut impl FnMut(&[u8])) {
        if offset != self.next {
            // What was to complete the last line is missing.
            self.finish(give);
        }
        self.next = offset + u64::try_from(bytes.len()).unwrap_or(0);
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(at);
            if self.rest.is_empty() {
                cut(line, give);
            } else {
                self.rest.extend_from_slice(line);
                cut(&self.rest, give);
                self.rest.clear();
            }
            bytes = &rest[1..];
        }
        self.rest.extend_from_slice(bytes);
        while self.rest.len() > MOST {
            let at = boundary(&self.rest);
            give(&self.rest[..at]);
            self.rest.drain(..at);
        }
    }

    /// Gives a last line that has no end.
    pub(super) fn finish(&mut self, give: &mut impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            cut(&self.rest, give);
            self.rest.clear();
        }
    }
}

fn cut(mut line: &[u8], give: &mut impl FnMut(&[u8])) {
    while line.len() > MOST {
        let (piece, rest) = line.split_at(boundary(line));
        give(piece);
        line = rest;
    }
    give(line);
}

/// Where a line that is too long is cut: not within a character, if it is UTF-8.
fn boundary(line: &[u8]) -> usize {
    let begins = |at: &usize| line[*at] & 0xc0 != 0x80;
    (MOST - 3..=MOST).rev().find(begins).unwrap_or(MOST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(pieces: &[(u64, &[u8])]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut give = |line: &[u8]| found.push(line.to_vec());
        let mut lines = Lines::default();
        for (offset, bytes) in pieces {
            lines.take(*offset, bytes, &mut give);
        }
        lines.finish(&mut give);
        found
    }

    fn check(pieces: &[(u64, &[u8])], expect: &[&str]) {
        let expect: Vec<Vec<u8>> = expect.iter().map(|line| line.as_bytes().to_vec()).collect();
        assert_eq!(lines_of(pieces), expect);
    }

    #[test]
    fn lines_are_put_together_and_end_where_something_is_missing() {
        check(&[], &[]);
        check(&[(0, b"a\nb\n")], &["a", "b"]);
        check(&[(0, b"a"), (1, b"b\n\nc")], &["ab", "", "c"]);
        check(&[(0, b"a"), (5, b"b\n")], &["a", "b"]);
        check(&[(7, b"of a later agent\n")], &["of a later agent"]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = format!("x{}", "é".repeat(MOST));
        let found = lines_of(&[(0, text.as_bytes())]);
        assert!(found.iter().all(|line| line.len() <= MOST && str::from_utf8(line).is_ok()));
        assert_eq!(found.len(), 3);
        assert_eq!(found.concat(), text.as_bytes());
        let noise = vec![0x80; 3 * MOST];
        assert!(lines_of(&[(0, &noise)]).iter().all(|line| line.len() == MOST));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_however_the_stream_is_cut(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            size in 1_usize..50,
        ) {
            let mut offset = 0;
            let pieces: Vec<(u64, &[u8])> = text.chunks(size).map(|piece| {
                let at = offset;
                offset += u64::try_from(piece.len()).unwrap();
                (at, piece)
            }).collect();
            let lines = text.split(|byte| *byte == b'\n');
            let mut expect: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
            if expect.last().is_some_and(Vec::is_empty) {
                expect.pop();
            }
            prop_assert_eq!(lines_of(&pieces), expect);
        }
    }
}
