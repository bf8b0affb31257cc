//! Carrying a case out: time passes, pods report, the Job is planned for until it settles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job as ApiJob;
use serde_json::{Value, json};
use stint_common::id::{Attempt, JobUid, ObjectRef, PodId, Slot};
use stint_common::pod_meta::{
    INDEX_FAILURE_COUNT, INDEX_IGNORED_FAILURE_COUNT, PodSource, pod_metadata,
};
use stint_common::time;
use stint_common::wire::IndexFailures;
use stint_coordinator::admission::defaults;
use stint_coordinator::job::{
    Change, Condition, ConditionStatus, ContainerExit, Deletion, EndFact, Event, Job, JobSpec,
    JobStatus, Ledger, PodCondition, PodFact, condition, plan,
};

use super::case::{Case, Expect, Other, Step};

/// What is told of a step, in the words of [`Expect`].
#[derive(Default)]
struct Seen {
    issued: Vec<String>,
    failure_counts: Vec<String>,
    events: Vec<String>,
    pod_events: Vec<String>,
    writes: usize,
}

struct Stage {
    start: Timestamp,
    now: Timestamp,
    manifest: Value,
    job: Job,
    deletion: Option<Deletion>,
    others: BTreeMap<String, Job>,
    has_followers: bool,
    facts: Vec<(Slot, Attempt, PodFact)>,
    published: BTreeSet<(Slot, Attempt)>,
    stopped: BTreeSet<(Slot, Attempt)>,
    conditions: Vec<String>,
}

impl Stage {
    fn new(case: &Case) -> Self {
        let start: Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
        let mut spec = json!({"template": {"spec": {"restartPolicy": "Never", "containers": []}}});
        merge(&mut spec, &case.spec);
        let metadata = json!({"name": "job", "annotations": case.annotations});
        let manifest = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec,
        });
        let ledger = Ledger::of(&self::spec(&manifest));
        Self {
            start,
            now: start,
            job: restore(&manifest, JobStatus::default(), ledger, None),
            manifest,
            deletion: None,
            others: BTreeMap::new(),
            has_followers: false,
            facts: Vec::new(),
            published: BTreeSet::new(),
            stopped: BTreeSet::new(),
            conditions: Vec::new(),
        }
    }

    /// The coordinator restarts: what it knows is the record, and then every fact again.
    fn restart(&mut self) {
        let status = serde_json::to_string(self.job.status()).unwrap();
        let ledger = serde_json::to_string(self.job.ledger()).unwrap();
        let (status, ledger) =
            (serde_json::from_str(&status).unwrap(), serde_json::from_str(&ledger).unwrap());
        self.job = restore(&self.manifest, status, ledger, self.deletion);
        self.job.set_has_followers(self.has_followers);
        for (slot, attempt, fact) in self.facts.clone() {
            let _ = self.job.observe(slot, attempt, fact);
        }
    }

    fn take(&mut self, step: &Step) -> Seen {
        self.now = self.after(&step.at);
        if let Some(patch) = &step.spec {
            merge(&mut self.manifest["spec"], patch);
            self.job.set_spec(spec(&self.manifest));
        }
        if let Some(patch) = &step.annotations {
            merge(&mut self.manifest["metadata"]["annotations"], patch);
            self.job.set_spec(spec(&self.manifest));
        }
        for (name, state) in &step.jobs {
            match other(name, *state, self.now) {
                Some(job) => drop(self.others.insert(name.clone(), job)),
                None => drop(self.others.remove(name)),
            }
        }
        if let Some(has_followers) = step.followers {
            self.has_followers = has_followers;
            self.job.set_has_followers(has_followers);
        }
        if let Some(waits) = step.delete {
            self.deletion = Some(waits.deletion(self.now));
            self.job.set_deletion(self.deletion);
        }
        for line in &step.pods {
            self.report(line);
        }
        let mut seen = Seen::default();
        while let Some(change) = self.write(&mut seen) {
            assert!(seen.writes < 50, "it does not settle: {change:?}");
            if step.once {
                break;
            }
        }
        seen
    }

    fn write(&mut self, seen: &mut Seen) -> Option<Change> {
        self.job.look_at_dependencies(|name| Some((self.others.get(name)?, true)));
        let plan = plan(&self.job, self.now);
        for event in &plan.events {
            let single = ["SuccessfulCreate", "SuccessfulDelete"].contains(&event.reason.as_str());
            let list = if single { &mut seen.pod_events } else { &mut seen.events };
            list.push(event_text(event));
        }
        let change = plan.change?;
        self.job.apply(&change);
        seen.writes += 1;
        seen.issued.extend(change.issues.iter().map(|key| pod_text(*key)));
        seen.failure_counts.extend(change.issues.iter().map(|key| self.failure_counts(*key)));
        Some(change)
    }

    /// What the API would annotate a pod with that was just issued.
    fn failure_counts(&self, (slot, attempt): (Slot, Attempt)) -> String {
        let state = self.job.ledger().slot(slot);
        let failures = IndexFailures { counted: state.failures, ignored: state.ignored };
        let source = PodSource { job_name: "job", indexed: true, template: &Value::Null };
        let pod = PodId { job: self.job.uid(), slot, attempt };
        let annotations = pod_metadata(source, pod, Some(failures)).annotations;
        let counted = &annotations[INDEX_FAILURE_COUNT];
        match annotations.get(INDEX_IGNORED_FAILURE_COUNT) {
            Some(ignored) => format!("{counted} + {ignored}"),
            None => counted.clone(),
        }
    }

    /// `0-4 succeeded`, `3/1 failed`, `0 running`, `0 ready`, `0 restarted 2`, `0 deleted 30`,
    /// `0 exited 42`, `0 exited main=1 helper=3`, `0 disrupted`, `0 condition Ready=False`,
    /// `0 finished 5s failed`.
    fn report(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (pods, attempt) = match words[0].split_once('/') {
            Some((pods, attempt)) => (pods, Some(Attempt(attempt.parse().unwrap()))),
            None => (words[0], None),
        };
        let (first, last) = pods.split_once('-').unwrap_or((pods, pods));
        for slot in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
            let slot = Slot(slot);
            let latest = Attempt(self.job.attempts(slot).saturating_sub(1));
            let attempt = attempt.unwrap_or(latest);
            let fact = self.fact(&words[1..]);
            self.facts.push((slot, attempt, fact.clone()));
            let _ = self.job.observe(slot, attempt, fact);
        }
    }

    fn fact(&self, words: &[&str]) -> PodFact {
        let number = |place: usize| words.get(place).map_or(0, |word| word.parse().unwrap());
        let running = |ready, restarts| PodFact::Running { ready, restarts };
        match words[0] {
            "claimed" => PodFact::Claimed,
            "running" => running(false, 0),
            "ready" => running(true, 0),
            "restarted" => running(false, number(1)),
            "deleted" => {
                PodFact::StopOrdered { grace_seconds: number(1), at: self.now, evicted: false }
            }
            "evicted" => {
                PodFact::StopOrdered { grace_seconds: number(1), at: self.now, evicted: true }
            }
            "succeeded" => ended(true, self.now, 0),
            "failed" => ended(false, self.now, 1),
            "exited" => failed(self.now, &words[1..], None),
            "disrupted" => failed(self.now, &["143"], Some(("DisruptionTarget", "True"))),
            "condition" => failed(self.now, &["1"], words[1].split_once('=')),
            "finished" => ended(words[2] == "succeeded", self.after(words[1]), 1),
            word => panic!("no such report: {word}"),
        }
    }

    fn after(&self, text: &str) -> Timestamp {
        let seconds: u64 = text.strip_suffix('s').unwrap().parse().unwrap();
        time::after(self.start, Duration::from_secs(seconds))
    }

    fn since_start(&self, at: Timestamp) -> String {
        format!("{}s", at.duration_since(self.start).as_secs())
    }

    /// Differences between what is expected of a step and what came of it.
    fn compare(&mut self, expect: &Expect, seen: &Seen) -> String {
        let mut diff = String::new();
        let mut check = |what: &str, expect: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
            let (expect, found) = (format!("{expect:?}"), format!("{found:?}"));
            if expect != found {
                writeln!(diff, "    {what}\n      expected {expect}\n      found    {found}")
                    .unwrap();
            }
        };
        let plan = plan(&self.job, self.now);
        check("issued", &expect.issued, &seen.issued);
        check("events", &expect.events, &seen.events);
        if let Some(events) = &expect.pod_events {
            check("podEvents", events, &in_a_row(&seen.pod_events));
        }
        let published = self.newly_published();
        check("published", expect.published.as_ref().unwrap_or(&expect.issued), &published);
        check("stopped", &expect.stopped, &self.newly_stopped());
        let conditions = conditions(self.job.status());
        check("conditions", expect.conditions.as_ref().unwrap_or(&self.conditions), &conditions);
        if let Some(status) = &expect.status {
            check("status", status, &self.status());
        }
        if let Some(messages) = &expect.messages {
            check("messages", messages, &messages_of(self.job.status()));
        }
        if let Some(shown) = &expect.shown {
            check("shown", shown, &self.job.status().observed);
        }
        if let Some(counts) = &expect.failure_counts {
            check("failureCounts", counts, &seen.failure_counts);
        }
        if let Some(wake) = &expect.wake {
            let found = plan.wake_at.map_or("never".to_owned(), |at| self.since_start(at));
            check("wake", wake, &found);
        }
        if let Some(notes) = &expect.notes {
            check("notes", notes, &plan.notes.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        if let Some(writes) = &expect.writes {
            check("writes", writes, &seen.writes);
        }
        let dispose = plan.dispose.map(|dispose| format!("{dispose:?}"));
        check("dispose", &expect.dispose, &dispose);
        self.conditions = conditions;
        diff
    }

    fn newly_published(&mut self) -> Vec<String> {
        let mut taken = Vec::new();
        self.job.take_publishable(usize::MAX, &mut taken);
        taken.into_iter().filter(|key| self.published.insert(*key)).map(pod_text).collect()
    }

    fn newly_stopped(&mut self) -> Vec<String> {
        let stopping: Vec<_> = self.job.stopping().map(|pod| (pod.slot, pod.attempt)).collect();
        stopping.into_iter().filter(|key| self.stopped.insert(*key)).map(pod_text).collect()
    }

    fn status(&self) -> BTreeMap<String, Value> {
        let status = self.job.status();
        let times = [("startTime", status.start_time), ("completionTime", status.completion_time)];
        let times =
            times.into_iter().filter_map(|(name, at)| Some((name, json!(self.since_start(at?)))));
        let numbers = [
            ("active", status.active),
            ("ready", status.ready),
            ("terminating", status.terminating),
            ("succeeded", status.succeeded),
            ("failed", status.failed),
        ];
        let numbers = numbers.into_iter().filter(|(_, number)| *number > 0);
        let numbers = numbers.map(|(name, number)| (name, json!(number)));
        let lists = [
            ("uncountedSucceeded", &status.uncounted_succeeded),
            ("uncountedFailed", &status.uncounted_failed),
        ];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let lists = lists.map(|(name, list)| {
            (name, json!(list.iter().map(|key| pod_text(*key)).collect::<Vec<_>>()))
        });
        let mut all: BTreeMap<String, Value> = times
            .chain(numbers)
            .chain(lists)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if self.job.spec().indexed && !self.job.ledger().succeeded.is_empty() {
            all.insert(
                "completedIndexes".to_owned(),
                json!(self.job.ledger().succeeded.to_string()),
            );
        }
        // Kubernetes tells absent from empty: it is there whenever there is a limit per index.
        if self.job.spec().backoff_limit_per_index.is_some() {
            let failed = json!(self.job.ledger().failed.to_string());
            all.insert("failedIndexes".to_owned(), failed);
        }
        all
    }
}

fn ended(succeeded: bool, finished_at: Timestamp, code: i32) -> PodFact {
    let exits = vec![ContainerExit { container: "main".to_owned(), code }];
    PodFact::Ended(EndFact { succeeded, finished_at, exits, conditions: Vec::new() })
}

/// `42`, or `main=42 helper=0`.
fn failed(at: Timestamp, codes: &[&str], condition: Option<(&str, &str)>) -> PodFact {
    let exits = codes.iter().map(|text| {
        let (container, code) = text.split_once('=').unwrap_or(("main", text));
        ContainerExit { container: container.to_owned(), code: code.parse().unwrap() }
    });
    let conditions = condition.into_iter().map(|(kind, status)| PodCondition {
        kind: kind.to_owned().into(),
        status: ConditionStatus::parse(status).unwrap(),
    });
    PodFact::Ended(EndFact {
        succeeded: false,
        finished_at: at,
        exits: exits.collect(),
        conditions: conditions.collect(),
    })
}

/// Another Job of the namespace.
fn other(name: &str, state: Other, now: Timestamp) -> Option<Job> {
    let ends = |kind| vec![Condition::new(kind, true, "", "", now)];
    let conditions = match state {
        Other::Gone => return None,
        Other::Running | Other::WaitsForThisOne => Vec::new(),
        Other::Complete => ends(condition::COMPLETE),
        Other::Failed => ends(condition::FAILED),
    };
    let waits = matches!(state, Other::WaitsForThisOne);
    let depends_on = if waits { vec!["job".to_owned()] } else { Vec::new() };
    let spec = JobSpec { depends_on, ..JobSpec::default() };
    let object = ObjectRef { namespace: "default".to_owned(), name: name.to_owned() };
    let status = JobStatus { conditions, ..JobStatus::default() };
    let uid = JobUid(uuid::Uuid::from_u128(2));
    Some(Job::restore(uid, object, spec, status, Ledger::default(), None))
}

fn restore(manifest: &Value, status: JobStatus, ledger: Ledger, deletion: Option<Deletion>) -> Job {
    let object = ObjectRef { namespace: "default".to_owned(), name: "job".to_owned() };
    let uid = JobUid(uuid::Uuid::from_u128(1));
    Job::restore(uid, object, spec(manifest), status, ledger, deletion)
}

/// The manifest as admission would store it: with its defaults.
fn spec(manifest: &Value) -> JobSpec {
    let mut manifest = manifest.clone();
    defaults::apply(&mut manifest);
    let job: ApiJob = serde_json::from_value(manifest).unwrap();
    JobSpec::from_job(&job)
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

fn event_text(event: &Event) -> String {
    let Event { reason, message, count, .. } = event;
    let combined = if *count > 1 { format!(" ({count})") } else { String::new() };
    format!("{reason}: {}{combined}", without_pod(message))
}

/// Texts, each with how often it comes in a row.
fn in_a_row(texts: &[String]) -> Vec<String> {
    let runs = texts.chunk_by(|one, other| one == other);
    runs.map(|run| format!("{} x {}", run.len(), run[0])).collect()
}

fn pod_text((slot, attempt): (Slot, Attempt)) -> String {
    format!("{slot}/{attempt}")
}

fn conditions(status: &JobStatus) -> Vec<String> {
    let text = |kind: &str, status, reason: &str| match status {
        true => format!("{kind} {reason}"),
        false => format!("{kind}=False {reason}"),
    };
    status.conditions.iter().map(|found| text(&found.kind, found.status, &found.reason)).collect()
}

fn messages_of(status: &JobStatus) -> Vec<String> {
    status.conditions.iter().map(|found| without_pod(&found.message)).collect()
}

/// A message with `POD` for a pod's name, which is derived from its Job's uid.
fn without_pod(message: &str) -> String {
    let words = message.split(' ');
    let words = words.map(|word| match word {
        word if word.starts_with("default/") => "default/POD",
        word if word.starts_with("job-") => "POD",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(super) fn run(case: &Case, restarts: bool) -> String {
    let mut stage = Stage::new(case);
    let mut report = String::new();
    for (number, step) in case.steps.iter().enumerate() {
        if restarts {
            stage.restart();
        }
        let seen = stage.take(step);
        let diff = stage.compare(&step.expect, &seen);
        if !diff.is_empty() {
            let at = &step.at;
            writeln!(report, "  step {} at {at}, restarts: {restarts}\n{diff}", number + 1)
                .unwrap();
        }
    }
    report
}
