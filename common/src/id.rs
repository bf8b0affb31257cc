//! The names things have in Stint: newtypes whose text forms parse and print in pairs.
//!
//! Identity is derived, never drawn: a pod is (Job uid, slot, attempt), and its uid follows from
//! these, so whoever brings the same attempt into being twice brings the same pod into being.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A random number: the only place that draws one.
#[must_use]
pub fn draw() -> Uuid {
    #[cfg(feature = "test-util")]
    if let Some(stage) = crate::stage::current() {
        return stage.draw();
    }
    Uuid::new_v4()
}

/// What an id's text was, and what it should have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct ParseIdError {
    what: &'static str,
    text: String,
}

impl ParseIdError {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.to_owned() }
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new random id.
            #[must_use]
            pub fn random() -> Self {
                Self(draw())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| ParseIdError::new($what, text))
            }
        }
    };
}

uuid_id!(
    /// `metadata.uid` of a Job.
    JobUid,
    "Job uid"
);
uuid_id!(
    /// `metadata.uid` of a pod; always [`PodId::uid`] of its parts.
    PodUid,
    "pod uid"
);
uuid_id!(
    /// One life of a worker's supervisor, or of a coordinator.
    Incarnation,
    "incarnation"
);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize,
            Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse().map(Self).map_err(|_| ParseIdError::new($what, text))
            }
        }
    };
}

number_id!(
    /// The place a pod fills in its Job: the completion index of an Indexed Job, an internal
    /// ordinal of a NonIndexed one.
    Slot,
    u32,
    "slot"
);
number_id!(
    /// 0, 1, 2… of one slot.
    Attempt,
    u32,
    "attempt"
);
number_id!(
    /// A stream sequence; for objects also the `resourceVersion`. 0 means: does not exist.
    Revision,
    u64,
    "revision"
);

impl Attempt {
    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A pod's identity. Text form, also in subjects: `<job-uid>.<slot>.<attempt>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodId {
    /// The Job it belongs to.
    pub job: JobUid,
    /// The place it fills.
    pub slot: Slot,
    /// Which try at that place it is.
    pub attempt: Attempt,
}

impl PodId {
    /// The pod's `metadata.uid`: a version 5 uuid of `slot/attempt` in the Job's namespace.
    #[must_use]
    pub fn uid(&self) -> PodUid {
        let mut text = [0_u8; 24];
        let length = write_slot_attempt(&mut text, self.slot, self.attempt);
        PodUid(Uuid::new_v5(&self.job.0, &text[..length]))
    }
}

/// Writes `slot/attempt` without allocating; at most 21 bytes.
fn write_slot_attempt(buffer: &mut [u8; 24], slot: Slot, attempt: Attempt) -> usize {
    use std::io::Write as _;
    let mut rest = &mut buffer[..];
    let before = rest.len();
    write!(rest, "{slot}/{attempt}").expect("two u32 and a slash fit into 24 bytes");
    before - rest.len()
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.job, self.slot, self.attempt)
    }
}

impl FromStr for PodId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut parts = text.split('.');
        let (Some(job), Some(slot), Some(attempt), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseIdError::new("pod id", text));
        };
        Ok(Self { job: job.parse()?, slot: slot.parse()?, attempt: attempt.parse()? })
    }
}

/// Where an object is found: its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pods_uid_follows_from_its_parts() {
        let job = JobUid(Uuid::from_u128(7));
        let pod = PodId { job, slot: Slot(3), attempt: Attempt(1) };
        assert_eq!(pod.uid(), pod.uid());
        assert_ne!(pod.uid(), PodId { attempt: Attempt(2), ..pod }.uid());
        assert_ne!(pod.uid(), PodId { slot: Slot(31), attempt: Attempt(0), job }.uid());
    }

    proptest! {
        #[test]
        fn pod_ids_print_and_parse(job: u128, slot: u32, attempt: u32) {
            let job = JobUid(Uuid::from_u128(job));
            let pod = PodId { job, slot: Slot(slot), attempt: Attempt(attempt) };
            prop_assert_eq!(pod.to_string().parse::<PodId>().unwrap(), pod);
        }

        #[test]
        fn garbage_is_refused(text in "[a-z.]{0,40}") {
            prop_assert!(text.parse::<PodId>().is_err());
        }
    }
}
