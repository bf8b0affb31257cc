//! From facts to spans: names, ids, times, attributes. Pure.
//!
//! Attributes follow OpenTelemetry's conventions for Kubernetes (`k8s.*`), processes (`process.*`)
//! and CI/CD (`cicd.*`: a Job is a pipeline's run, a pod a task's); what none of them has is
//! `stint.*`.

mod job;
mod pod;
mod shard;

use std::str::FromStr as _;
use std::time::SystemTime;

use jiff::Timestamp;
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use stint_common::trace::{accepted_span_id, job_span_id};

use super::facts::{Fact, JobFacts};

/// A span holds no more events: OpenTelemetry's own limit.
const MAX_EVENTS: usize = 128;
/// Nor more links.
const MAX_LINKS: usize = 128;

/// The spans that say this: one, but at the end of a Job whose pods are in traces of their own.
pub(super) fn spans(fact: &Fact) -> Vec<SpanData> {
    match fact {
        Fact::Accepted(job) => vec![accepted(job)],
        Fact::Pod(job, end) => vec![pod::span(job, end)],
        Fact::Job(job, end) => {
            let mut spans = vec![job::span(job, end)];
            spans.extend(shard::spans(job, end));
            spans
        }
    }
}

/// What differs from span to span.
struct Draft {
    trace_id: u128,
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
    links: Vec<Link>,
}

impl Draft {
    fn finish(self, job: &JobFacts) -> SpanData {
        let state = job.tracestate.as_deref().map(TraceState::from_str);
        let mut events = SpanEvents::default();
        events.events = self.events;
        let over = events.events.len().saturating_sub(MAX_EVENTS);
        events.events.truncate(MAX_EVENTS);
        events.dropped_count = u32::try_from(over).unwrap_or(u32::MAX);
        let mut links = SpanLinks::default();
        let over = self.links.len().saturating_sub(MAX_LINKS);
        links.links = self.links;
        links.links.truncate(MAX_LINKS);
        links.dropped_count = u32::try_from(over).unwrap_or(u32::MAX);
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(self.trace_id),
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
            links,
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
        trace_id: job.trace_id(),
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
        links: Vec::new(),
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
