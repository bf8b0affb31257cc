//! A Job as its status says it is.

use jiff::Timestamp;
use serde_json::Value;
use stint_common::annotations::{INDEXES, WAITING_CONDITION};
use stint_common::index_set::IndexSet;

use super::age::{age, between, time};

/// Columns of a list of Jobs.
pub const COLUMNS: [&str; 5] = ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"];
/// Columns that `wide` adds.
pub const WIDE: [&str; 3] = ["CONTAINERS", "IMAGES", "SELECTOR"];

/// A Job, read.
#[derive(Clone, Copy, Debug)]
pub struct JobView<'a>(pub &'a Value);

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Complete.
    Complete,
    /// Failed: reason and message of the condition.
    Failed(String, String),
}

impl<'a> JobView<'a> {
    /// `metadata.name`.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.metadata("name")
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(self) -> &'a str {
        self.metadata("namespace")
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(self) -> &'a str {
        self.metadata("uid")
    }

    fn metadata(self, field: &str) -> &'a str {
        self.0["metadata"][field].as_str().unwrap_or_default()
    }

    /// A number of the status; absent ones are zero.
    #[must_use]
    pub fn count(self, field: &str) -> u64 {
        self.0["status"][field].as_u64().unwrap_or(0)
    }

    /// How many completions it takes: `spec.completions`, or as many indexes as an annotation says
    /// that run; absent for a work queue.
    #[must_use]
    pub fn completions(self) -> Option<u64> {
        let chosen = self.0["metadata"]["annotations"][INDEXES].as_str();
        let chosen: Option<IndexSet> = chosen.and_then(|text| text.parse().ok());
        let completions = self.0["spec"]["completions"].as_u64()?;
        Some(chosen.map_or(completions, |indexes| u64::from(indexes.len())))
    }

    /// Whether its pods have indexes.
    #[must_use]
    pub fn is_indexed(self) -> bool {
        self.0["spec"]["completionMode"] == "Indexed"
    }

    /// The condition of a type, if it is true.
    #[must_use]
    pub fn condition(self, kind: &str) -> Option<&'a Value> {
        let conditions = self.0["status"]["conditions"].as_array()?;
        conditions.iter().find(|c| c["type"] == kind && c["status"] == "True")
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(self) -> Option<End> {
        if self.condition("Complete").is_some() {
            return Some(End::Complete);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let failed = self.condition("Failed")?;
        Some(End::Failed(text(&failed["reason"]), text(&failed["message"])))
    }

    /// `kubectl`'s word for where it is.
    #[must_use]
    pub fn status(self) -> &'static str {
        const WORDS: [&str; 2] = ["Suspended", "FailureTarget"];
        match self.end() {
            Some(End::Complete) => return "Complete",
            Some(End::Failed(..)) => return "Failed",
            None if self.0["metadata"]["deletionTimestamp"].is_string() => return "Terminating",
            None => {}
        }
        let word = WORDS.into_iter().find(|word| self.condition(word).is_some());
        match word {
            Some(word) => word,
            None if self.condition(WAITING_CONDITION).is_some() => "Waiting",
            None if self.condition("SuccessCriteriaMet").is_some() => "SuccessCriteriaMet",
            None => "Running",
        }
    }

    /// `3/10`, `0/1 of 4`.
    #[must_use]
    pub fn completions_text(self) -> String {
        let succeeded = self.count("succeeded");
        let parallelism = self.0["spec"]["parallelism"].as_u64().unwrap_or(0);
        match self.completions() {
            Some(completions) => format!("{succeeded}/{completions}"),
            None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
            None => format!("{succeeded}/1"),
        }
    }

    /// From start to end, or to now. Empty when it has not started.
    ///
    /// Differs from kubectl: the time of a failed Job stops at its end.
    #[must_use]
    pub fn duration(self, now: Timestamp) -> String {
        let status = &self.0["status"];
        let failed = self.condition("Failed").and_then(|c| time(&c["lastTransitionTime"]));
        let end = time(&status["completionTime"]).or(failed).unwrap_or(now);
        time(&status["startTime"]).map_or_else(String::new, |start| between(start, end))
    }

    /// Cells for [`COLUMNS`].
    #[must_use]
    pub fn row(self, now: Timestamp) -> Vec<String> {
        vec![
            self.name().to_owned(),
            self.status().to_owned(),
            self.completions_text(),
            self.duration(now),
            age(&self.0["metadata"]["creationTimestamp"], now),
        ]
    }

    /// Cells for [`WIDE`].
    #[must_use]
    pub fn wide(self) -> Vec<String> {
        let containers = self.0["spec"]["template"]["spec"]["containers"].as_array();
        let field = |name: &str| -> String {
            let values = containers.into_iter().flatten();
            let values: Vec<&str> = values.filter_map(|c| c[name].as_str()).collect();
            values.join(",")
        };
        vec![field("name"), field("image"), selector(&self.0["spec"]["selector"])]
    }
}

fn selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect();
    if labels.is_empty() { "<none>".to_owned() } else { labels.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    fn row(spec: Value, status: Value) -> Vec<String> {
        let metadata = json!({"name": "pi", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let job = json!({"metadata": metadata, "spec": spec, "status": status});
        JobView(&job).row(now())
    }

    fn condition(kind: &str) -> Value {
        json!({"type": kind, "status": "True", "reason": "R", "message": "M",
               "lastTransitionTime": "2026-01-01T00:00:40Z"})
    }

    #[test]
    fn a_running_job() {
        let status = json!({"startTime": "2026-01-01T00:00:10Z", "succeeded": 3, "active": 2});
        let cells = row(json!({"completions": 10}), status);
        assert_eq!(cells, ["pi", "Running", "3/10", "50s", "60s"]);
    }

    #[test]
    fn an_ended_job_stops_its_clock() {
        let start = "2026-01-01T00:00:10Z";
        let status = json!({"startTime": start, "completionTime": "2026-01-01T00:00:15Z",
            "succeeded": 1, "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]});
        assert_eq!(row(json!({"completions": 1}), status), ["pi", "Complete", "1/1", "5s", "60s"]);
        let status = json!({"startTime": start, "conditions": [condition("Failed")]});
        assert_eq!(row(json!({"completions": 1}), status), ["pi", "Failed", "0/1", "30s", "60s"]);
    }

    #[test]
    fn a_work_queue_counts_to_one() {
        let cells = row(json!({"parallelism": 4}), json!({"conditions": [condition("Suspended")]}));
        assert_eq!(cells, ["pi", "Suspended", "0/1 of 4", "", "60s"]);
        assert_eq!(row(json!({"parallelism": 1}), json!({}))[2], "0/1");
    }

    #[test]
    fn what_is_stints_own_is_shown() {
        let cells =
            row(json!({"completions": 9}), json!({"conditions": [condition(WAITING_CONDITION)]}));
        assert_eq!(cells[1..3], ["Waiting", "0/9"]);
        let job = json!({"metadata": {"annotations": {INDEXES: "1,4-6"}},
            "spec": {"completions": 10}, "status": {"succeeded": 2}});
        assert_eq!(JobView(&job).completions_text(), "2/4");
    }

    #[test]
    fn wide_shows_what_runs() {
        let job = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec":
            {"containers": [{"name": "x", "image": "i"}, {"name": "y", "image": "j"}]}}}});
        assert_eq!(JobView(&job).wide(), ["x,y", "i,j", "a=b"]);
        assert_eq!(JobView(&json!({})).wide(), ["", "", "<none>"]);
    }
}
