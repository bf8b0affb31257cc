//! Writing data to standard output. A closed pipe becomes an error, not a panic.

use std::io::{self, Write as _};

pub(super) fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
