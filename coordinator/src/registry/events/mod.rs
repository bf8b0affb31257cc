//! Verbs on Events: what happened lately to Jobs and other objects. They are messages of a stream
//! of their own, one to a subject, which go with age; they are read from it when asked for, and
//! not kept in memory.

mod read;
mod say;
mod watch;
mod write;

pub use say::Said;

use serde_json::Value;
use stint_common::id::Revision;
use stint_common::nats::Entry;

use super::error::{EVENTS, EVENTS_K8S, Resource};
use super::job_object::set_revision;
use super::options::Options;
use super::target::Target;
use super::{Error, selector::FieldSelector};
use crate::admission::plain::{self, Rules};

/// The two forms in which Kubernetes offers Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventForm {
    /// `v1`.
    Core,
    /// `events.k8s.io/v1`.
    Events,
}

impl EventForm {
    fn about(self) -> Resource {
        match self {
            Self::Core => EVENTS,
            Self::Events => EVENTS_K8S,
        }
    }

    fn rules(self) -> &'static Rules {
        match self {
            Self::Core => &plain::EVENT,
            Self::Events => &plain::EVENTS_EVENT,
        }
    }

    /// A stored Event in this form.
    fn show(self, event: &Value) -> Value {
        match self {
            Self::Core => event.clone(),
            Self::Events => plain::to_events_form(event),
        }
    }

    /// What is stored of an Event in this form.
    fn store(self, event: &Value) -> Value {
        match self {
            Self::Core => event.clone(),
            Self::Events => plain::from_events_form(event),
        }
    }
}

/// Says of a stored Event that it is gone; of one that was written over, which revision it had.
const GONE: &str = "gone";

/// An Event as stored.
#[derive(Clone, Debug)]
struct StoredEvent {
    /// In the form of the core group.
    event: Value,
    gone: bool,
    /// It was written over: not the first of its subject.
    changed: bool,
    revision: u64,
}

impl StoredEvent {
    /// It, as a write meets it.
    fn target(&self, form: EventForm) -> Target<'_> {
        let text = |name: &str| self.event["metadata"][name].as_str().unwrap_or_default();
        let (name, uid) = (text("name"), text("uid").to_owned());
        Target { resource: form.about(), name, uid, revision: self.revision }
    }

    fn decode(payload: &[u8], revision: u64) -> Option<Self> {
        let mut event: Value = serde_json::from_slice(payload).ok()?;
        let gone = event.as_object_mut()?.shift_remove(GONE).is_some();
        let changed = event["metadata"]["resourceVersion"].is_string();
        set_revision(&mut event, Revision(revision));
        Some(Self { event, gone, changed, revision })
    }

    fn of(entry: &Entry) -> Option<Self> {
        Self::decode(&entry.payload, entry.sequence)
    }

    /// The name by which lists are ordered and gone through.
    fn place(&self) -> String {
        let text = |name: &str| self.event["metadata"][name].as_str().unwrap_or_default();
        format!("{}/{}", text("namespace"), text("name"))
    }

    /// Whether the selectors mean it.
    fn is_selected(&self, options: &Options) -> bool {
        options.labels.matches_object(&self.event)
            && options.fields.matches(|field| field_of(&self.event, field))
    }
}

/// The fields by which one can select, in the form of the core group.
const FIELDS: [&str; 14] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
    "metadata.namespace",
    "metadata.name",
    "reportingController",
];

fn check_fields(fields: &FieldSelector) -> Result<(), Error> {
    let known: Vec<String> = FIELDS
        .iter()
        .map(|field| (*field).to_owned())
        .chain(FIELDS.iter().filter_map(|field| {
            field.strip_prefix("involvedObject").map(|rest| format!("regarding{rest}"))
        }))
        .collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    fields.check(&known).map_err(|error| Error::BadRequest(error.to_string()))
}

/// A field's text; both forms' names are known.
fn field_of(event: &Value, field: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reporter = || text(&event["reportingComponent"]);
    match field {
        "source" => {
            let component = text(&event["source"]["component"]);
            if component.is_empty() { reporter() } else { component }
        }
        "reportingComponent" | "reportingController" => reporter(),
        _ => {
            let mut path = field.split('.');
            let first = match path.next() {
                Some("regarding") => "involvedObject",
                other => other.unwrap_or_default(),
            };
            text(path.fold(&event[first], |value, member| &value[member]))
        }
    }
}

fn not_found(form: EventForm, name: &str) -> Error {
    Error::NotFound { resource: form.about(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(selector: &str, event: &Value) -> bool {
        let fields: FieldSelector = selector.parse().unwrap();
        check_fields(&fields).unwrap();
        fields.matches(|field| field_of(event, field))
    }

    #[test]
    fn events_are_selected_as_kubectl_does() {
        let event = json!({
            "involvedObject": {"kind": "Job", "name": "a", "namespace": "n", "uid": "u"},
            "source": {"component": "job-controller"}, "type": "Normal", "reason": "Completed",
        });
        assert!(selects("involvedObject.kind=Job,involvedObject.name=a,type!=Warning", &event));
        assert!(selects("regarding.uid=u,source=job-controller", &event));
        assert!(selects("involvedObject.fieldPath=", &event));
        assert!(!selects("involvedObject.namespace=", &event));
        let unknown: FieldSelector = "message=x".parse().unwrap();
        assert!(check_fields(&unknown).is_err());
    }

    #[test]
    fn records_say_what_became_of_an_event() {
        let stored = |text: &str| StoredEvent::decode(text.as_bytes(), 7).unwrap();
        let first = stored(r#"{"metadata":{"name":"a","namespace":"n"}}"#);
        assert_eq!((first.gone, first.changed), (false, false));
        assert_eq!(
            (first.place().as_str(), &first.event["metadata"]["resourceVersion"]),
            ("n/a", &json!("7"))
        );
        let last = stored(r#"{"metadata":{"name":"a","resourceVersion":"3"},"gone":true}"#);
        assert_eq!((last.gone, last.changed, last.event.get("gone")), (true, true, None));
        assert!(StoredEvent::decode(b"what", 1).is_none());
    }
}
