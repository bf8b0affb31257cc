//! What a request may say besides its body: Kubernetes' query parameters, whichever front end they
//! came by.

use stint_common::wire::TraceContext;

use super::Error;
use super::selector::{FieldSelector, LabelSelector};
use crate::admission::FieldValidation;

/// `propagationPolicy` of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The Job goes at once, its pods after it.
    Background,
    /// The Job stays until its pods are gone.
    Foreground,
    /// The Job's pods run to their ends, none comes after them; the Job stays until then.
    Orphan,
}

/// A request's options, parsed and checked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `labelSelector`.
    pub labels: LabelSelector,
    /// `fieldSelector`.
    pub fields: FieldSelector,
    /// `limit`: at most so many objects; 0 for all.
    pub limit: usize,
    /// `continue`: the last object of the page before.
    pub continue_after: Option<String>,
    /// `resourceVersion`: where a list or watch begins; of a delete,
    /// `preconditions.resourceVersion`.
    pub resource_version: Option<u64>,
    /// `propagationPolicy`; the older `orphanDependents` says `Orphan` or `Background`.
    pub propagation: Option<Propagation>,
    /// `gracePeriodSeconds`.
    pub grace_seconds: Option<u32>,
    /// `dryRun=All`: everything but the write.
    pub dry_run: bool,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// `timeoutSeconds` of a watch.
    pub timeout_seconds: Option<u64>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
    /// `container` of a log.
    pub container: Option<String>,
    /// `follow` of a log.
    pub follow: bool,
    /// `tailLines` of a log.
    pub tail_lines: Option<usize>,
    /// `limitBytes` of a log.
    pub limit_bytes: Option<usize>,
    /// `stream` of a log: `Stdout`, `Stderr`, or both.
    pub streams: LogStreams,
    /// `preconditions.uid` of a delete.
    pub uid: Option<String>,
    /// The submitter's trace.
    pub trace: Option<TraceContext>,
}

/// Which of a container's streams a log request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStreams {
    /// Both, as written.
    #[default]
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Options {
    /// Reads options, each found by its Kubernetes name through `get`.
    ///
    /// # Errors
    ///
    /// 400 for a value that does not parse, by name.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let text = |name: &str| get(name).filter(|value| !value.is_empty());
        let parsed = |name: &'static str| number::<u64>(name, text(name));
        let size = |name: &'static str| number::<usize>(name, text(name));
        Ok(Self {
            labels: selector("labelSelector", text("labelSelector"))?,
            fields: selector("fieldSelector", text("fieldSelector"))?,
            limit: size("limit")?.unwrap_or(0),
            continue_after: text("continue"),
            resource_version: parsed("resourceVersion")?,
            propagation: propagation(
                text("propagationPolicy").as_deref(),
                text("orphanDependents").as_deref(),
            )?,
            grace_seconds: number::<u32>("gracePeriodSeconds", text("gracePeriodSeconds"))?,
            dry_run: dry_run(text("dryRun").as_deref())?,
            field_validation: field_validation(text("fieldValidation").as_deref())?,
            timeout_seconds: parsed("timeoutSeconds")?,
            bookmarks: flag("allowWatchBookmarks", text("allowWatchBookmarks").as_deref())?,
            container: text("container"),
            follow: flag("follow", text("follow").as_deref())?,
            tail_lines: size("tailLines")?,
            limit_bytes: size("limitBytes")?,
            streams: log_streams(text("stream").as_deref())?,
            uid: text("uid"),
            trace: text("traceparent")
                .map(|traceparent| TraceContext { traceparent, tracestate: text("tracestate") }),
        })
    }
}

fn bad(name: &str, value: &str, allowed: &str) -> Error {
    Error::BadRequest(format!("{name}: invalid value {value:?}: {allowed}"))
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<Option<T>, Error> {
    value
        .map(|value| value.parse().map_err(|_| bad(name, &value, "a non-negative number")))
        .transpose()
}

fn selector<T: Default + std::str::FromStr>(name: &str, value: Option<String>) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    let Some(value) = value else { return Ok(T::default()) };
    value
        .parse()
        .map_err(|error: T::Err| Error::BadRequest(format!("unable to parse {name}: {error}")))
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, Error> {
    match value {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => Err(bad(name, other, "true or false")),
    }
}

fn propagation(
    policy: Option<&str>,
    orphan_dependents: Option<&str>,
) -> Result<Option<Propagation>, Error> {
    match (policy, orphan_dependents) {
        (Some(_), Some(_)) => Err(Error::BadRequest(
            "orphanDependents and deletionPropagation cannot be both set".to_owned(),
        )),
        (Some("Background"), None) => Ok(Some(Propagation::Background)),
        (Some("Foreground"), None) => Ok(Some(Propagation::Foreground)),
        (Some("Orphan"), None) => Ok(Some(Propagation::Orphan)),
        (Some(other), None) => {
            Err(bad("propagationPolicy", other, "Background, Foreground or Orphan"))
        }
        (None, None) => Ok(None),
        (None, orphan) => Ok(Some(if flag("orphanDependents", orphan)? {
            Propagation::Orphan
        } else {
            Propagation::Background
        })),
    }
}

fn dry_run(value: Option<&str>) -> Result<bool, Error> {
    match value {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => Err(bad("dryRun", other, "All")),
    }
}

fn field_validation(value: Option<&str>) -> Result<FieldValidation, Error> {
    let parsed = value.map(str::parse).transpose();
    parsed
        .map(Option::unwrap_or_default)
        .map_err(|_| bad("fieldValidation", value.unwrap_or_default(), "Strict, Warn or Ignore"))
}

fn log_streams(value: Option<&str>) -> Result<LogStreams, Error> {
    match value {
        None | Some("All") => Ok(LogStreams::All),
        Some("Stdout") => Ok(LogStreams::Stdout),
        Some("Stderr") => Ok(LogStreams::Stderr),
        Some(other) => Err(bad("stream", other, "All, Stdout or Stderr")),
    }
}
