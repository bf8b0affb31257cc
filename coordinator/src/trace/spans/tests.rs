//! What spans say, fact by fact.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Value;
use stint_common::id::{Attempt, JobUid, ObjectRef, PodId, Slot};
use stint_common::time;
use stint_common::trace::pod_span_id;
use stint_common::wire::{Exit, TraceContext, TraceLimits};
use uuid::Uuid;

use super::super::facts::{Container, JobEnd, PodEnd};
use super::*;
use crate::job::Condition;
use crate::job::condition::{COMPLETE, FAILED};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn start() -> Timestamp {
    "2026-01-15T12:00:00.25Z".parse().unwrap()
}

fn after(millis: u64) -> Timestamp {
    time::after(start(), Duration::from_millis(millis))
}

fn facts(submitted: Option<&str>) -> JobFacts {
    let name = ObjectRef { namespace: "default".into(), name: "pi".into() };
    let context = submitted.map(|traceparent| TraceContext {
        traceparent: traceparent.into(),
        tracestate: Some("a=b".into()),
        ..TraceContext::default()
    });
    JobFacts::new(JobUid(Uuid::from_u128(5)), &name, true, start(), context.as_ref())
}

fn pod_end(failed: bool) -> PodEnd {
    let pod = PodId { job: JobUid(Uuid::from_u128(5)), slot: Slot(3), attempt: Attempt(1) };
    PodEnd {
        pod,
        created_at: after(100),
        worker: "w1".into(),
        claimed_at: after(140),
        failed,
        cancelled: false,
        reason: String::new(),
        message: String::new(),
        finished_at: after(900),
        containers: vec![Container {
            name: "main".into(),
            exit: Exit::Code(if failed { 3 } else { 0 }),
            reason: if failed { "Error" } else { "Completed" }.into(),
            message: String::new(),
            finished_at: after(890),
            restarts: 0,
            stderr: if failed { "boom\n" } else { "" }.into(),
        }],
    }
}

fn job_end(condition: Option<(&str, &str)>) -> JobEnd {
    let at = time::whole_seconds(after(2000));
    let condition = condition.map(|(kind, reason)| Condition::new(kind, true, reason, "m", at));
    JobEnd {
        conditions: condition.into_iter().collect(),
        succeeded: 4,
        failed: 1,
        completions: Some(5),
        parallelism: 2,
        share: 1.0,
        seen_at: after(2100),
    }
}

fn span(fact: &Fact) -> SpanData {
    spans(fact).remove(0)
}

fn value(attributes: &[KeyValue], name: &str) -> Option<Value> {
    let found = attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.clone())
}

#[test]
fn a_job_is_a_child_of_its_submitter_and_the_parent_of_its_pods() {
    let job = Arc::new(facts(Some(PARENT)));
    let run = span(&Fact::Job(Arc::clone(&job), Box::new(job_end(Some((COMPLETE, ""))))));
    let pod = span(&Fact::Pod(Arc::clone(&job), Box::new(pod_end(false))));
    let accepted = span(&Fact::Accepted(job));
    assert_eq!(run.parent_span_id, SpanId::from(0x00f0_67aa_0ba9_02b7));
    assert!(run.parent_span_is_remote);
    for span in [&run, &pod, &accepted] {
        let trace = span.span_context.trace_id().to_string();
        assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.span_context.trace_state().header(), "a=b");
    }
    assert_eq!(pod.parent_span_id, run.span_context.span_id());
    assert_eq!(accepted.parent_span_id, run.span_context.span_id());
    assert_eq!(accepted.start_time, accepted.end_time);
    assert_eq!((run.start_time, run.end_time), (at(start()), at(after(2100))));
    assert_eq!(run.status, Status::Ok);
    assert_eq!(value(&run.attributes, "cicd.pipeline.result"), Some("success".into()));
}

#[test]
fn a_job_without_submitter_is_a_root_in_the_trace_of_its_uid() {
    let run = span(&Fact::Job(Arc::new(facts(None)), Box::new(job_end(Some((COMPLETE, ""))))));
    assert_eq!(run.span_context.trace_id(), TraceId::from(5_u128));
    assert_eq!(run.parent_span_id, SpanId::INVALID);
    assert!(!run.parent_span_is_remote);
}

#[test]
fn the_submitters_wish_not_to_be_sampled_is_kept() {
    assert!(facts(None).wanted() && facts(Some(PARENT)).wanted());
    assert!(!facts(Some(&PARENT.replace("-01", "-00"))).wanted());
}

#[test]
fn a_jobs_end_says_why() {
    let run = |condition| {
        let span = span(&Fact::Job(Arc::new(facts(None)), Box::new(job_end(condition))));
        let result = value(&span.attributes, "cicd.pipeline.result").unwrap().to_string();
        (result, span.status)
    };
    let failed = run(Some((FAILED, "BackoffLimitExceeded")));
    assert_eq!(failed, ("failure".into(), Status::error("BackoffLimitExceeded: m")));
    assert_eq!(run(Some((FAILED, "DeadlineExceeded"))).0, "timeout");
    assert_eq!(run(None), ("cancellation".into(), Status::Unset));
}

#[test]
fn a_jobs_end_seen_late_is_within_its_second() {
    let end = JobEnd { seen_at: after(60_000), ..job_end(Some((COMPLETE, ""))) };
    let late = span(&Fact::Job(Arc::new(facts(None)), Box::new(end)));
    assert_eq!(late.end_time, at(time::whole_seconds(after(3000))));
}

#[test]
fn a_failed_pod_is_an_error_with_its_last_words() {
    let end = pod_end(true);
    let pod = end.pod;
    let span = span(&Fact::Pod(Arc::new(facts(None)), Box::new(end)));
    assert_eq!(span.span_context.span_id(), SpanId::from(pod_span_id(pod)));
    assert_eq!(span.status, Status::error("Error: container main exited with code 3"));
    let of = |name| value(&span.attributes, name);
    assert_eq!(of("process.exit.code"), Some(3.into()));
    assert_eq!(of("k8s.job.completion_index"), Some(3.into()));
    assert_eq!(of("stint.attempt"), Some(1.into()));
    assert_eq!(of("stint.queue_wait_ms"), Some(40.into()));
    assert_eq!(of("k8s.node.name"), Some("w1".into()));
    assert_eq!((span.start_time, span.end_time), (at(after(140)), at(after(900))));
    assert_eq!(span.events.len(), 1);
    assert_eq!(span.events[0].name, "container failed");
    assert_eq!(value(&span.events[0].attributes, "stint.stderr"), Some("boom\n".into()));
}

#[test]
fn a_pod_that_its_job_stopped_is_no_error() {
    let end = PodEnd { cancelled: true, ..pod_end(true) };
    let span = span(&Fact::Pod(Arc::new(facts(None)), Box::new(end)));
    assert_eq!(span.status, Status::Unset);
    let result = value(&span.attributes, "cicd.pipeline.task.run.result");
    assert_eq!(result, Some("cancellation".into()));
}

#[test]
fn a_worker_with_a_wrong_clock_makes_no_span_that_ends_before_it_starts() {
    let end = PodEnd { finished_at: after(0), ..pod_end(false) };
    let span = span(&Fact::Pod(Arc::new(facts(None)), Box::new(end)));
    assert_eq!(span.start_time, span.end_time);
}

#[test]
fn a_large_job_has_its_pods_in_linked_traces() {
    let limits = TraceLimits { shard_pods: 2, keep: u32::MAX };
    let context = TraceContext { limits: Some(limits), ..TraceContext::default() };
    let name = ObjectRef { namespace: "default".into(), name: "pi".into() };
    let uid = JobUid(Uuid::from_u128(5));
    let job = Arc::new(JobFacts::new(uid, &name, true, start(), Some(&context)));
    let pod = span(&Fact::Pod(Arc::clone(&job), Box::new(pod_end(false))));
    let all = spans(&Fact::Job(job, Box::new(job_end(Some((COMPLETE, ""))))));
    let names: Vec<&str> = all.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["run job", "run shard", "run shard", "run shard"]);
    let (run, shard) = (&all[0], &all[2]);
    assert_eq!(run.links.len(), 3);
    assert_eq!(run.links[1].span_context.trace_id(), shard.span_context.trace_id());
    assert_eq!(run.links[1].span_context.span_id(), shard.span_context.span_id());
    assert_eq!(shard.links[0].span_context.span_id(), run.span_context.span_id());
    // Slot 3 is in the second.
    assert_eq!(pod.span_context.trace_id(), shard.span_context.trace_id());
    assert_eq!(pod.parent_span_id, shard.span_context.span_id());
    assert_eq!(value(&shard.attributes, "stint.shard.first_slot"), Some(Value::I64(2)));
    assert_ne!(shard.span_context.trace_id(), run.span_context.trace_id());
}
