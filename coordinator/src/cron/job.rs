//! The Job that a CronJob makes for one of its times.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::zone::time_zone;

/// How many letters a Job's name has besides its CronJob's: a dash and the minute.
pub const JOB_NAME_SUFFIX: usize = 11;
/// The annotation that says for which time a Job was made.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The name of the Job for a time: one and the same whoever makes it, so that it is made once.
#[must_use]
pub fn job_name(cron_job: &str, scheduled: Timestamp) -> String {
    format!("{cron_job}-{}", scheduled.as_second() / 60)
}

/// The Job for a time.
#[must_use]
pub fn job_from_template(cron_job: &Value, scheduled: Timestamp) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let metadata = &cron_job["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let zone = cron_job["spec"]["timeZone"].as_str().map(time_zone);
    let zone = zone.and_then(Result::ok).unwrap_or(TimeZone::UTC);
    let map = |name: &str| -> Map<String, Value> {
        template["metadata"][name].as_object().cloned().unwrap_or_default()
    };
    let mut annotations = map("annotations");
    annotations.insert(SCHEDULED.to_owned(), json!(stamp(scheduled, zone)));
    let mut own = json!({
        "name": job_name(name, scheduled),
        "annotations": annotations,
        "ownerReferences": [{
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": name,
            "uid": metadata["uid"],
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    });
    let labels = map("labels");
    if !labels.is_empty() {
        own["labels"] = Value::Object(labels);
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": own, "spec": template["spec"]})
}

/// RFC 3339, with `Z` for UTC.
fn stamp(time: Timestamp, zone: TimeZone) -> String {
    let zoned = time.to_zoned(zone);
    let text = zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    match text.strip_suffix("+00:00") {
        Some(plain) => format!("{plain}Z"),
        None => text,
    }
}
