//! Columns of Jobs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, Columns, Head, NAME, age, between, containers, name, parse_time, selector};

pub(super) static COLUMNS: Columns = Columns {
    heads: &[
        NAME,
        Head::text("Status", "Whether the Job runs, and if not, why."),
        Head::text("Completions", "Pods that succeeded, of those that have to."),
        Head::text("Duration", "How long the Job has been running, or ran."),
        AGE,
        Head::wide("Containers", "The names of the template's containers."),
        Head::wide("Images", "The images of the template's containers."),
        Head::wide("Selector", "Which pods are the Job's."),
    ],
    cells,
    conditions: |_| None,
};

/// Conditions that say what a Job is about, the first that holds; a deletion comes after the first
/// two.
const STATES: [&str; 5] =
    ["Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"];

fn cells(job: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&job["spec"]["template"]["spec"]);
    vec![
        name(job),
        json!(state(job)),
        json!(completions(job)),
        json!(duration(job, now)),
        age(job, now),
        names,
        images,
        selector(&job["spec"]["selector"]),
    ]
}

fn state(job: &Value) -> &'static str {
    let conditions = job["status"]["conditions"].as_array();
    let holds = |kind: &str| {
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    let deleted = job["metadata"]["deletionTimestamp"].is_string();
    let (ends, others) = STATES.split_at(2);
    if let Some(end) = ends.iter().find(|kind| holds(kind)) {
        end
    } else if deleted {
        "Terminating"
    } else {
        others.iter().find(|kind| holds(kind)).copied().unwrap_or("Running")
    }
}

fn completions(job: &Value) -> String {
    let succeeded = job["status"]["succeeded"].as_u64().unwrap_or(0);
    let spec = &job["spec"];
    match (spec["completions"].as_u64(), spec["parallelism"].as_u64()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, Some(parallelism)) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, now: Timestamp) -> String {
    let time = |member: &str| parse_time(&job["status"][member]);
    let Some(start) = time("startTime") else { return String::new() };
    between(start, time("completionTime").unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(job: &Value) -> Vec<Value> {
        cells(job, "2026-01-15T12:02:30Z".parse().unwrap())
    }

    #[test]
    fn a_job_reads_as_kubectl_prints_it() {
        let mut job = json!({
            "metadata": {"name": "pi", "creationTimestamp": "2026-01-15T12:00:00Z"},
            "spec": {
                "completions": 5,
                "template": {"spec": {"containers": [{"name": "main", "image": "host"}]}},
                "selector": {"matchLabels": {"a": "b"}},
            },
            "status": {"startTime": "2026-01-15T12:00:10Z", "succeeded": 2},
        });
        let wanted = ["pi", "Running", "2/5", "2m20s", "2m30s", "main", "host", "a=b"];
        assert_eq!(row(&job), wanted);
        job["status"]["completionTime"] = json!("2026-01-15T12:01:10Z");
        job["status"]["conditions"] = json!([
            {"type": "SuccessCriteriaMet", "status": "True"},
            {"type": "Complete", "status": "True"},
        ]);
        assert_eq!(&row(&job)[1..4], ["Complete", "2/5", "60s"]);
    }

    #[test]
    fn states_have_an_order() {
        let with = |kinds: &[&str], deleted: bool| {
            let conditions: Vec<Value> =
                kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
            let mut job = json!({"status": {"conditions": conditions}, "metadata": {}});
            if deleted {
                job["metadata"]["deletionTimestamp"] = json!("2026-01-15T12:00:00Z");
            }
            state(&job)
        };
        assert_eq!(with(&[], false), "Running");
        assert_eq!(with(&["FailureTarget"], false), "FailureTarget");
        assert_eq!(with(&["FailureTarget", "Failed"], true), "Failed");
        assert_eq!(with(&["Suspended"], true), "Terminating");
        assert_eq!(with(&["Suspended"], false), "Suspended");
    }

    #[test]
    fn a_work_queue_has_no_number_of_completions() {
        let job = |parallelism: u32| json!({"spec": {"parallelism": parallelism}, "status": {}});
        assert_eq!(completions(&job(3)), "0/1 of 3");
        assert_eq!(completions(&job(1)), "0/1");
    }
}
