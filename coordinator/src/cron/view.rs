//! A CronJob and its Jobs as the plan sees them.

use jiff::Timestamp;
use serde_json::{Value, json};
use stint_common::time::format_seconds;

/// `concurrencyPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyPolicy {
    /// Jobs may run side by side.
    Allow,
    /// A Job that is due while another runs is left out.
    Forbid,
    /// A Job that is due takes the place of those that run.
    Replace,
}

/// What the plan needs to know of a CronJob.
#[derive(Clone, Debug, PartialEq)]
pub struct CronJob {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// `metadata.deletionTimestamp` is set.
    pub being_deleted: bool,
    /// `schedule`.
    pub schedule: String,
    /// `timeZone`.
    pub time_zone: Option<String>,
    /// `concurrencyPolicy`.
    pub policy: ConcurrencyPolicy,
    /// `suspend`.
    pub suspend: bool,
    /// `startingDeadlineSeconds`.
    pub starting_deadline: Option<i64>,
    /// `successfulJobsHistoryLimit`.
    pub keep_succeeded: Option<usize>,
    /// `failedJobsHistoryLimit`.
    pub keep_failed: Option<usize>,
    /// `status`.
    pub status: CronStatus,
}

/// `status` of a CronJob.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CronStatus {
    /// `active`: the Jobs that run.
    pub active: Vec<JobRef>,
    /// `lastScheduleTime`.
    pub last_schedule: Option<Timestamp>,
    /// `lastSuccessfulTime`.
    pub last_success: Option<Timestamp>,
}

/// One Job and no other of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRef {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion` when it was made.
    pub revision: String,
}

/// How a Job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Its condition Complete holds.
    Complete,
    /// Its condition Failed holds.
    Failed,
}

impl Finish {
    /// The condition's type.
    #[must_use]
    pub fn condition(self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::Failed => "Failed",
        }
    }
}

/// A Job that a CronJob made.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Which one.
    pub job: JobRef,
    /// How it ended, if it has.
    pub finish: Option<Finish>,
    /// `status.startTime`.
    pub started: Option<Timestamp>,
    /// `status.completionTime`.
    pub completed: Option<Timestamp>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn limit(value: &Value) -> Option<usize> {
    value.as_i64().map(|limit| usize::try_from(limit).unwrap_or(0))
}

impl CronJob {
    /// Reads a CronJob that was admitted.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let (metadata, spec) = (&object["metadata"], &object["spec"]);
        Self {
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            created: time(&metadata["creationTimestamp"]).unwrap_or_default(),
            being_deleted: metadata["deletionTimestamp"].is_string(),
            schedule: text(&spec["schedule"]),
            time_zone: spec["timeZone"].as_str().map(str::to_owned),
            policy: match spec["concurrencyPolicy"].as_str() {
                Some("Forbid") => ConcurrencyPolicy::Forbid,
                Some("Replace") => ConcurrencyPolicy::Replace,
                _ => ConcurrencyPolicy::Allow,
            },
            suspend: spec["suspend"] == true,
            starting_deadline: spec["startingDeadlineSeconds"].as_i64(),
            keep_succeeded: limit(&spec["successfulJobsHistoryLimit"]),
            keep_failed: limit(&spec["failedJobsHistoryLimit"]),
            status: CronStatus::read(&object["status"]),
        }
    }
}

impl CronStatus {
    /// Reads `status`.
    #[must_use]
    pub fn read(status: &Value) -> Self {
        let active = status["active"].as_array().into_iter().flatten();
        Self {
            active: active.map(JobRef::read_reference).collect(),
            last_schedule: time(&status["lastScheduleTime"]),
            last_success: time(&status["lastSuccessfulTime"]),
        }
    }

    /// `status` as Kubernetes writes it.
    #[must_use]
    pub fn write(&self) -> Value {
        let mut status = json!({});
        if !self.active.is_empty() {
            status["active"] = self.active.iter().map(JobRef::write_reference).collect();
        }
        for (name, time) in
            [("lastScheduleTime", self.last_schedule), ("lastSuccessfulTime", self.last_success)]
        {
            if let Some(time) = time {
                status[name] = Value::from(format_seconds(time));
            }
        }
        status
    }

    /// Whether a Job is among those that run.
    #[must_use]
    pub fn has(&self, uid: &str) -> bool {
        self.active.iter().any(|job| job.uid == uid)
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.active.retain(|job| job.uid != uid);
    }
}

impl JobRef {
    /// Of a Job.
    #[must_use]
    pub fn of(job: &Value) -> Self {
        let metadata = &job["metadata"];
        Self {
            name: text(&metadata["name"]),
            namespace: text(&metadata["namespace"]),
            uid: text(&metadata["uid"]),
            revision: text(&metadata["resourceVersion"]),
        }
    }

    fn read_reference(reference: &Value) -> Self {
        Self {
            name: text(&reference["name"]),
            namespace: text(&reference["namespace"]),
            uid: text(&reference["uid"]),
            revision: text(&reference["resourceVersion"]),
        }
    }

    fn write_reference(&self) -> Value {
        let mut reference = json!({
            "kind": "Job",
            "name": self.name,
            "uid": self.uid,
            "apiVersion": "batch/v1",
        });
        for (name, text) in [("namespace", &self.namespace), ("resourceVersion", &self.revision)] {
            if !text.is_empty() {
                reference[name] = Value::from(text.as_str());
            }
        }
        reference
    }
}

impl Child {
    /// Reads a Job.
    #[must_use]
    pub fn read(job: &Value) -> Self {
        let status = &job["status"];
        let holds = |kind: &str| {
            let conditions = status["conditions"].as_array();
            conditions.into_iter().flatten().any(|it| it["type"] == kind && it["status"] == "True")
        };
        let finish = [Finish::Complete, Finish::Failed];
        Self {
            job: JobRef::of(job),
            finish: finish.into_iter().find(|finish| holds(finish.condition())),
            started: time(&status["startTime"]),
            completed: time(&status["completionTime"]),
        }
    }
}
