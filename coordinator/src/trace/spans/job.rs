//! `run job`: from the submit to the terminal condition, below the submitter's span if it sent one.

use std::time::Duration;

use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use stint_common::time;
use stint_common::trace::job_span_id;

use super::super::facts::{JobEnd, JobFacts};
use super::{Draft, add_text, at, describe, of_job, shard};
use crate::job::Condition;
use crate::job::condition::FAILED;

pub(super) fn span(job: &JobFacts, end: &JobEnd) -> SpanData {
    let terminal = end.terminal();
    let failure = terminal.filter(|condition| condition.kind == FAILED);
    let mut attributes = of_job(job);
    attributes.push(KeyValue::new("cicd.pipeline.result", result(terminal)));
    attributes.push(KeyValue::new("stint.succeeded", i64::from(end.succeeded)));
    attributes.push(KeyValue::new("stint.failed", i64::from(end.failed)));
    attributes.push(KeyValue::new("stint.parallelism", i64::from(end.parallelism)));
    if let Some(completions) = end.completions {
        attributes.push(KeyValue::new("stint.completions", i64::from(completions)));
    }
    if end.share < 1.0 {
        attributes.push(KeyValue::new("stint.sampled_share", end.share));
    }
    if let Some(failure) = failure {
        add_text(&mut attributes, "error.type", &failure.reason);
    }
    let status = match (terminal, failure) {
        (_, Some(failure)) => Status::error(describe(&failure.reason, &failure.message)),
        (Some(_), None) => Status::Ok,
        (None, None) => Status::Unset,
    };
    let draft = Draft {
        trace_id: job.trace_id(),
        id: job_span_id(job.uid),
        parent: job.parent.map_or(0, |parent| parent.span_id),
        remote_parent: job.parent.is_some(),
        kind: SpanKind::Server,
        name: "run job",
        start: job.created_at,
        end: ended(end),
        attributes,
        events: end.conditions.iter().map(event).collect(),
        status,
        links: shard::links(job, end),
    };
    draft.finish(job)
}

/// When the Job ended.
pub(super) fn ended(end: &JobEnd) -> Timestamp {
    let terminal = end.terminal();
    terminal.map_or(end.seen_at, |condition| ended_at(condition, end.seen_at))
}

/// Conditions hold whole seconds, cut: the end lies within the second after, and not after it was
/// seen. So a span does not end before those of its pods, and one sent twice is nearly the same.
fn ended_at(condition: &Condition, seen_at: Timestamp) -> Timestamp {
    let latest = time::after(condition.last_transition, Duration::from_secs(1));
    seen_at.clamp(condition.last_transition, latest)
}

/// The values of `cicd.pipeline.result`.
fn result(terminal: Option<&Condition>) -> &'static str {
    match terminal {
        None => "cancellation",
        Some(condition) if condition.kind != FAILED => "success",
        Some(condition) if condition.reason == "DeadlineExceeded" => "timeout",
        Some(_) => "failure",
    }
}

/// Each condition as an event: when the Job was suspended, when its end was decided.
fn event(condition: &Condition) -> Event {
    let mut attributes = vec![KeyValue::new("stint.condition.status", condition.status)];
    add_text(&mut attributes, "stint.reason", &condition.reason);
    add_text(&mut attributes, "stint.message", &condition.message);
    Event::new(condition.kind.clone(), at(condition.last_transition), attributes, 0)
}
