//! Exit codes, and the errors that a user can do something about.
//!
//! Whatever a user, the network or a missing program caused becomes an [`Expected`] error with a stable
//! code and the next thing to try; anything else that reaches `main` is a fault of ours.

use std::fmt;
use std::process::ExitCode;

/// How a command ended, for scripts. The numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked; a Job that was followed is complete.
    Success,
    /// The Job that was followed failed.
    JobFailed,
    /// The request cannot be carried out as it stands: flags, manifest, conflicts.
    Usage,
    /// There is no such object.
    NotFound,
    /// NATS, a coordinator or a program that is needed cannot be reached.
    Unreachable,
    /// A fault of ours, or of the machine.
    Internal,
    /// What was waited for did not come in time.
    TimedOut,
    /// Interrupted by the user; what was submitted goes on.
    Interrupted,
}

impl Exit {
    /// The number a shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::JobFailed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Unreachable => 4,
            Self::Internal => 70,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that is not a fault of ours: what happened, and what to try next.
#[derive(Debug)]
pub struct Expected {
    /// The code it ends the command with.
    pub exit: Exit,
    what: String,
    next: Option<String>,
    source: Option<anyhow::Error>,
}

impl Expected {
    /// An error that says `what`.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), next: None, source: None }
    }

    /// An error in what the user asked for.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Adds the next command to try.
    #[must_use]
    pub fn try_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Expected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}

/// What a failed command prints: the error, its causes one a line, and what to try next.
#[must_use]
pub fn render(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some libraries repeat the cause in their own text.
        if !last.ends_with(&cause) {
            text.push_str(&format!("  because: {cause}\n"));
        }
        last = cause;
    }
    match error.downcast_ref::<Expected>() {
        Some(Expected { next: Some(next), .. }) => text.push_str(&format!("  try: {next}\n")),
        Some(_) => {}
        None => text.push_str("  this was not expected: please report it with the command\n"),
    }
    text
}

/// The exit code of a failed command.
#[must_use]
pub fn of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Expected>().map_or(Exit::Internal, |expected| expected.exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_error_says_why_and_what_next() {
        let cause = std::io::Error::other("connection refused");
        let error = Expected::new(Exit::Unreachable, "no server at nats://x")
            .because(cause)
            .try_next("stint dev");
        let error = anyhow::Error::from(error);
        let text =
            "error: no server at nats://x\n  because: connection refused\n  try: stint dev\n";
        assert_eq!(render(&error), text);
        assert_eq!(of(&error).code(), 4);
    }

    #[test]
    fn anything_else_is_a_fault_of_ours() {
        let error = anyhow::anyhow!("index out of bounds").context("rendering a table");
        assert!(render(&error).contains("please report it"));
        assert_eq!(of(&error), Exit::Internal);
    }
}
