//! Events, in both of their forms: of the core group, which is what is stored, and of
//! `events.k8s.io`, which says the same under other names.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::events::v1::Event as EventsEvent;
use serde_json::{Map, Value, json};

use super::rules::{Rules, carry_nothing, judge_no_change, read_plainly};
use crate::admission::cause::{Causes, Path};
use crate::admission::read::Identity;
use crate::admission::text;

/// Events of the core group.
pub static EVENT: Rules = Rules {
    identity: Identity { api_version: "v1", kind: "Event" },
    namespaced: true,
    name: text::dns_subdomain,
    read: read_plainly::<Event>,
    complete: |_| {},
    carry: carry_nothing,
    judge,
    judge_change: judge_no_change,
};

/// Events of `events.k8s.io`.
pub static EVENTS_EVENT: Rules = Rules {
    identity: Identity { api_version: "events.k8s.io/v1", kind: "Event" },
    namespaced: true,
    name: text::dns_subdomain,
    read: read_plainly::<EventsEvent>,
    complete: |_| {},
    carry: carry_nothing,
    judge: judge_events_form,
    judge_change: judge_no_change,
};

/// Members that have another name in the other form: core, then `events.k8s.io`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The same Event in the form of `events.k8s.io`.
#[must_use]
pub fn to_events_form(event: &Value) -> Value {
    renamed(event, EVENTS_EVENT.identity, |name| {
        NAMES.iter().find(|(core, _)| *core == name).map(|(_, other)| *other)
    })
}

/// The same Event in the form of the core group.
#[must_use]
pub fn from_events_form(event: &Value) -> Value {
    renamed(event, EVENT.identity, |name| {
        NAMES.iter().find(|(_, other)| *other == name).map(|(core, _)| *core)
    })
}

fn renamed<'a>(
    event: &Value,
    identity: Identity,
    name_of: impl Fn(&str) -> Option<&'a str>,
) -> Value {
    let mut members = Map::new();
    for (name, value) in event.as_object().into_iter().flatten() {
        members.insert(name_of(name).unwrap_or(name).to_owned(), value.clone());
    }
    members.insert("apiVersion".to_owned(), json!(identity.api_version));
    members.insert("kind".to_owned(), json!(identity.kind));
    Value::Object(members)
}

/// An Event is in the namespace of what it is about; of what has none, in `default`.
fn judge(event: &Value, causes: &mut Causes) {
    judge_place(event, "involvedObject", causes);
}

fn judge_place(event: &Value, member: &str, causes: &mut Causes) {
    let own = event["metadata"]["namespace"].as_str().unwrap_or_default();
    let about = event[member]["namespace"].as_str().unwrap_or_default();
    let fits = if about.is_empty() { ["default", ""].contains(&own) } else { about == own };
    if !fits {
        let path = Path::root(member);
        causes.invalid(&path.child("namespace"), about, "does not match event.namespace");
    }
}

fn judge_events_form(event: &Value, causes: &mut Causes) {
    judge_place(event, "regarding", causes);
    for name in ["eventTime", "reportingController", "reportingInstance", "action", "reason"] {
        if event[name].as_str().is_none_or(str::is_empty) {
            causes.required(&Path::root(name), "");
        }
    }
    let kind = event["type"].as_str().unwrap_or_default();
    if !["Normal", "Warning"].contains(&kind) {
        let detail = "has invalid value: must be Normal or Warning";
        causes.invalid(&Path::root("type"), kind, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "a"},
            "involvedObject": {"kind": "Job"}, "message": "m", "count": 2, "reason": "r",
        });
        let other = to_events_form(&event);
        assert_eq!(other["apiVersion"], "events.k8s.io/v1");
        assert_eq!((&other["regarding"]["kind"], &other["note"]), (&json!("Job"), &json!("m")));
        assert_eq!((&other["deprecatedCount"], other.get("message")), (&json!(2), None));
        assert_eq!(from_events_form(&other), event);
    }
}
