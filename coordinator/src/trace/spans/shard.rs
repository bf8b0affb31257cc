//! `run shard`: the root of a trace that has a thousand pods of a large Job, linked to the Job's
//! span and from it.

use opentelemetry::KeyValue;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::SpanData;
use stint_common::trace::{job_span_id, shard_span_id, shard_trace_id};

use super::super::facts::{JobEnd, JobFacts};
use super::super::sample::shards;
use super::{Draft, job, of_job};

/// One for each shard.
pub(super) fn spans(job: &JobFacts, end: &JobEnd) -> Vec<SpanData> {
    (0..count(job, end)).map(|shard| span(job, end, shard)).collect()
}

/// From the Job's span to the first of them.
pub(super) fn links(job: &JobFacts, end: &JobEnd) -> Vec<Link> {
    let to = |shard| {
        link(shard_trace_id(job.uid, shard), shard_span_id(job.uid, shard), shard_range(job, shard))
    };
    (0..count(job, end)).map(to).collect()
}

fn count(job: &JobFacts, end: &JobEnd) -> u32 {
    let shard_pods = job.limits.map_or(0, |limits| limits.shard_pods);
    shards(end.completions.unwrap_or(end.parallelism), shard_pods)
}

fn span(job: &JobFacts, end: &JobEnd, shard: u32) -> SpanData {
    let mut attributes = of_job(job);
    attributes.extend(shard_range(job, shard));
    let draft = Draft {
        trace_id: shard_trace_id(job.uid, shard),
        id: shard_span_id(job.uid, shard),
        parent: 0,
        remote_parent: false,
        kind: SpanKind::Internal,
        name: "run shard",
        start: job.created_at,
        end: job::ended(end),
        attributes,
        events: Vec::new(),
        status: Status::Unset,
        links: vec![link(job.trace_id(), job_span_id(job.uid), Vec::new())],
    };
    draft.finish(job)
}

/// Which slots are in it.
fn shard_range(job: &JobFacts, shard: u32) -> Vec<KeyValue> {
    let shard_pods = i64::from(job.limits.map_or(0, |limits| limits.shard_pods));
    let first = i64::from(shard) * shard_pods;
    vec![
        KeyValue::new("stint.shard", i64::from(shard)),
        KeyValue::new("stint.shard.first_slot", first),
        KeyValue::new("stint.shard.last_slot", first + shard_pods - 1),
    ]
}

fn link(trace: u128, span: u64, attributes: Vec<KeyValue>) -> Link {
    let context = SpanContext::new(
        TraceId::from(trace),
        SpanId::from(span),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    Link::new(context, attributes, 0)
}
