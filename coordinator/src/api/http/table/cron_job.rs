//! Columns of CronJobs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, Columns, Head, NAME, age, containers, name, or_none, since_time};

pub(super) static COLUMNS: Columns = Columns {
    heads: &[
        NAME,
        Head::text("Schedule", "When Jobs are made."),
        Head::text("Timezone", "Whose time the schedule means."),
        Head::text("Suspend", "Whether no Jobs are made."),
        Head::text("Active", "How many of its Jobs run."),
        Head::text("Last Schedule", "The time since it last made a Job."),
        AGE,
        Head::wide("Containers", "The names of the template's containers."),
        Head::wide("Images", "The images of the template's containers."),
        Head::wide("Selector", "Which pods are its."),
    ],
    cells,
    conditions: |_| None,
};

fn cells(cron: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&cron["spec"], &cron["status"]);
    let [names, images] = containers(&spec["jobTemplate"]["spec"]["template"]["spec"]);
    let last = &status["lastScheduleTime"];
    let last = if last.is_null() { "<none>".to_owned() } else { since_time(last, now) };
    vec![
        name(cron),
        spec["schedule"].clone(),
        or_none(&spec["timeZone"]),
        json!(if spec["suspend"] == true { "True" } else { "False" }),
        json!(status["active"].as_array().map_or(0, Vec::len)),
        json!(last),
        age(cron, now),
        names,
        images,
        json!("<none>"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_job_reads_as_kubectl_prints_it() {
        let cron = json!({
            "metadata": {"name": "tick", "creationTimestamp": "2026-01-15T12:00:00Z"},
            "spec": {"schedule": "* * * * *", "suspend": false},
            "status": {"active": [{}], "lastScheduleTime": "2026-01-15T12:02:00Z"},
        });
        let row = cells(&cron, "2026-01-15T12:02:30Z".parse().unwrap());
        assert_eq!(row[..4], ["tick", "* * * * *", "<none>", "False"]);
        assert_eq!(row[4..7], [json!(1), json!("30s"), json!("2m30s")]);
    }
}
