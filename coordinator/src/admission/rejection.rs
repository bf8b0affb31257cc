//! Why a request was not admitted; the registry turns it into a `Status`.

use super::cause::Cause;

/// Why a request was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// 400: the body is not a Job at all.
    #[error("{0}")]
    BadRequest(String),
    /// 400: the body is no Job: a member has the wrong type, or is unknown. Of what came out of a
    /// patch it is a fault of the patch (422).
    #[error("{0}")]
    NoJob(String),
    /// 409: the object stored is not the one that the request speaks of.
    #[error("{reason}")]
    Conflict {
        /// `metadata.name`.
        name: String,
        /// Kubernetes' text after `Operation cannot be fulfilled on …:`.
        reason: String,
    },
    /// 413: more bytes than are taken.
    #[error("limit is {limit}")]
    TooLarge {
        /// How many bytes would have been taken.
        limit: usize,
    },
    /// 415: neither JSON nor YAML.
    #[error(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json, application/yaml"
    )]
    UnsupportedMediaType,
    /// 422: a Job, but not one that can be.
    #[error("{} faults", causes.len())]
    Invalid {
        /// `metadata.name`; empty if the body has none.
        name: String,
        /// Everything that is wrong with it.
        causes: Vec<Cause>,
    },
}
