//! Times as `kubectl` shows them.

use jiff::Timestamp;
use serde_json::Value;
use stint_common::time::{human_seconds, since};

/// A time in an object.
#[must_use]
pub fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The age of something that has this time; `<unknown>` when it has none.
#[must_use]
pub fn age(value: &Value, now: Timestamp) -> String {
    time(value).map_or_else(|| "<unknown>".to_owned(), |then| between(then, now))
}

/// The time from one point to another.
#[must_use]
pub fn between(earlier: Timestamp, later: Timestamp) -> String {
    human_seconds(since(later, earlier).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_needs_a_time() {
        let now = "2026-01-01T00:02:05Z".parse().unwrap();
        assert_eq!(age(&Value::from("2026-01-01T00:00:00Z"), now), "2m5s");
        assert_eq!(age(&Value::from("2026-01-02T00:00:00Z"), now), "0s");
        assert_eq!(age(&Value::Null, now), "<unknown>");
    }
}
