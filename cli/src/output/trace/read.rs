//! From objects to what a trace needs of them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use stint_common::annotations::TIMES;
use stint_common::id::JobUid;
use stint_common::time::since;
use stint_common::trace::job_span_id;

use crate::output::age::time;
use crate::output::failure::Failure;
use crate::output::job::{End, JobView};
use crate::output::pod::PodView;

/// How a pod ended, if it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has not ended.
    Open,
    /// All its containers ended with 0.
    Succeeded,
    /// It did not.
    Failed,
}

/// What is known of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTrace {
    /// The place that it fills in its Job.
    pub slot: Option<u32>,
    /// Its completion index.
    pub index: Option<u32>,
    /// Which attempt it was.
    pub attempt: u32,
    /// What it is called where there are no indexes.
    pub name: String,
    /// The worker that had it.
    pub node: Option<String>,
    /// When its work item was published.
    pub created: Timestamp,
    /// When a worker took it.
    pub claimed: Option<Timestamp>,
    /// When its first process started.
    pub started: Option<Timestamp>,
    /// When its last process ended.
    pub finished: Option<Timestamp>,
    /// How it ended.
    pub fate: Fate,
    /// Why it failed.
    pub what: Option<String>,
    /// How often its containers were started again.
    pub restarts: u64,
}

/// What is known of the Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTrace {
    /// `namespace/name`.
    pub name: String,
    /// `kubectl`'s word for where it is.
    pub status: &'static str,
    /// Why it failed, or is held up.
    pub why: Option<String>,
    /// When it was submitted.
    pub created: Timestamp,
    /// When it ended, or now.
    pub until: Timestamp,
    /// Whether it has ended.
    pub over: bool,
    /// Its trace, if it is its own.
    pub trace: Option<String>,
    /// The id of its span.
    pub span: Option<String>,
    /// Counters of its status.
    pub succeeded: u64,
    /// As `succeeded`.
    pub failed: u64,
}

impl PodTrace {
    /// Reads a pod; `None` of one that has no time at all.
    #[must_use]
    pub fn read(pod: &Value) -> Option<Self> {
        let view = PodView(pod);
        let said = pod["metadata"]["annotations"][TIMES].as_str().unwrap_or_default();
        let exact = |name: &str| {
            let mut said = said.split(' ').filter_map(|word| word.split_once('='));
            said.find(|(known, _)| *known == name).and_then(|(_, at)| at.parse().ok())
        };
        let status = &pod["status"];
        let ended = |field: &'static str| {
            let all = view.containers().chain(view.init_containers());
            all.filter_map(move |container| {
                let state = &container["state"];
                time(&state["terminated"][field]).or_else(|| time(&state["running"][field]))
            })
        };
        let fate = match view.phase() {
            "Succeeded" => Fate::Succeeded,
            "Failed" => Fate::Failed,
            _ => Fate::Open,
        };
        let over = fate != Fate::Open;
        Some(Self {
            slot: view.id().map(|id| id.slot.0),
            index: view.index(),
            attempt: view.attempt().unwrap_or(0),
            name: view.name().to_owned(),
            node: view.node().map(str::to_owned),
            created: exact("created").or_else(|| time(&pod["metadata"]["creationTimestamp"]))?,
            claimed: exact("claimed").or_else(|| time(&status["startTime"])),
            started: exact("started").or_else(|| ended("startedAt").min()),
            finished: exact("finished").or_else(|| ended("finishedAt").max()).filter(|_| over),
            fate,
            what: (fate == Fate::Failed).then(|| Failure::read(view).what),
            restarts: view.containers().filter_map(|it| it["restartCount"].as_u64()).sum(),
        })
    }

    /// How long it waited for a worker.
    #[must_use]
    pub fn queued(&self) -> Option<Duration> {
        self.claimed.map(|claimed| since(claimed, self.created))
    }

    /// How long its processes ran, up to `now` if they still do.
    #[must_use]
    pub fn ran(&self, now: Timestamp) -> Option<Duration> {
        let end = match self.fate {
            Fate::Open => now,
            Fate::Succeeded | Fate::Failed => self.finished?,
        };
        self.started.map(|started| since(end, started))
    }

    /// `3`, or its name.
    #[must_use]
    pub fn place(&self) -> String {
        self.index.map_or_else(|| self.name.clone(), |index| index.to_string())
    }
}

impl JobTrace {
    /// Reads a Job. The end is that of its last pod where its own, in whole seconds, lies before.
    #[must_use]
    pub fn read(job: &Value, pods: &[PodTrace], now: Timestamp) -> Option<Self> {
        let view = JobView(job);
        let end = view.end();
        let condition = view.condition("Complete").or_else(|| view.condition("Failed"));
        let at = condition.and_then(|condition| time(&condition["lastTransitionTime"]));
        let last = pods.iter().filter_map(|pod| pod.finished).max();
        let over = end.is_some();
        let until = if over { at.max(last).unwrap_or(now) } else { now };
        let uid: Option<JobUid> = view.uid().parse().ok();
        let first = pods.iter().map(|pod| pod.created).min();
        let created = time(&job["metadata"]["creationTimestamp"])?;
        Some(Self {
            name: format!("{}/{}", view.namespace(), view.name()),
            status: view.status(),
            why: match end {
                Some(End::Failed(reason, message)) => Some(format!("{reason}: {message}")),
                Some(End::Complete) | None => None,
            },
            // Whole seconds, cut: nothing can be said of what lies before the first pod but that.
            created: first.map_or(created, |first| {
                if since(first, created).as_secs() == 0 { first } else { created }
            }),
            until,
            over,
            trace: uid.map(|uid| format!("{:032x}", uid.0.as_u128())),
            span: uid.map(|uid| format!("{:016x}", job_span_id(uid))),
            succeeded: view.count("succeeded"),
            failed: view.count("failed"),
        })
    }
}

/// All of it for programs.
#[must_use]
pub fn json(job: &JobTrace, pods: &[PodTrace], path: &[super::Step]) -> String {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let pod = |pod: &PodTrace| {
        json!({
            "index": pod.index, "attempt": pod.attempt, "name": pod.name, "node": pod.node,
            "created": pod.created, "claimed": pod.claimed, "started": pod.started,
            "finished": pod.finished, "restarts": pod.restarts, "error": pod.what,
            "outcome": match pod.fate {
                Fate::Open => "open",
                Fate::Succeeded => "succeeded",
                Fate::Failed => "failed",
            },
            "queueWaitMs": pod.queued().map(millis),
            "runMs": pod.ran(job.until).map(millis),
        })
    };
    let steps = path.iter().map(|step| {
        json!({"name": pods[step.pod].name, "waitedMs": millis(step.waited),
            "ranMs": millis(step.ran)})
    });
    let all = json!({
        "job": job.name, "status": job.status, "why": job.why, "trace": job.trace,
        "span": job.span, "created": job.created, "until": job.until, "over": job.over,
        "criticalPath": steps.collect::<Vec<_>>(),
        "pods": pods.iter().map(pod).collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_times_come_before_whole_seconds() {
        let mut pod = json!({
            "metadata": {"name": "a-0-x", "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"batch.kubernetes.io/job-completion-index": "0"}},
            "spec": {"nodeName": "w"},
            "status": {"phase": "Failed", "startTime": "2026-01-01T00:00:01Z",
                "containerStatuses": [{"name": "main", "restartCount": 2, "state": {"terminated": {
                    "exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:02Z",
                    "finishedAt": "2026-01-01T00:00:05Z"}}}]},
        });
        let read = PodTrace::read(&pod).unwrap();
        let times = |pod: &PodTrace| {
            let queued = pod.queued().map(|it| it.as_millis());
            (queued, pod.ran(Timestamp::MAX).map(|it| it.as_millis()))
        };
        assert_eq!(times(&read), (Some(1000), Some(3000)));
        assert_eq!((read.what.as_deref(), read.restarts), (Some("exit code 3"), 2));
        pod["metadata"]["annotations"][TIMES] = json!(
            "created=2026-01-01T00:00:00.1Z claimed=2026-01-01T00:00:00.15Z \
             started=2026-01-01T00:00:00.2Z finished=2026-01-01T00:00:00.7Z"
        );
        assert_eq!(times(&PodTrace::read(&pod).unwrap()), (Some(50), Some(500)));
        pod["status"]["phase"] = json!("Running");
        assert_eq!(PodTrace::read(&pod).unwrap().finished, None);
    }
}
