//! What a plan says to people: Events of the Job, and notes for `explain`.

use std::fmt;

use jiff::Timestamp;

/// A Kubernetes Event of the Job, to be recorded when the change that comes with it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `type`.
    pub kind: EventKind,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `count`: how many alike it stands for.
    pub count: u32,
}

/// `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Things go as they should.
    Normal,
    /// Somebody may want to look.
    Warning,
}

impl Event {
    pub(super) fn normal(reason: &str, message: &str) -> Self {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        Self { kind: EventKind::Normal, reason, message, count: 1 }
    }

    /// A warning of one occurrence.
    #[must_use]
    pub fn warning(reason: &str, message: &str) -> Self {
        Self { kind: EventKind::Warning, ..Self::normal(reason, message) }
    }
}

/// Why a Job is not further on. `Display` is a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// No pod is replaced before this time.
    BackingOff {
        /// When the delay is over.
        until: Timestamp,
        /// Failures since the last success.
        failures: u32,
    },
    /// So many indexes, each for itself, get no pod yet.
    IndexesBackingOff {
        /// How many.
        indexes: u32,
        /// When the first of them is ready.
        until: Timestamp,
    },
    /// `podReplacementPolicy: Failed`: so many pods must end before others come.
    WaitingForTerminating {
        /// How many pods.
        pods: u32,
    },
    /// The end is decided; so many pods have not ended.
    Ending {
        /// `reason` of the interim condition.
        reason: String,
        /// How many pods.
        pods: u32,
    },
    /// `spec.suspend` is set.
    Suspended,
    /// `spec.parallelism` is 0.
    Paused,
    /// The Job is deleted when so many pods have ended.
    Deleting {
        /// How many pods.
        pods: u32,
    },
    /// Finished; deleted at this time.
    TimeToLive {
        /// When.
        until: Timestamp,
    },
    /// Its time to live is over, but others wait for its end and have not taken note.
    Awaited,
    /// It starts when these Jobs are complete.
    WaitingForJobs {
        /// Their names.
        jobs: Vec<String>,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackingOff { until, failures: 1 } => {
                write!(f, "backing off until {until}: 1 failure")
            }
            Self::BackingOff { until, failures } => {
                write!(f, "backing off until {until}: {failures} failures since the last success")
            }
            Self::IndexesBackingOff { indexes: 1, until } => {
                write!(f, "1 index is backing off until {until}")
            }
            Self::IndexesBackingOff { indexes, until } => {
                write!(f, "{indexes} indexes are backing off, the first until {until}")
            }
            Self::WaitingForTerminating { pods } => {
                write!(f, "waiting for {pods} terminating pods before replacing them")
            }
            Self::Ending { reason, pods } => {
                write!(f, "ending ({reason}): {pods} pods have not ended yet")
            }
            Self::Suspended => f.write_str("suspended"),
            Self::Paused => f.write_str("paused: parallelism is 0"),
            Self::Deleting { pods } => write!(f, "being deleted: {pods} pods have not ended yet"),
            Self::TimeToLive { until } => write!(f, "finished; deleted at {until}"),
            Self::Awaited => f.write_str("finished; kept until those that depend on it take note"),
            Self::WaitingForJobs { jobs } => {
                write!(f, "waiting for jobs to complete: {}", jobs.join(", "))
            }
        }
    }
}
