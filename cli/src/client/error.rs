//! Why the API did not do what was asked.

use serde_json::Value;
use stint_common::nats::CredentialsError;

use super::ContextError;
use crate::config_file::ConfigError;
use crate::exit::Exit;

/// Why a request has no answer, or which refusal is the answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's NATS context cannot be used.
    #[error("using a NATS context")]
    Context(#[source] ContextError),
    /// The user's configuration file cannot be used.
    #[error("using the configuration file")]
    ConfigFile(#[source] ConfigError),
    /// A credentials, key or seed file cannot be read.
    #[error(transparent)]
    Credentials(CredentialsError),
    /// No NATS server answers, or it refuses us.
    #[error("cannot connect to NATS at {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// NATS is there, and nobody behind it.
    #[error("no coordinator answers at {url}")]
    NoCoordinator {
        /// Where.
        url: String,
    },
    /// A coordinator took the request and said nothing.
    #[error("{call}: no answer in time")]
    Silent {
        /// What was asked.
        call: String,
    },
    /// NATS does not let this user ask that.
    #[error("{call}: not allowed to this user of NATS: {why}")]
    Denied {
        /// What was asked.
        call: String,
        /// What the server says.
        why: String,
    },
    /// The connection is closed.
    #[error("{call}: the connection to NATS is lost")]
    Lost {
        /// What was asked.
        call: String,
    },
    /// The object is larger than the server takes.
    #[error("the object has {size} bytes, and the NATS server takes at most {limit}")]
    TooBig {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The API's own refusal.
    #[error("{status}")]
    Refused {
        /// What was asked.
        call: String,
        /// The answer.
        status: Box<Status>,
    },
    /// The answer is not JSON.
    #[error("{call}: the answer cannot be read")]
    Malformed {
        /// What was asked.
        call: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// The refusal's HTTP code, if this is one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.code),
            _ => None,
        }
    }

    /// Whether the same may succeed a moment later: a coordinator is being replaced, a server
    /// restarted.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoCoordinator { .. } | Self::Silent { .. } | Self::Lost { .. } => true,
            Self::Refused { status, .. } => matches!(status.code, 429 | 500 | 502..=504),
            Self::Context(_)
            | Self::ConfigFile(_)
            | Self::Credentials(_)
            | Self::Connect { .. }
            | Self::Denied { .. }
            | Self::TooBig { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// The exit code of a command that ends with it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { status, .. } => match status.code {
                404 => Exit::NotFound,
                500.. | 429 => Exit::Unreachable,
                _ => Exit::Usage,
            },
            Self::Context(_)
            | Self::ConfigFile(_)
            | Self::Credentials(_)
            | Self::Denied { .. }
            | Self::TooBig { .. } => Exit::Usage,
            Self::Connect { .. }
            | Self::NoCoordinator { .. }
            | Self::Silent { .. }
            | Self::Lost { .. } => Exit::Unreachable,
            Self::Malformed { .. } => Exit::Internal,
        }
    }

    /// What to try next.
    #[must_use]
    pub fn try_next(&self) -> Option<String> {
        match self {
            Self::Connect { .. } => Some(
                "`stint dev` starts everything on this machine; or name your server with --nats URL \
                 or NATS_URL"
                    .to_owned(),
            ),
            Self::NoCoordinator { url } => Some(format!("stint coordinator --nats {url}")),
            Self::Silent { .. } => Some("the same again, and `stint coordinator`'s log".to_owned()),
            Self::Refused { status, .. } => status.try_next(),
            Self::Denied { why, .. } if why.contains("Subscription") => Some(
                "STINT_INBOX_PREFIX, where this user's answers may come; `stint config view` tells \
                 who this is"
                    .to_owned(),
            ),
            Self::Denied { .. } => {
                Some("`stint config view` tells who this is; another namespace with -n".to_owned())
            }
            Self::Context(_)
            | Self::ConfigFile(_)
            | Self::Credentials(_)
            | Self::Lost { .. }
            | Self::TooBig { .. }
            | Self::Malformed { .. } => None,
        }
    }
}

/// The part of a `v1` Status that a client needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The HTTP code.
    pub code: u16,
    /// `reason`: `NotFound`, `AlreadyExists`, `Invalid`…
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `details.causes`: field and message.
    pub causes: Vec<(String, String)>,
    /// `details.kind` and `details.name`.
    pub subject: (String, String),
}

impl Status {
    /// Reads a Status body; the headers' code and text stand in for what it lacks.
    #[must_use]
    pub fn read(body: &[u8], code: &str, text: &str) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let causes = body["details"]["causes"].as_array().into_iter().flatten();
        let message = text_of(&body["message"]);
        Self {
            code: body["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .or_else(|| code.parse().ok())
                .unwrap_or(500),
            reason: text_of(&body["reason"]),
            message: if message.is_empty() { text.to_owned() } else { message },
            causes: causes.map(|c| (text_of(&c["field"]), text_of(&c["message"]))).collect(),
            subject: (text_of(&body["details"]["kind"]), text_of(&body["details"]["name"])),
        }
    }

    fn try_next(&self) -> Option<String> {
        let (kind, name) = &self.subject;
        match self.reason.as_str() {
            "AlreadyExists" if !name.is_empty() => Some(format!("stint delete job {name}")),
            "NotFound" if kind.starts_with("pod") => Some("stint get pods".to_owned()),
            "NotFound" if kind == "nodes" => Some("stint get workers".to_owned()),
            "NotFound" if kind.starts_with("cronjob") => Some("stint get cronjobs".to_owned()),
            "NotFound" => Some("stint get jobs".to_owned()),
            _ => None,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.causes.len() < 2 {
            let empty = self.message.is_empty();
            return if empty {
                write!(f, "error {}", self.code)
            } else {
                f.write_str(&self.message)
            };
        }
        // The message strings all causes together; a line each reads better.
        let head = self.message.split(" is invalid:").next().unwrap_or(&self.message);
        write!(f, "{head} is invalid:")?;
        self.causes.iter().try_for_each(|(field, message)| write!(f, "\n    {field}: {message}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_and_shown_cause_by_cause() {
        let body = br#"{"kind":"Status","code":422,"reason":"Invalid",
            "message":"Job.batch \"x\" is invalid: [a: one, b: two]",
            "details":{"name":"x","kind":"Job","causes":[
                {"field":"spec.a","message":"one"},{"field":"spec.b","message":"two"}]}}"#;
        let status = Status::read(body, "422", "ignored");
        let text = "Job.batch \"x\" is invalid:\n    spec.a: one\n    spec.b: two";
        assert_eq!(status.to_string(), text);
    }

    #[test]
    fn headers_stand_in_for_a_missing_body() {
        let status = Status::read(b"", "404", "jobs.batch \"x\" not found");
        assert_eq!((status.code, status.to_string().as_str()), (404, "jobs.batch \"x\" not found"));
        assert_eq!(Status::read(b"", "", "").to_string(), "error 500");
    }

    #[test]
    fn codes_become_exit_codes() {
        let refused = |code: &str, reason: &str| {
            let body = format!(r#"{{"reason":"{reason}","details":{{"name":"x","kind":"jobs"}}}}"#);
            let status = Status::read(body.as_bytes(), code, "");
            Error::Refused { call: String::new(), status: Box::new(status) }
        };
        assert_eq!(refused("404", "NotFound").exit(), Exit::NotFound);
        assert_eq!(refused("409", "AlreadyExists").exit(), Exit::Usage);
        assert_eq!(refused("503", "").exit(), Exit::Unreachable);
        let next = refused("409", "AlreadyExists").try_next();
        assert_eq!(next.as_deref(), Some("stint delete job x"));
    }
}
