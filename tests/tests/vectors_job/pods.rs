//! Kubernetes' pods as what Stint knows of pods: a record of attempts, and facts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use stint_common::id::{Attempt, JobUid, ObjectRef, Slot};
use stint_common::index_set::IndexSet;
use stint_common::time;
use stint_coordinator::job::{
    BackoffRecord, Condition, ConditionStatus, ContainerExit, Deletion, EndFact, FailureAction,
    Job, JobSpec, JobStatus, Ledger, PodCondition, PodFact, SlotState,
};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const TRACKING: &str = "batch.kubernetes.io/job-tracking";

/// Why a set of pods cannot be told to Stint.
pub(crate) type Refusal = &'static str;

/// One pod of a vector.
pub(crate) struct VectorPod<'a> {
    value: &'a Value,
    /// Its end was counted earlier: it has lost its finalizer, or is about to.
    counted: bool,
    uncounted_succeeded: bool,
    uncounted_failed: bool,
}

impl VectorPod<'_> {
    fn phase(&self) -> &str {
        self.value["status"]["phase"].as_str().unwrap_or("Pending")
    }

    fn terminal(&self) -> bool {
        matches!(self.phase(), "Succeeded" | "Failed")
    }

    fn closed(&self) -> bool {
        self.counted || self.uncounted_succeeded || self.uncounted_failed
    }

    fn index(&self) -> Option<u32> {
        self.value["metadata"]["annotations"][INDEX].as_str()?.parse().ok()
    }

    fn annotated(&self, key: &str) -> u32 {
        let text = self.value["metadata"]["annotations"][key].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn stop(&self) -> Option<PodFact> {
        let at = timestamp(&self.value["metadata"]["deletionTimestamp"])?;
        let grace = self.value["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0);
        let at = at.checked_sub(Duration::from_secs(grace)).unwrap();
        Some(PodFact::StopOrdered {
            grace_seconds: u32::try_from(grace).unwrap(),
            at,
            evicted: false,
        })
    }

    fn statuses(&self, which: &str) -> impl Iterator<Item = &Value> {
        self.value["status"][which].as_array().into_iter().flatten()
    }

    fn containers(&self) -> impl Iterator<Item = &Value> {
        self.statuses("containerStatuses").chain(self.statuses("initContainerStatuses"))
    }

    fn condition(&self, kind: &str, status: &str) -> Option<&Value> {
        let mut all = self.statuses("conditions");
        all.find(|found| found["type"] == kind && found["status"] == status)
    }

    /// SEMANTICS 5.6.
    fn finished_at(&self) -> Timestamp {
        let ends: Option<Vec<Timestamp>> = self
            .statuses("containerStatuses")
            .map(|container| timestamp(&container["state"]["terminated"]["finishedAt"]))
            .collect();
        let ready_false = || timestamp(&self.condition("Ready", "False")?["lastTransitionTime"]);
        let deleted = || match self.stop()? {
            PodFact::StopOrdered { at, .. } => Some(at),
            PodFact::Claimed | PodFact::Running { .. } | PodFact::Ended(_) => None,
        };
        ends.and_then(|ends| ends.into_iter().max())
            .or_else(ready_false)
            .or_else(deleted)
            .or_else(|| timestamp(&self.value["metadata"]["creationTimestamp"]))
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn stage(&self) -> Option<PodFact> {
        let counts = self.containers().filter_map(|found| found["restartCount"].as_u64());
        let restarts = u32::try_from(counts.sum::<u64>()).unwrap();
        match self.phase() {
            "Running" => {
                let ready = self.condition("Ready", "True").is_some();
                Some(PodFact::Running { ready, restarts })
            }
            "Pending" if restarts > 0 => Some(PodFact::Running { ready: false, restarts }),
            "Succeeded" | "Failed" => Some(PodFact::Ended(self.end())),
            _ => None,
        }
    }

    fn end(&self) -> EndFact {
        EndFact {
            succeeded: self.phase() == "Succeeded",
            finished_at: self.finished_at(),
            exits: self.exits(),
            conditions: self.conditions(),
        }
    }

    fn exits(&self) -> Vec<ContainerExit> {
        let exits = self.containers().filter_map(|found| {
            let code = found["state"]["terminated"]["exitCode"].as_i64()?;
            let container = found["name"].as_str().unwrap_or_default().to_owned();
            Some(ContainerExit { container, code: i32::try_from(code).unwrap() })
        });
        exits.collect()
    }

    fn conditions(&self) -> Vec<PodCondition> {
        let all = self.statuses("conditions").filter_map(|found| {
            let status = ConditionStatus::parse(found["status"].as_str()?)?;
            Some(PodCondition { kind: found["type"].as_str()?.to_owned().into(), status })
        });
        all.collect()
    }
}

/// How a pod of the vectors ended.
pub(crate) fn end(value: &Value) -> EndFact {
    let pod =
        VectorPod { value, counted: false, uncounted_succeeded: false, uncounted_failed: false };
    pod.end()
}

/// With a back-off limit per index Kubernetes counts a failed pod when its replacement is there to
/// carry the index's failure count on: a pass later. Stint counts it at once. How many failures of
/// this pass that is.
pub(crate) fn counted_a_pass_later(case: &Value, spec: &JobSpec) -> u32 {
    let input = &case["input"];
    if spec.backoff_limit_per_index.is_none() {
        return 0;
    }
    let oracle = super::oracle(case);
    let terminal = |pod: &VectorPod<'_>| pod.terminal() && !pod.closed();
    if let Some(released) = oracle["finalizersRemoved"].as_u64() {
        let ended = pods(input).into_iter().filter(terminal).count();
        return u32::try_from(ended).unwrap() - u32::try_from(released).unwrap();
    }
    let released: Vec<&Value> = oracle["patchedPods"].as_array().into_iter().flatten().collect();
    let kept = pods(input).into_iter().filter(|pod| {
        let ignored = spec.failure_policy.as_ref().is_some_and(|policy| {
            let end = pod.end();
            policy.judge(&end).is_some_and(|it| it.action == FailureAction::Ignore)
        });
        pod.phase() == "Failed"
            && !pod.closed()
            && !ignored
            && !released.contains(&&pod.value["metadata"]["name"])
    });
    u32::try_from(kept.count()).unwrap()
}

/// A time of the vectors; year 1 stands for "long ago".
pub(crate) fn timestamp(value: &Value) -> Option<Timestamp> {
    let at: Timestamp = value.as_str()?.parse().unwrap();
    Some(at.max(Timestamp::UNIX_EPOCH - SignedDuration::from_hours(24)))
}

/// A Job of the vectors with its pods.
pub(crate) fn job(input: &Value) -> Result<Job, Refusal> {
    let value = &input["job"];
    let api = serde_json::from_value(value.clone()).unwrap();
    let spec = JobSpec::from_job(&api);
    let pods = pods(input);
    let mut status = status(&value["status"]);
    let mut ledger = Ledger {
        succeeded: indexes(value, "completedIndexes", &spec),
        failed: indexes(value, "failedIndexes", &spec),
        backoff: backoff(&input["backoffRecord"]),
        ..Ledger::default()
    };
    let mut facts = Vec::new();
    for (slot, pods) in places(&spec, &pods)? {
        let state = enter(slot, &pods, &spec, &mut status, &mut ledger, &mut facts)?;
        ledger.cursor = ledger.cursor.max(slot.0 + 1);
        ledger.slots.insert(slot, state);
    }
    for slot in (0..ledger.cursor).map(Slot) {
        if !ledger.is_done(slot) {
            ledger.slots.entry(slot).or_default();
        }
    }
    add_gone(input, &mut status);
    status.uncounted_succeeded.sort_unstable();
    status.uncounted_failed.sort_unstable();
    let deletion = timestamp(&value["metadata"]["deletionTimestamp"]);
    let deletion = deletion.map(Deletion::foreground);
    let object = ObjectRef { namespace: "default".to_owned(), name: "foobar".to_owned() };
    let uid = JobUid(uuid::Uuid::from_u128(1));
    let mut job = Job::restore(uid, object, spec, status, ledger, deletion);
    for (slot, attempt, fact) in facts {
        let _ = job.observe(slot, attempt, fact);
    }
    Ok(job)
}

/// Uncounted pods that do not exist any more: places that nobody else has.
fn add_gone(input: &Value, status: &mut JobStatus) {
    let uncounted = &input["job"]["status"]["uncountedTerminatedPods"];
    let pods: BTreeSet<&str> = input["pods"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pod| pod["metadata"]["uid"].as_str())
        .collect();
    let mut next = Slot(u32::MAX);
    for (name, list) in
        [("succeeded", &mut status.uncounted_succeeded), ("failed", &mut status.uncounted_failed)]
    {
        let uids = uncounted[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        for _ in uids.filter(|uid| !pods.contains(uid)) {
            next.0 -= 1;
            list.push((next, Attempt(0)));
        }
    }
}

fn pods(input: &Value) -> Vec<VectorPod<'_>> {
    let uids = |value: &Value| -> BTreeSet<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(|uid| uid.as_str().map(str::to_owned)).collect()
    };
    let uncounted = &input["job"]["status"]["uncountedTerminatedPods"];
    let (succeeded, failed) = (uids(&uncounted["succeeded"]), uids(&uncounted["failed"]));
    let expected = uids(&input["expectedRmFinalizers"]);
    let all = input["pods"].as_array().into_iter().flatten();
    all.map(|value| {
        let uid = value["metadata"]["uid"].as_str().unwrap_or_default();
        let mut finalizers = value["metadata"]["finalizers"].as_array().into_iter().flatten();
        let tracked = finalizers.any(|finalizer| finalizer == TRACKING);
        let counted = !tracked || expected.contains(uid);
        VectorPod {
            value,
            counted,
            uncounted_succeeded: succeeded.contains(uid),
            uncounted_failed: failed.contains(uid),
        }
    })
    .collect()
}

/// Which slot each pod has: its index, or a place of its own.
fn places<'a, 'b>(
    spec: &JobSpec,
    pods: &'a [VectorPod<'b>],
) -> Result<BTreeMap<Slot, Vec<&'a VectorPod<'b>>>, Refusal> {
    let mut places: BTreeMap<Slot, Vec<&VectorPod<'_>>> = BTreeMap::new();
    for (number, pod) in pods.iter().enumerate() {
        let own = u32::try_from(number).unwrap();
        let slot = match pod.index() {
            Some(index) if spec.indexed => index,
            None if spec.indexed => return Err("a pod without a valid index cannot exist"),
            Some(_) | None => own,
        };
        places.entry(Slot(slot)).or_default().push(pod);
    }
    Ok(places)
}

/// Puts a slot's pods on record, the counted ones first, the living one last.
fn enter(
    slot: Slot,
    pods: &[&VectorPod<'_>],
    spec: &JobSpec,
    status: &mut JobStatus,
    ledger: &mut Ledger,
    facts: &mut Vec<(Slot, Attempt, PodFact)>,
) -> Result<SlotState, Refusal> {
    if ledger.is_done(slot) && pods.iter().any(|pod| !pod.closed() && pod.phase() != "Succeeded") {
        return Err("a completed index has no other pods that are not counted");
    }
    let mut pods = pods.to_vec();
    let rank = |pod: &&VectorPod<'_>| match (pod.closed(), pod.phase()) {
        (true, _) => 0,
        (false, "Failed") => 1,
        (false, "Succeeded") => 2,
        (false, _) => 3,
    };
    pods.sort_by_key(rank);
    let open: Vec<_> = pods.iter().filter(|pod| !pod.closed()).collect();
    let done = open.iter().filter(|pod| pod.phase() == "Succeeded").count();
    let living = open.iter().filter(|pod| !pod.terminal()).count();
    if living > 1 || done > 1 || (done == 1 && living == 1) {
        return Err("an index never has two pods that are not terminating");
    }
    let mut state = SlotState::default();
    for (number, pod) in pods.iter().enumerate() {
        let attempt = Attempt(u32::try_from(number).unwrap());
        let last = number + 1 == pods.len();
        state.issued = attempt.0 + 1;
        // A failure that has been replaced was taken in by the pass before.
        let replaced = !pod.closed() && !last;
        let end = pod.end();
        let rule = spec.failure_policy.as_ref().and_then(|policy| policy.judge(&end));
        if replaced && rule.is_some_and(|rule| rule.action == FailureAction::FailJob) {
            return Err("a pod that fails the Job was judged before, and is never replaced");
        }
        if pod.closed() || replaced {
            state.closed = attempt.0 + 1;
            state.ended = state.closed;
        }
        if pod.uncounted_failed || (replaced && slot.0 < spec.slot_limit()) {
            status.uncounted_failed.push((slot, attempt));
        }
        if pod.uncounted_succeeded {
            status.uncounted_succeeded.push((slot, attempt));
            ledger.succeeded.insert(slot.0);
        }
        if !pod.closed() && spec.backoff_limit_per_index.is_some() {
            (state.failures, state.ignored) = (pod.annotated(FAILURES), pod.annotated(IGNORED));
        }
        let stop = pod.stop();
        for fact in pod.stage().into_iter().chain(stop.filter(|_| !pod.terminal())) {
            facts.push((slot, attempt, fact));
        }
    }
    Ok(state)
}

fn indexes(value: &Value, name: &str, spec: &JobSpec) -> IndexSet {
    let text = value["status"][name].as_str().unwrap_or_default();
    let limit = if spec.indexed { spec.slot_limit() } else { 0 };
    IndexSet::parse_status(text, limit)
}

fn backoff(value: &Value) -> BackoffRecord {
    let failures = value["failuresAfterLastSuccess"].as_u64().unwrap_or(0);
    BackoffRecord {
        failures: u32::try_from(failures).unwrap(),
        last_failure: timestamp(&value["lastFailureTime"]),
    }
}

pub(crate) fn status(value: &Value) -> JobStatus {
    let number = |name: &str| u32::try_from(value[name].as_u64().unwrap_or(0)).unwrap();
    JobStatus {
        start_time: timestamp(&value["startTime"]),
        completion_time: timestamp(&value["completionTime"]),
        active: number("active"),
        ready: number("ready"),
        terminating: number("terminating"),
        succeeded: number("succeeded"),
        failed: number("failed"),
        conditions: conditions(&value["conditions"]),
        ..JobStatus::default()
    }
}

pub(crate) fn conditions(value: &Value) -> Vec<Condition> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let at = |value: &Value| timestamp(value).unwrap_or(Timestamp::UNIX_EPOCH);
    let all = value.as_array().into_iter().flatten().map(|found| Condition {
        kind: text(&found["type"]),
        status: found["status"] == "True",
        reason: text(&found["reason"]),
        message: text(&found["message"]),
        last_probe: time::whole_seconds(at(&found["lastProbeTime"])),
        last_transition: time::whole_seconds(at(&found["lastTransitionTime"])),
    });
    all.collect()
}
