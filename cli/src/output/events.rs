//! Events, a line each.

use jiff::Timestamp;
use serde_json::Value;

use super::age::age;

/// Columns of a list of Events.
pub const COLUMNS: [&str; 5] = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
/// Columns that `wide` adds.
pub const WIDE: [&str; 2] = ["COUNT", "SOURCE"];

/// When an Event was last seen.
#[must_use]
pub fn time_of(event: &Value) -> &Value {
    let times = [
        &event["lastTimestamp"],
        &event["series"]["lastObservedTime"],
        &event["eventTime"],
        &event["firstTimestamp"],
        &event["metadata"]["creationTimestamp"],
    ];
    times.into_iter().find(|time| time.is_string()).unwrap_or(&Value::Null)
}

/// By time; that is in whole seconds, and within one by the order in which they were written.
pub fn in_order(events: &mut [Value]) {
    events.sort_by_cached_key(|event| (time_of(event).to_string(), written(event)));
}

fn written(event: &Value) -> u64 {
    let revision = event["metadata"]["resourceVersion"].as_str();
    revision.and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// Cells for [`COLUMNS`].
#[must_use]
pub fn row(event: &Value, now: Timestamp) -> Vec<String> {
    let about = &event["involvedObject"];
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let kind = text(&about["kind"]).to_ascii_lowercase();
    vec![
        age(time_of(event), now),
        text(&event["type"]),
        text(&event["reason"]),
        format!("{kind}/{}", text(&about["name"])),
        // One line, whatever it says.
        text(&event["message"]).replace(char::is_control, " "),
    ]
}

/// Cells for [`WIDE`].
#[must_use]
pub fn wide(event: &Value) -> Vec<String> {
    let count = event["count"].as_u64().unwrap_or(1);
    let source = event["source"]["component"].as_str().or(event["reportingComponent"].as_str());
    vec![count.to_string(), source.unwrap_or_default().to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"type": "Warning", "reason": "FailedScheduling", "message": "a\nb",
            "involvedObject": {"kind": "Job", "name": "pi"}, "count": 3,
            "lastTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "stint"}});
        let now = "2026-01-01T00:00:09Z".parse().unwrap();
        assert_eq!(row(&event, now), ["9s", "Warning", "FailedScheduling", "job/pi", "a b"]);
        assert_eq!(wide(&event), ["3", "stint"]);
    }
}
