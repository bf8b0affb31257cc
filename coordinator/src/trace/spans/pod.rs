//! `run pod`: from the claim to the end. The wait before it is an attribute, not a span.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use stint_common::names::pod_name;
use stint_common::time;
use stint_common::trace::{job_span_id, pod_span_id, shard, shard_span_id, shard_trace_id};
use stint_common::wire::Exit;

use super::super::facts::{Container, JobFacts, PodEnd};
use super::{Draft, add_text, at, describe, of_job};

pub(super) fn span(job: &JobFacts, end: &PodEnd) -> SpanData {
    let failing = end.containers.iter().filter(|container| container.exit != Exit::Code(0));
    let events = if end.failed { failing.clone().map(event).collect() } else { Vec::new() };
    // The container that tells most: the first that failed, else the first. How sidecars end says
    // nothing about a pod that succeeded.
    let telling = failing.clone().next().filter(|_| end.failed).or(end.containers.first());
    let shard = shard(end.pod, job.limits);
    let draft = Draft {
        trace_id: shard.map_or(job.trace_id(), |shard| shard_trace_id(job.uid, shard)),
        id: pod_span_id(end.pod),
        parent: shard.map_or(job_span_id(job.uid), |shard| shard_span_id(job.uid, shard)),
        remote_parent: false,
        kind: SpanKind::Internal,
        name: "run pod",
        start: end.claimed_at,
        end: end.finished_at,
        attributes: attributes(job, end, telling),
        events,
        status: status(end, telling),
        links: Vec::new(),
    };
    draft.finish(job)
}

fn attributes(job: &JobFacts, end: &PodEnd, telling: Option<&Container>) -> Vec<KeyValue> {
    let uid = end.pod.uid().to_string();
    let wait = time::since(end.claimed_at, end.created_at).as_millis();
    let mut attributes = of_job(job);
    attributes.extend([
        KeyValue::new("k8s.pod.name", pod_name(&job.name.name, job.indexed, end.pod)),
        KeyValue::new("k8s.pod.uid", uid.clone()),
        KeyValue::new("k8s.node.name", end.worker.clone()),
        KeyValue::new("cicd.pipeline.task.name", job.name.name.clone()),
        KeyValue::new("cicd.pipeline.task.run.id", uid),
        KeyValue::new("cicd.pipeline.task.run.result", result(end)),
        KeyValue::new("stint.slot", i64::from(end.pod.slot.0)),
        KeyValue::new("stint.attempt", i64::from(end.pod.attempt.0)),
        KeyValue::new("stint.queue_wait_ms", i64::try_from(wait).unwrap_or(i64::MAX)),
    ]);
    if job.indexed {
        let index = i64::from(end.pod.slot.0);
        attributes.push(KeyValue::new("k8s.job.completion_index", index));
    }
    if let Some(container) = telling {
        attributes.push(KeyValue::new("k8s.container.name", container.name.clone()));
        attributes.push(KeyValue::new("process.exit.code", i64::from(container.exit.code())));
    }
    let restarts: u32 = end.containers.iter().map(|container| container.restarts).sum();
    if restarts > 0 {
        attributes.push(KeyValue::new("stint.restarts", i64::from(restarts)));
    }
    add_text(&mut attributes, "stint.reason", &end.reason);
    if end.failed && !end.cancelled {
        attributes.push(KeyValue::new("error.type", reason(end, telling)));
    }
    attributes
}

/// The values of `cicd.pipeline.task.run.result`; `error` is a failure that is not the pod's own.
fn result(end: &PodEnd) -> &'static str {
    match (end.failed, end.cancelled, end.reason.as_str()) {
        (false, _, _) => "success",
        (true, true, _) => "cancellation",
        (true, false, "DeadlineExceeded") => "timeout",
        (true, false, "WorkerLost") => "error",
        (true, false, _) => "failure",
    }
}

/// The pod's reason, else its container's: an ordinary exit has only that.
fn reason(end: &PodEnd, telling: Option<&Container>) -> String {
    let of_container = telling.map(|container| container.reason.as_str());
    let reasons = [Some(end.reason.as_str()), of_container];
    reasons.into_iter().flatten().find(|text| !text.is_empty()).unwrap_or("Failed").to_owned()
}

fn status(end: &PodEnd, telling: Option<&Container>) -> Status {
    if !end.failed {
        return Status::Ok;
    }
    if end.cancelled {
        return Status::Unset;
    }
    let message = match (end.message.as_str(), telling) {
        ("", Some(container)) => format!("container {} {}", container.name, how(container.exit)),
        (message, _) => message.to_owned(),
    };
    Status::error(describe(&reason(end, telling), &message))
}

fn how(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
        Exit::NotStarted => "was not started".to_owned(),
    }
}

/// A container that failed, with its last words.
fn event(container: &Container) -> Event {
    let mut attributes = vec![
        KeyValue::new("k8s.container.name", container.name.clone()),
        KeyValue::new("process.exit.code", i64::from(container.exit.code())),
    ];
    if let Exit::Signal(signal) = container.exit {
        attributes.push(KeyValue::new("stint.signal", i64::from(signal)));
    }
    add_text(&mut attributes, "stint.reason", &container.reason);
    add_text(&mut attributes, "stint.message", &container.message);
    add_text(&mut attributes, "stint.stderr", &container.stderr);
    Event::new("container failed", at(container.finished_at), attributes, 0)
}
