//! One object in full, for people.

use jiff::Timestamp;
use serde_json::Value;

use super::age::age;
use super::job::JobView;
use super::pod::PodView;

/// Column at which values begin.
const INDENT: usize = 18;

/// A Job, its template in short, its conditions and its events.
#[must_use]
pub fn job(job: &Value, events: &[Value], now: Timestamp) -> String {
    let view = JobView(job);
    let (metadata, spec, status) = (&job["metadata"], &job["spec"], &job["status"]);
    let mut text = head(metadata);
    line(&mut text, "Status", view.status());
    line(&mut text, "Completion Mode", &plain(&spec["completionMode"]));
    line(&mut text, "Completions", &plain(&spec["completions"]));
    line(&mut text, "Parallelism", &plain(&spec["parallelism"]));
    line(&mut text, "Backoff Limit", &plain(&spec["backoffLimit"]));
    for (label, field) in [
        ("Per Index", "backoffLimitPerIndex"),
        ("Max Failed", "maxFailedIndexes"),
        ("Deadline Seconds", "activeDeadlineSeconds"),
        ("TTL Seconds", "ttlSecondsAfterFinished"),
    ] {
        optional(&mut text, label, &spec[field]);
    }
    optional(&mut text, "Started At", &status["startTime"]);
    optional(&mut text, "Completed At", &status["completionTime"]);
    line(&mut text, "Duration", &view.duration(now));
    let counts = format!(
        "{} active ({} ready), {} succeeded, {} failed, {} terminating",
        view.count("active"),
        view.count("ready"),
        view.count("succeeded"),
        view.count("failed"),
        view.count("terminating"),
    );
    line(&mut text, "Pods", &counts);
    optional(&mut text, "Completed Indexes", &status["completedIndexes"]);
    optional(&mut text, "Failed Indexes", &status["failedIndexes"]);
    text.push_str("Pod Template:\n");
    containers(&mut text, &spec["template"]["spec"]);
    conditions(&mut text, status);
    text.push_str(&self::events(events, now));
    text
}

/// A pod, its containers' states, its conditions and its events.
#[must_use]
pub fn pod(pod: &Value, events: &[Value], now: Timestamp) -> String {
    let view = PodView(pod);
    let mut text = head(&pod["metadata"]);
    let owner = &pod["metadata"]["ownerReferences"][0];
    if let (Some(kind), Some(name)) = (owner["kind"].as_str(), owner["name"].as_str()) {
        line(&mut text, "Controlled By", &format!("{kind}/{name}"));
    }
    line(&mut text, "Node", view.node().unwrap_or("<none>"));
    let [_, index, attempt] = <[String; 3]>::try_from(view.wide()).unwrap_or_default();
    line(&mut text, "Index", &index);
    line(&mut text, "Attempt", &attempt);
    line(&mut text, "Status", &view.status());
    optional(&mut text, "Reason", &pod["status"]["reason"]);
    optional(&mut text, "Message", &pod["status"]["message"]);
    optional(&mut text, "Started At", &pod["status"]["startTime"]);
    text.push_str("Containers:\n");
    containers(&mut text, &pod["spec"]);
    for container in view.init_containers().chain(view.containers()) {
        state(&mut text, container);
    }
    conditions(&mut text, &pod["status"]);
    text.push_str(&self::events(events, now));
    text
}

fn head(metadata: &Value) -> String {
    let mut text = String::new();
    line(&mut text, "Name", &plain(&metadata["name"]));
    line(&mut text, "Namespace", &plain(&metadata["namespace"]));
    line(&mut text, "UID", &plain(&metadata["uid"]));
    for (label, field) in [("Labels", "labels"), ("Annotations", "annotations")] {
        let entries = metadata[field].as_object().into_iter().flatten();
        for (number, (key, value)) in entries.enumerate() {
            let label = if number == 0 { label } else { "" };
            line(&mut text, label, &format!("{key}={}", plain(value)));
        }
    }
    optional(&mut text, "Created At", &metadata["creationTimestamp"]);
    text
}

fn containers(text: &mut String, pod_spec: &Value) {
    for list in ["initContainers", "containers"] {
        for container in pod_spec[list].as_array().into_iter().flatten() {
            text.push_str(&format!("  {}:\n", plain(&container["name"])));
            line(text, "    Image", &plain(&container["image"]));
            for (label, field) in [("    Command", "command"), ("    Args", "args")] {
                let words = container[field].as_array().into_iter().flatten();
                let words: Vec<String> = words.map(plain).collect();
                if !words.is_empty() {
                    line(text, label, &words.join(" "));
                }
            }
            for variable in container["env"].as_array().into_iter().flatten() {
                let name = plain(&variable["name"]);
                let value = variable["value"].as_str().unwrap_or("(from elsewhere)");
                line(text, "    Env", &format!("{name}={value}"));
            }
        }
    }
}

fn state(text: &mut String, container: &Value) {
    let Some((word, details)) =
        container["state"].as_object().and_then(|state| state.iter().next())
    else {
        return;
    };
    let mut said = word.clone();
    for field in ["reason", "exitCode", "signal", "startedAt", "finishedAt", "message"] {
        if !details[field].is_null() {
            said.push_str(&format!(", {field} {}", plain(&details[field])));
        }
    }
    line(text, &format!("  State of {}", plain(&container["name"])), &said);
}

fn conditions(text: &mut String, status: &Value) {
    let Some(conditions) = status["conditions"].as_array() else { return };
    text.push_str("Conditions:\n");
    for condition in conditions {
        let said = [&condition["status"], &condition["reason"], &condition["message"]];
        let said: Vec<String> =
            said.map(plain).into_iter().filter(|word| word != "<none>").collect();
        line(text, &format!("  {}", plain(&condition["type"])), &said.join(" "));
    }
}

fn events(events: &[Value], now: Timestamp) -> String {
    if events.is_empty() {
        return String::new();
    }
    let mut text = "Events:\n".to_owned();
    for event in events {
        let times =
            [&event["lastTimestamp"], &event["eventTime"], &event["metadata"]["creationTimestamp"]];
        let when = times.into_iter().find(|time| time.is_string()).unwrap_or(&Value::Null);
        let label = format!("  {} {}", age(when, now), plain(&event["reason"]));
        line(&mut text, &label, &plain(&event["message"]));
    }
    text
}

fn optional(text: &mut String, label: &str, value: &Value) {
    if !value.is_null() && value != "" {
        line(text, label, &plain(value));
    }
}

fn line(text: &mut String, label: &str, value: &str) {
    let label = if label.trim().is_empty() { label.to_owned() } else { format!("{label}:") };
    text.push_str(format!("{label:INDENT$} {value}").trim_end());
    text.push('\n');
}

/// A value without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    #[test]
    fn a_job_is_told_in_full() {
        let object = json!({
            "metadata": {"name": "pi", "namespace": "default", "uid": "u", "labels": {"a": "b", "c": "d"}},
            "spec": {"completions": 2, "parallelism": 1, "backoffLimit": 6, "completionMode": "Indexed",
                "template": {"spec": {"containers": [{"name": "main", "image": "host",
                    "command": ["sh", "-c", "true"], "env": [{"name": "A", "value": "1"}]}]}}},
            "status": {"succeeded": 2, "completedIndexes": "0,1",
                "conditions": [{"type": "Complete", "status": "True", "reason": "Reached"}]},
        });
        let events = [json!({"reason": "SuccessfulCreate", "message": "Created pod: pi-0-x",
            "lastTimestamp": "2026-01-01T00:00:30Z"})];
        let expect = "\
Name:              pi
Namespace:         default
UID:               u
Labels:            a=b
                   c=d
Status:            Complete
Completion Mode:   Indexed
Completions:       2
Parallelism:       1
Backoff Limit:     6
Duration:
Pods:              0 active (0 ready), 2 succeeded, 0 failed, 0 terminating
Completed Indexes: 0,1
Pod Template:
  main:
    Image:         host
    Command:       sh -c true
    Env:           A=1
Conditions:
  Complete:        True Reached
Events:
  30s SuccessfulCreate: Created pod: pi-0-x
";
        assert_eq!(job(&object, &events, now()), expect);
    }

    #[test]
    fn a_pods_containers_say_how_they_ended() {
        let object = json!({
            "metadata": {"name": "pi-x", "namespace": "default", "uid": "u",
                "ownerReferences": [{"kind": "Job", "name": "pi"}]},
            "spec": {"nodeName": "vm-1", "containers": [{"name": "main", "image": "host"}]},
            "status": {"phase": "Failed", "containerStatuses": [{"name": "main",
                "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]},
        });
        let text = pod(&object, &[], now());
        assert!(text.contains("Controlled By:     Job/pi\nNode:              vm-1\n"), "{text}");
        assert!(
            text.contains("  State of main:   terminated, reason Error, exitCode 3\n"),
            "{text}"
        );
    }
}
