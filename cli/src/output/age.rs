//! Times as `kubectl` shows them.

use jiff::Timestamp;
use serde_json::Value;
use stint_common::time::since;

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
    human(since(later, earlier).as_secs())
}

/// `duration.HumanDuration` of Kubernetes: two units at most, and only one when it is long.
#[must_use]
pub fn human(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (minutes, hours, days) = (seconds / MINUTE, seconds / HOUR, seconds / DAY);
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % MINUTE, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if hours < 192 {
        two(days, "d", hours % 24, "h")
    } else if days < 730 {
        format!("{days}d")
    } else if days < 2920 {
        two(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

fn two(first: u64, unit: &str, second: u64, smaller: &str) -> String {
    if second == 0 { format!("{first}{unit}") } else { format!("{first}{unit}{second}{smaller}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectls() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn an_age_needs_a_time() {
        let now = "2026-01-01T00:02:05Z".parse().unwrap();
        assert_eq!(age(&Value::from("2026-01-01T00:00:00Z"), now), "2m5s");
        assert_eq!(age(&Value::from("2026-01-02T00:00:00Z"), now), "0s");
        assert_eq!(age(&Value::Null, now), "<unknown>");
    }
}
