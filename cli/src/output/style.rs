//! Colour, where there is a terminal that wants it.

use std::io::IsTerminal;

use rustix::termios::{Winsize, tcgetwinsize};

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Escape codes.
    Colour,
    /// None.
    Plain,
}

impl Style {
    /// What standard error wants: colour on a terminal, unless `NO_COLOR` is set.
    #[must_use]
    pub fn of_stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    /// What standard output wants.
    #[must_use]
    pub fn of_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !refused { Self::Colour } else { Self::Plain }
    }

    /// For what went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For what went wrong.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// For what stands back.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// For headings.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Columns of the terminal that standard output is; 80 if it does not say.
#[must_use]
pub fn terminal_width() -> usize {
    size().map_or(80, |size| usize::from(size.ws_col))
}

/// Lines of the terminal that standard output is; 24 if it does not say.
#[must_use]
pub fn terminal_height() -> usize {
    size().map_or(24, |size| usize::from(size.ws_row))
}

fn size() -> Option<Winsize> {
    tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_plain() {
        assert_eq!(Style::Plain.bad("x"), "x");
        assert_eq!(Style::Colour.good("x"), "\x1b[32mx\x1b[0m");
    }
}
