//! From facts to spans: names, ids, times, attributes. Pure.
//!
//! Attributes follow OpenTelemetry's conventions for Kubernetes (`k8s.*`), processes (`process.*`)
//! and CI/CD (`cicd.*`: a Job is a pipeline's run, a pod a task's); what none of them has is
//! `stint.*`.

mod job;
mod pod;

use std::str::FromStr as _;
use std::time::SystemTime;

use jiff::Timestamp;
use opentelemetry::trace::{
    Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use stint_common::trace::{accepted_span_id, job_span_id};

use super::facts::{Fact, JobFacts};

/// A span holds no more events: OpenTelemetry's own limit.
const MAX_EVENTS: usize = 128;

/// The span that says this.
pub(super) fn span(fact: &Fact) -> SpanData {
    match fact {
        Fact::Accepted(job) => accepted(job),
        Fact::Pod(job, end) => pod::span(job, end),
        Fact::Job(job, end) => job::span(job, end),
    }
}

/// What differs from span to span.
struct Draft {
    id: u64,
    parent: u64,
    remote_parent: bool,
    kind: SpanKind,
    name: &'static str,
    start: Timestamp,
    end: Timestamp,
    attributes: Vec<KeyValue>,
    events: Vec<Event>,
    status: Status,
}

impl Draft {
    fn finish(self, job: &JobFacts) -> SpanData {
        let state = job.tracestate.as_deref().map(TraceState::from_str);
        let mut events = SpanEvents::default();
        events.events = self.events;
        let over = events.events.len().saturating_sub(MAX_EVENTS);
        events.events.truncate(MAX_EVENTS);
        events.dropped_count = u32::try_from(over).unwrap_or(u32::MAX);
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(job.trace_id()),
                SpanId::from(self.id),
                TraceFlags::SAMPLED,
                false,
                state.and_then(Result::ok).unwrap_or_default(),
            ),
            parent_span_id: SpanId::from(self.parent),
            parent_span_is_remote: self.remote_parent,
            span_kind: self.kind,
            name: self.name.into(),
            start_time: at(self.start),
            // Clocks of several machines meet here: no span ends before it starts.
            end_time: at(self.end.max(self.start)),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events,
            links: SpanLinks::default(),
            status: self.status,
            instrumentation_scope: InstrumentationScope::builder("stint")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

/// Zero long, and sent at once: a Job's own span can be sent only at its end.
fn accepted(job: &JobFacts) -> SpanData {
    let draft = Draft {
        id: accepted_span_id(job.uid),
        parent: job_span_id(job.uid),
        remote_parent: false,
        kind: SpanKind::Internal,
        name: "job accepted",
        start: job.created_at,
        end: job.created_at,
        attributes: of_job(job),
        events: Vec::new(),
        status: Status::Unset,
    };
    draft.finish(job)
}

/// The attributes that every span of a Job has.
fn of_job(job: &JobFacts) -> Vec<KeyValue> {
    vec![
        KeyValue::new("k8s.namespace.name", job.name.namespace.clone()),
        KeyValue::new("k8s.job.name", job.name.name.clone()),
        KeyValue::new("k8s.job.uid", job.uid.to_string()),
        KeyValue::new("cicd.pipeline.name", job.name.name.clone()),
        KeyValue::new("cicd.pipeline.run.id", job.uid.to_string()),
    ]
}

/// Adds a text that is not empty.
fn add_text(attributes: &mut Vec<KeyValue>, name: &'static str, text: &str) {
    if !text.is_empty() {
        attributes.push(KeyValue::new(name, text.to_owned()));
    }
}

/// `reason: message`, or whichever there is.
fn describe(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn at(time: Timestamp) -> SystemTime {
    SystemTime::from(time)
}

#[cfg(test)]
mod tests;
