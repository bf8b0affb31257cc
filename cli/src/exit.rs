//! Exit codes, and the errors that a user can do something about.
//!
//! Whatever a user, the network or a missing program caused becomes an [`Expected`] error with a
//! stable code and the next thing to try; anything else that reaches `main` is a fault of ours.

use std::fmt;
use std::process::ExitCode;

/// How a command ended, for scripts. The numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked; a Job that was followed is complete.
    Success,
    /// The Job that was followed failed.
    JobFailed,
    /// `doctor` found something that somebody must act upon.
    Unwell,
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
            Self::JobFailed | Self::Unwell => 1,
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

    /// The next command to try.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
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
