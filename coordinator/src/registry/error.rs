//! Why a request failed, and the `v1` `Status` that says so in Kubernetes' own words.

use serde_json::{Map, Value, json};

use super::apply::Conflict;
use super::patch::{ACCEPTED, PatchError, Unreadable};
use crate::admission::{Cause, Causes, Path, Rejection};

/// A kind of object as the API speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `batch`, or empty for the core group.
    pub group: &'static str,
    /// `jobs`.
    pub plural: &'static str,
    /// `Job`.
    pub kind: &'static str,
}

/// Jobs.
pub const JOBS: Resource = Resource { group: "batch", plural: "jobs", kind: "Job" };
/// Pods.
pub const PODS: Resource = Resource { group: "", plural: "pods", kind: "Pod" };
/// Nodes.
pub const NODES: Resource = Resource { group: "", plural: "nodes", kind: "Node" };
/// Events.
pub const EVENTS: Resource = Resource { group: "", plural: "events", kind: "Event" };
/// Events, in their newer form.
pub const EVENTS_K8S: Resource =
    Resource { group: "events.k8s.io", plural: "events", kind: "Event" };
/// ConfigMaps.
pub const CONFIG_MAPS: Resource = Resource { group: "", plural: "configmaps", kind: "ConfigMap" };
/// Secrets.
pub const SECRETS: Resource = Resource { group: "", plural: "secrets", kind: "Secret" };
/// CronJobs.
pub const CRON_JOBS: Resource = Resource { group: "batch", plural: "cronjobs", kind: "CronJob" };
/// Replication controllers, of which there are none.
pub const REPLICATION_CONTROLLERS: Resource =
    Resource { group: "", plural: "replicationcontrollers", kind: "ReplicationController" };
/// Daemon sets, of which there are none.
pub const DAEMON_SETS: Resource =
    Resource { group: "apps", plural: "daemonsets", kind: "DaemonSet" };
/// Replica sets, of which there are none.
pub const REPLICA_SETS: Resource =
    Resource { group: "apps", plural: "replicasets", kind: "ReplicaSet" };
/// Leases of nodes.
pub const LEASES: Resource =
    Resource { group: "coordination.k8s.io", plural: "leases", kind: "Lease" };
/// Services.
pub const SERVICES: Resource = Resource { group: "", plural: "services", kind: "Service" };
/// Service accounts.
pub const SERVICE_ACCOUNTS: Resource =
    Resource { group: "", plural: "serviceaccounts", kind: "ServiceAccount" };
/// Reviews of what one may.
pub const ACCESS_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    plural: "selfsubjectaccessreviews",
    kind: "SelfSubjectAccessReview",
};
/// Reviews of everything that one may.
pub const RULES_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    plural: "selfsubjectrulesreviews",
    kind: "SelfSubjectRulesReview",
};
/// Reviews of who one is.
pub const SELF_REVIEWS: Resource = Resource {
    group: "authentication.k8s.io",
    plural: "selfsubjectreviews",
    kind: "SelfSubjectReview",
};
/// Namespaces.
pub const NAMESPACES: Resource = Resource { group: "", plural: "namespaces", kind: "Namespace" };

impl Resource {
    /// `jobs.batch`, or `pods`.
    #[must_use]
    pub fn qualified(&self) -> String {
        Self::join(self.plural, self.group)
    }

    /// `Job.batch`, or `Pod`.
    #[must_use]
    pub fn qualified_kind(&self) -> String {
        Self::join(self.kind, self.group)
    }

    fn join(name: &str, group: &str) -> String {
        if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 404: no object of this name.
    #[error("{} \"{name}\" not found", resource.qualified())]
    NotFound {
        /// What was looked for.
        resource: Resource,
        /// Its name.
        name: String,
    },
    /// 404: it was there, and is no longer kept.
    #[error("{} \"{name}\" not found: {reason}", resource.qualified())]
    NotKept {
        /// What was looked for.
        resource: Resource,
        /// Its name.
        name: String,
        /// What became of it, and what is to be done.
        reason: &'static str,
    },
    /// 404: nothing is served here (an unknown resource or verb).
    #[error("the server could not find the requested resource")]
    NoSuchResource,
    /// 409: the name is taken.
    #[error("{} \"{name}\" already exists", resource.qualified())]
    AlreadyExists {
        /// What was to be created.
        resource: Resource,
        /// Its name.
        name: String,
    },
    /// 409: a generated name is taken; asking again draws another.
    #[error(
        "{} \"{name}\" already exists, the server was not able to generate a unique name for the \
         object",
        resource.qualified()
    )]
    GenerateNameConflict {
        /// What was to be created.
        resource: Resource,
        /// The name that was generated.
        name: String,
    },
    /// 409: the object is not as the request assumes.
    #[error("Operation cannot be fulfilled on {} \"{name}\": {reason}", resource.qualified())]
    Conflict {
        /// What was to be changed.
        resource: Resource,
        /// Its name.
        name: String,
        /// What does not fit; [`MODIFIED`] for a `resourceVersion` that is not the latest.
        reason: String,
    },
    /// 409: others have said something else about fields that are applied.
    #[error("{}", apply_conflict(conflicts))]
    ApplyConflict {
        /// Which fields, and who.
        conflicts: Vec<Conflict>,
    },
    /// 400: the request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// 401: the client has not said who it is.
    #[error("Unauthorized")]
    Unauthorized,
    /// 403: the client may not do this.
    #[error("{} is forbidden: {reason}", named(*resource, name))]
    Forbidden {
        /// What was asked for.
        resource: Resource,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// 403: the client may not look at what is no object.
    #[error("forbidden: {reason}")]
    ForbiddenPath {
        /// Why.
        reason: String,
    },
    /// 405: no such verb on this resource.
    #[error("{verb} is not supported on resources of kind \"{}\"", resource.qualified())]
    MethodNotAllowed {
        /// What was asked for.
        resource: Resource,
        /// What was to be done with it.
        verb: String,
    },
    /// 405: Kubernetes has it, and Stint does not.
    #[error("{what} is not supported by Stint for {}: {instead}", resource.qualified())]
    NotOffered {
        /// What was asked for.
        resource: Resource,
        /// The verb, or the part.
        what: String,
        /// What is to be done instead.
        instead: &'static str,
    },
    /// 406: no form that the client takes.
    #[error("only the following media types are accepted: {}", accepted.join(", "))]
    NotAcceptable {
        /// The forms there are.
        accepted: Vec<&'static str>,
    },
    /// 415: a body in a form that is not understood.
    #[error(
        "the body of the request was in an unknown format - accepted media types include: {}",
        accepted.join(", ")
    )]
    UnsupportedMediaType {
        /// The forms that are.
        accepted: Vec<&'static str>,
    },
    /// 410: the resource version is older than what is kept.
    #[error("{0}")]
    Expired(String),
    /// 413: more bytes than are taken.
    #[error("Request entity too large: limit is {limit}")]
    RequestEntityTooLarge {
        /// How many bytes would have been taken.
        limit: usize,
    },
    /// 413: a patch that does too much.
    #[error("Request entity too large: {0}")]
    TooMuch(String),
    /// 422: a patch that does not go with the object.
    #[error("the server rejected our request due to an error in our request")]
    Unprocessable {
        /// What does not.
        why: String,
    },
    /// 422: everything that is wrong with the object.
    #[error("{}", invalid_message(*resource, name, causes))]
    Invalid {
        /// What it should be.
        resource: Resource,
        /// Its name.
        name: String,
        /// What is wrong.
        causes: Vec<Cause>,
    },
    /// 429: too much at once.
    #[error("{message}")]
    TooManyRequests {
        /// What is too much.
        message: String,
        /// When to come back.
        retry_after_seconds: u32,
    },
    /// 500: it did not work this time; nothing was changed.
    #[error(
        "The {operation} operation against {} could not be completed at this time, please try \
         again.",
        resource.qualified()
    )]
    ServerTimeout {
        /// What was asked for.
        resource: Resource,
        /// The verb.
        operation: &'static str,
        /// When to come back.
        retry_after_seconds: u32,
    },
    /// 500: a bug, or a store that holds what it should not.
    #[error("Internal error occurred: {0}")]
    Internal(String),
    /// 503: JetStream or the owner is away.
    #[error("{0}")]
    Unavailable(String),
    /// 504: a list as of a revision that has not been reached yet.
    #[error("Timeout: Too large resource version: {wanted}, current: {current}")]
    TooLargeRevision {
        /// Of which revision.
        wanted: u64,
        /// The newest there is.
        current: u64,
    },
    /// 504: no answer in time; it may have been done.
    #[error("Timeout: {0}")]
    Timeout(String),
}

/// What Kubernetes names when a patch is at fault: no kind, no name.
const NOTHING: Resource = Resource { group: "", plural: "", kind: "" };
/// So many bytes of what came out of a patch are repeated in a message.
const MOST_OF_A_PATCH: usize = 4096;

impl From<PatchError> for Error {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Malformed(_)
            | PatchError::BadPrimitiveList
            | PatchError::BadRetainKeys
            | PatchError::BadElementOrder => Self::BadRequest(error.to_string()),
            PatchError::TooManyOperations { .. } | PatchError::TooMuchCopied(_) => {
                Self::TooMuch(error.to_string())
            }
            PatchError::UnknownDirective(_)
            | PatchError::OrderMismatch { .. }
            | PatchError::NoMergeKey { .. }
            | PatchError::MixedList(_)
            | PatchError::ListOfLists
            | PatchError::DoesNotApply { .. }
            | PatchError::TestFailed(_)
            | PatchError::TooDeep(_) => Self::Unprocessable { why: error.to_string() },
        }
    }
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::MediaType => Self::UnsupportedMediaType { accepted: ACCEPTED.to_vec() },
            Unreadable::Rejected(rejection) => Self::from_rejection(rejection),
            Unreadable::Patch(error) => error.into(),
        }
    }
}

/// The reason of a [`Error::Conflict`] for a `resourceVersion` that is not the latest.
pub const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl Error {
    /// An admission's answer as an error about Jobs.
    #[must_use]
    pub fn from_rejection(rejection: Rejection) -> Self {
        Self::of_rejected(JOBS, rejection)
    }

    /// An admission's answer as an error about objects of some kind.
    #[must_use]
    pub fn of_rejected(resource: Resource, rejection: Rejection) -> Self {
        match rejection {
            Rejection::BadRequest(message) | Rejection::NoJob(message) => Self::BadRequest(message),
            Rejection::Conflict { name, reason } => Self::Conflict { resource, name, reason },
            Rejection::TooLarge { limit } => Self::RequestEntityTooLarge { limit },
            Rejection::UnsupportedMediaType => Self::UnsupportedMediaType {
                accepted: vec!["application/json", "application/yaml"],
            },
            Rejection::Invalid { name, causes } => Self::Invalid { resource, name, causes },
        }
    }

    /// An admission's answer about what came out of a patch, which is `text`.
    #[must_use]
    pub fn from_patched(rejection: Rejection, text: &str) -> Self {
        Self::of_patched(JOBS, rejection, text)
    }

    /// An admission's answer about what came out of a patch of an object of some kind.
    #[must_use]
    pub fn of_patched(resource: Resource, rejection: Rejection, text: &str) -> Self {
        let Rejection::NoJob(complaint) = rejection else {
            return Self::of_rejected(resource, rejection);
        };
        let cut = text.floor_char_boundary(MOST_OF_A_PATCH);
        let mut causes = Causes::default();
        causes.invalid(&Path::root("patch"), &text[..cut], complaint);
        Self::Invalid { resource: NOTHING, name: String::new(), causes: causes.into_vec() }
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::TooManyRequests { .. }
                | Self::ServerTimeout { .. }
                | Self::Unavailable(_)
                | Self::TooLargeRevision { .. }
                | Self::Timeout(_)
        )
    }

    /// The HTTP code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code_and_reason().0
    }

    /// `reason` of the `Status`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.code_and_reason().1
    }

    fn code_and_reason(&self) -> (u16, &'static str) {
        match self {
            Self::NotFound { .. } | Self::NotKept { .. } | Self::NoSuchResource => {
                (404, "NotFound")
            }
            Self::AlreadyExists { .. } | Self::GenerateNameConflict { .. } => {
                (409, "AlreadyExists")
            }
            Self::Conflict { .. } | Self::ApplyConflict { .. } => (409, "Conflict"),
            Self::BadRequest(_) => (400, "BadRequest"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden { .. } | Self::ForbiddenPath { .. } => (403, "Forbidden"),
            Self::MethodNotAllowed { .. } | Self::NotOffered { .. } => (405, "MethodNotAllowed"),
            Self::NotAcceptable { .. } => (406, "NotAcceptable"),
            Self::UnsupportedMediaType { .. } => (415, "UnsupportedMediaType"),
            Self::Expired(_) => (410, "Expired"),
            Self::RequestEntityTooLarge { .. } | Self::TooMuch(_) => (413, "RequestEntityTooLarge"),
            Self::Invalid { .. } | Self::Unprocessable { .. } => (422, "Invalid"),
            Self::TooManyRequests { .. } => (429, "TooManyRequests"),
            Self::ServerTimeout { .. } => (500, "ServerTimeout"),
            Self::Internal(_) => (500, "InternalError"),
            Self::Unavailable(_) => (503, "ServiceUnavailable"),
            Self::TooLargeRevision { .. } | Self::Timeout(_) => (504, "Timeout"),
        }
    }

    /// The complete `v1` `Status`.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let (code, reason) = self.code_and_reason();
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.to_string(),
            "reason": reason,
        });
        let details = self.details();
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status["code"] = json!(code);
        status
    }

    fn details(&self) -> Map<String, Value> {
        match self {
            Self::NotFound { resource, name }
            | Self::NotKept { resource, name, .. }
            | Self::AlreadyExists { resource, name }
            | Self::Conflict { resource, name, .. }
            | Self::Forbidden { resource, name, .. } => about(*resource, resource.plural, name),
            Self::GenerateNameConflict { resource, name } => {
                retry(about(*resource, resource.plural, name), 1)
            }
            Self::MethodNotAllowed { resource, .. } | Self::NotOffered { resource, .. } => {
                about(*resource, resource.plural, "")
            }
            Self::Invalid { resource, name, causes } => {
                let mut details = about(*resource, resource.kind, name);
                details.insert("causes".to_owned(), causes.iter().map(cause).collect());
                details
            }
            Self::TooManyRequests { retry_after_seconds, .. } => {
                retry(Map::new(), *retry_after_seconds)
            }
            Self::ServerTimeout { resource, operation, retry_after_seconds } => {
                retry(about(*resource, resource.plural, operation), *retry_after_seconds)
            }
            Self::TooLargeRevision { .. } => {
                let mut details = retry(Map::new(), 1);
                let cause = json!({
                    "reason": "ResourceVersionTooLarge",
                    "message": "Too large resource version",
                });
                details.insert("causes".to_owned(), json!([cause]));
                details
            }
            Self::ApplyConflict { conflicts } => {
                let causes = conflicts.iter().map(|conflict| {
                    json!({
                        "reason": "FieldManagerConflict",
                        "message": format!("conflict with {}", conflict.with),
                        "field": conflict.field,
                    })
                });
                Map::from_iter([("causes".to_owned(), causes.collect())])
            }
            // Differs from Kubernetes: there the reason is lost.
            Self::Unprocessable { why } => {
                Map::from_iter([("causes".to_owned(), json!([{"message": why}]))])
            }
            Self::Internal(message) => {
                Map::from_iter([("causes".to_owned(), json!([{"message": message}]))])
            }
            Self::NoSuchResource
            | Self::BadRequest(_)
            | Self::ForbiddenPath { .. }
            | Self::Unauthorized
            | Self::NotAcceptable { .. }
            | Self::UnsupportedMediaType { .. }
            | Self::Expired(_)
            | Self::RequestEntityTooLarge { .. }
            | Self::TooMuch(_)
            | Self::Unavailable(_)
            | Self::Timeout(_) => Map::new(),
        }
    }
}

/// `details` with what an error is about; empty members are left out.
fn about(resource: Resource, kind: &str, name: &str) -> Map<String, Value> {
    [("name", name), ("group", resource.group), ("kind", kind)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(member, text)| (member.to_owned(), Value::from(text)))
        .collect()
}

fn retry(mut details: Map<String, Value>, seconds: u32) -> Map<String, Value> {
    details.insert("retryAfterSeconds".to_owned(), Value::from(seconds));
    details
}

fn cause(cause: &Cause) -> Value {
    json!({"reason": cause.reason.to_string(), "message": cause.message, "field": cause.field})
}

/// `jobs.batch "a"`, or `jobs.batch` when it is about all of them.
fn named(resource: Resource, name: &str) -> String {
    let quoted = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
    resource.qualified() + &quoted
}

/// Kubernetes' words: a line for each manager, with the fields that it has.
fn apply_conflict(conflicts: &[Conflict]) -> String {
    let mut text = match conflicts.len() {
        1 => "Apply failed with 1 conflict:".to_owned(),
        several => format!("Apply failed with {several} conflicts:"),
    };
    let mut with: Option<&str> = None;
    for conflict in conflicts {
        let same = conflicts.iter().filter(|it| it.with == conflict.with).count();
        let new = with != Some(conflict.with.as_str());
        with = Some(&conflict.with);
        match (same, new) {
            (1, _) => text += &format!(" conflict with {}: {}", conflict.with, conflict.field),
            (_, true) => {
                text += &format!(" conflicts with {}:\n- {}", conflict.with, conflict.field);
            }
            (_, false) => text += &format!("\n- {}", conflict.field),
        }
    }
    text
}

/// Kubernetes' one line for all faults: one as it is, several in brackets, each text once.
fn invalid_message(resource: Resource, name: &str, causes: &[Cause]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(causes.len());
    for text in causes.iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let head = format!("{} \"{name}\" is invalid", resource.qualified_kind());
    match texts.as_slice() {
        [] => head,
        [only] => format!("{head}: {only}"),
        several => format!("{head}: [{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests;
