//! What a request may say besides its body: Kubernetes' query parameters, whichever front end they
//! came by.

use jiff::Timestamp;
use stint_common::wire::TraceContext;

use super::Error;
use super::error::Resource;
use super::selector::{FieldSelector, LabelSelector};
use crate::admission::{Causes, FieldValidation, Path};

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
    pub resource_version: Option<u128>,
    /// `resourceVersionMatch`: what `resourceVersion` means to a list, or to a watch's beginning.
    pub revision_match: Option<RevisionMatch>,
    /// `sendInitialEvents`: whether a watch begins with the objects there are.
    pub initial_events: Option<bool>,
    /// `propagationPolicy`; the older `orphanDependents` says `Orphan` or `Background`.
    pub propagation: Option<Propagation>,
    /// `gracePeriodSeconds`.
    pub grace_seconds: Option<u32>,
    /// `dryRun=All`: everything but the write.
    pub dry_run: bool,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// `fieldManager`: who writes.
    pub field_manager: Option<String>,
    /// `force` of an apply: fields are taken over from others.
    pub force: bool,
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
    /// `sinceSeconds` of a log: nothing that is older.
    pub since_seconds: Option<u64>,
    /// `sinceTime` of a log: the same, as a point in time.
    pub since_time: Option<Timestamp>,
    /// `timestamps` of a log: a time before each line.
    pub timestamps: bool,
    /// `previous` of a log: that of the container's run before.
    pub previous: bool,
    /// `stream` of a log: `Stdout`, `Stderr`, or both.
    pub streams: LogStreams,
    /// `preconditions.uid` of a delete.
    pub uid: Option<String>,
    /// The submitter's trace.
    pub trace: Option<TraceContext>,
}

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionMatch {
    /// As it was then.
    Exact,
    /// As it was then or at any time later.
    NotOlderThan,
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
        let flag = |name: &str| get(name).map(|value| is_true(&value));
        let parsed = |name: &'static str| number::<u64>(name, text(name));
        let size = |name: &'static str| number::<usize>(name, text(name));
        Ok(Self {
            labels: selector("labelSelector", text("labelSelector"))?,
            fields: selector("fieldSelector", text("fieldSelector"))?,
            limit: size("limit")?.unwrap_or(0),
            continue_after: text("continue"),
            resource_version: number("resourceVersion", text("resourceVersion"))?,
            revision_match: revision_match(text("resourceVersionMatch").as_deref())?,
            initial_events: flag("sendInitialEvents"),
            propagation: propagation(
                text("propagationPolicy").as_deref(),
                flag("orphanDependents"),
            )?,
            grace_seconds: number::<u32>("gracePeriodSeconds", text("gracePeriodSeconds"))?,
            dry_run: dry_run(text("dryRun").as_deref())?,
            field_validation: field_validation(text("fieldValidation").as_deref())?,
            field_manager: field_manager(text("fieldManager"))?,
            force: flag("force") == Some(true),
            timeout_seconds: parsed("timeoutSeconds")?,
            bookmarks: flag("allowWatchBookmarks") == Some(true),
            container: text("container"),
            follow: flag("follow") == Some(true),
            tail_lines: size("tailLines")?,
            limit_bytes: size("limitBytes")?,
            since_seconds: parsed("sinceSeconds")?,
            since_time: since_time(text("sinceTime"), text("sinceSeconds").is_some())?,
            timestamps: flag("timestamps") == Some(true),
            previous: flag("previous") == Some(true),
            streams: log_streams(text("stream").as_deref())?,
            uid: text("uid"),
            trace: trace(text("traceparent"), text("tracestate"), text("baggage")),
        })
    }
}

/// What the submitter sent; baggage goes on without a trace, too.
fn trace(
    traceparent: Option<String>,
    tracestate: Option<String>,
    baggage: Option<String>,
) -> Option<TraceContext> {
    if traceparent.is_none() && baggage.is_none() {
        return None;
    }
    let tracestate = tracestate.filter(|_| traceparent.is_some());
    let traceparent = traceparent.unwrap_or_default();
    // W3C Baggage: no more than this needs to be handed on.
    let baggage = baggage.filter(|text| text.len() <= LONGEST_BAGGAGE);
    Some(TraceContext { traceparent, tracestate, baggage, limits: None })
}

/// Bytes of baggage that are handed on (W3C Baggage, limits).
const LONGEST_BAGGAGE: usize = 8192;

/// A revision of anything but pods.
pub(super) fn plain_revision(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
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

/// What the API server takes for true: all but `0` and `false`, nothing included. Clients in Python
/// say `True`.
pub(crate) fn is_true(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

fn propagation(
    policy: Option<&str>,
    orphan_dependents: Option<bool>,
) -> Result<Option<Propagation>, Error> {
    let invalid = |say: &dyn Fn(&mut Causes, &Path<'_>)| {
        let mut causes = Causes::default();
        say(&mut causes, &Path::root("propagationPolicy"));
        Err(invalid_options(DELETE_OPTIONS, causes))
    };
    match (policy, orphan_dependents) {
        (Some(policy), Some(_)) => invalid(&|causes, at| {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            causes.invalid(at, policy, why);
        }),
        (Some("Background"), None) | (None, Some(false)) => Ok(Some(Propagation::Background)),
        (Some("Foreground"), None) => Ok(Some(Propagation::Foreground)),
        (Some("Orphan"), None) | (None, Some(true)) => Ok(Some(Propagation::Orphan)),
        (Some(other), None) => invalid(&|causes, at| {
            causes.not_supported(at, other, &["Foreground", "Background", "Orphan", "nil"]);
        }),
        (None, None) => Ok(None),
    }
}

fn revision_match(value: Option<&str>) -> Result<Option<RevisionMatch>, Error> {
    match value {
        None => Ok(None),
        Some("Exact") => Ok(Some(RevisionMatch::Exact)),
        Some("NotOlderThan") => Ok(Some(RevisionMatch::NotOlderThan)),
        Some(other) => {
            let mut causes = Causes::default();
            let supported = ["Exact", "NotOlderThan", ""];
            causes.not_supported(&Path::root(REVISION_MATCH), other, &supported);
            Err(invalid_options(LIST_OPTIONS, causes))
        }
    }
}

const REVISION_MATCH: &str = "resourceVersionMatch";

/// Kubernetes' own name for what a list and a watch are asked with.
const LIST_OPTIONS: Resource =
    Resource { group: "meta.k8s.io", plural: "listoptions", kind: "ListOptions" };

/// Kubernetes' own name for what a delete is asked with.
const DELETE_OPTIONS: Resource =
    Resource { group: "meta.k8s.io", plural: "deleteoptions", kind: "DeleteOptions" };

fn invalid_options(resource: Resource, causes: Causes) -> Error {
    Error::Invalid { resource, name: String::new(), causes: causes.into_vec() }
}

impl Options {
    /// Whether the options that say where a list or a watch begins go together, as Kubernetes'
    /// `ValidateListOptions` has it.
    ///
    /// # Errors
    ///
    /// 422 with what does not.
    pub fn check_beginning(&self, watch: bool) -> Result<(), Error> {
        let mut causes = Causes::default();
        let at = Path::root(REVISION_MATCH);
        let exact = self.revision_match == Some(RevisionMatch::Exact);
        let matches = self.revision_match.is_some();
        if watch {
            if self.initial_events.is_some()
                && self.revision_match != Some(RevisionMatch::NotOlderThan)
            {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                causes.forbidden(&at, why);
            }
            if matches && self.initial_events.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                           provided";
                causes.forbidden(&at, why);
            }
        } else {
            if matches && self.resource_version.is_none() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                causes.forbidden(&at, why);
            }
            if exact && self.resource_version == Some(0) {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                causes.forbidden(&at, why);
            }
            if self.initial_events.is_some() {
                let at = Path::root("sendInitialEvents");
                causes.forbidden(&at, "sendInitialEvents is forbidden for list");
            }
        }
        if matches && self.continue_after.is_some() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            causes.forbidden(&at, why);
        }
        if causes.is_empty() { Ok(()) } else { Err(invalid_options(LIST_OPTIONS, causes)) }
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

fn since_time(value: Option<String>, and_seconds: bool) -> Result<Option<Timestamp>, Error> {
    let Some(value) = value else { return Ok(None) };
    if and_seconds {
        let message = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        return Err(Error::BadRequest(message.to_owned()));
    }
    let time = value.parse().map_err(|_| bad("sinceTime", &value, "a time as in RFC 3339"))?;
    Ok(Some(time))
}

/// Kubernetes' limit of a manager's name.
const LONGEST_MANAGER: usize = 128;

fn field_manager(value: Option<String>) -> Result<Option<String>, Error> {
    match value {
        Some(name) if name.chars().count() > LONGEST_MANAGER || name.contains(char::is_control) => {
            let allowed = format!("at most {LONGEST_MANAGER} letters that can be printed");
            Err(bad("fieldManager", &name, &allowed))
        }
        value => Ok(value),
    }
}

fn log_streams(value: Option<&str>) -> Result<LogStreams, Error> {
    match value {
        None | Some("All") => Ok(LogStreams::All),
        Some("Stdout") => Ok(LogStreams::Stdout),
        Some("Stderr") => Ok(LogStreams::Stderr),
        Some(other) => Err(bad("stream", other, "All, Stdout or Stderr")),
    }
}
