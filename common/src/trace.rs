//! Deterministic trace and span ids: a restarted coordinator finishes the same spans, and a pod
//! knows its span's id before that span exists.

use uuid::Uuid;

use crate::id::{JobUid, PodId};
use crate::wire::{TraceContext, TraceLimits};

/// A parsed `traceparent` (W3C Trace Context, version 00).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// 16 bytes.
    pub trace_id: u128,
    /// 8 bytes: the caller's span.
    pub span_id: u64,
    /// Bit 0: sampled.
    pub flags: u8,
}

/// Reads a `traceparent`; `None` for what the standard calls invalid.
#[must_use]
pub fn parse_traceparent(text: &str) -> Option<Parent> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
    if version.len() != 2
        || version == "ff"
        || trace.len() != 32
        || span.len() != 16
        || flags.len() != 2
        || !lower
    {
        return None;
    }
    if version == "00" && parts.next().is_some() {
        return None;
    }
    u8::from_str_radix(version, 16).ok()?;
    let parent = Parent {
        trace_id: u128::from_str_radix(trace, 16).ok()?,
        span_id: u64::from_str_radix(span, 16).ok()?,
        flags: u8::from_str_radix(flags, 16).ok()?,
    };
    (parent.trace_id != 0 && parent.span_id != 0).then_some(parent)
}

/// The trace that a Job belongs to: its submitter's, else the Job's uid.
#[must_use]
pub fn trace_id(job: JobUid, submitted: Option<&TraceContext>) -> u128 {
    let parent = submitted.and_then(|context| parse_traceparent(&context.traceparent));
    parent.map_or(job.0.as_u128(), |parent| parent.trace_id)
}

/// The span of a Job, from submit to finish.
#[must_use]
pub fn job_span_id(job: JobUid) -> u64 {
    first_half(Uuid::new_v5(&job.0, b"job span"))
}

/// The mark that a Job is there: sent at once, where its span can be sent only at its end.
#[must_use]
pub fn accepted_span_id(job: JobUid) -> u64 {
    first_half(Uuid::new_v5(&job.0, b"job accepted"))
}

/// The span of a pod, from claim to end.
#[must_use]
pub fn pod_span_id(pod: PodId) -> u64 {
    first_half(pod.uid().0)
}

/// In which shard of a large Job's spans a pod is; `None` if all are in the Job's trace.
#[must_use]
pub fn shard(pod: PodId, limits: Option<TraceLimits>) -> Option<u32> {
    let shard_pods = limits?.shard_pods;
    pod.slot.0.checked_div(shard_pods)
}

/// The trace of a shard.
#[must_use]
pub fn shard_trace_id(job: JobUid, shard: u32) -> u128 {
    of_shard(job, "trace", shard).as_u128()
}

/// The span that is the root of a shard's trace.
#[must_use]
pub fn shard_span_id(job: JobUid, shard: u32) -> u64 {
    first_half(of_shard(job, "span", shard))
}

fn of_shard(job: JobUid, what: &str, shard: u32) -> Uuid {
    Uuid::new_v5(&job.0, format!("shard {what} {shard}").as_bytes())
}

/// Whether the span of a pod is kept if it succeeds: the same whoever asks.
#[must_use]
pub fn keeps(pod: PodId, limits: Option<TraceLimits>) -> bool {
    let keep = limits.map_or(u32::MAX, |limits| limits.keep);
    keep == u32::MAX || (spread(pod) >> 32) < u64::from(keep)
}

/// All 64 bits of a uid that has fixed bits, mixed (the finalizer of splitmix64).
fn spread(pod: PodId) -> u64 {
    let (high, low) = pod.uid().0.as_u64_pair();
    let mut bits = high ^ low.rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The trace that a pod's span is in.
#[must_use]
pub fn pod_trace_id(pod: PodId, submitted: Option<&TraceContext>) -> u128 {
    match shard(pod, submitted.and_then(|context| context.limits)) {
        Some(shard) => shard_trace_id(pod.job, shard),
        None => trace_id(pod.job, submitted),
    }
}

/// An id of a trace as logs have it.
#[must_use]
pub fn trace_text(trace_id: u128) -> String {
    format!("{trace_id:032x}")
}

/// An id of a span as logs have it.
#[must_use]
pub fn span_text(span_id: u64) -> String {
    format!("{span_id:016x}")
}

/// What a pod gets as `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`: its own span, as the parent of
/// what it does. Where its span is not kept, what it does is not sampled either.
#[must_use]
pub fn pod_context(pod: PodId, submitted: Option<&TraceContext>) -> TraceContext {
    let limits = submitted.and_then(|context| context.limits);
    let flags = submitted
        .and_then(|context| parse_traceparent(&context.traceparent))
        .map_or(1, |parent| parent.flags);
    let flags = if keeps(pod, limits) { flags } else { flags & !1 };
    let trace_id = pod_trace_id(pod, submitted);
    TraceContext {
        traceparent: format!("00-{trace_id:032x}-{:016x}-{flags:02x}", pod_span_id(pod)),
        tracestate: submitted.and_then(|context| context.tracestate.clone()),
        baggage: submitted.and_then(|context| context.baggage.clone()),
        limits: None,
    }
}

fn first_half(uuid: Uuid) -> u64 {
    u64::try_from(uuid.as_u128() >> 64).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Attempt, Slot};

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparents_are_read_as_the_standard_says() {
        let parent = parse_traceparent(GOOD).unwrap();
        assert_eq!((parent.span_id, parent.flags), (0x00f0_67aa_0ba9_02b7, 1));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(parse_traceparent(bad), None, "{bad}");
        }
        assert!(parse_traceparent(&GOOD.replacen("00", "01", 1)).is_some());
    }

    #[test]
    fn a_pod_continues_the_submitters_trace_or_its_jobs() {
        let job = JobUid(Uuid::from_u128(5));
        let pod = PodId { job, slot: Slot(1), attempt: Attempt(0) };
        let context = TraceContext {
            traceparent: GOOD.into(),
            tracestate: Some("a=b".into()),
            baggage: Some("user=sue".into()),
            limits: None,
        };
        let continued = pod_context(pod, Some(&context));
        assert!(continued.traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_eq!(continued.tracestate.as_deref(), Some("a=b"));
        assert_eq!(continued.baggage.as_deref(), Some("user=sue"));
        let own = parse_traceparent(&pod_context(pod, None).traceparent).unwrap();
        assert_eq!((own.trace_id, own.span_id), (5, pod_span_id(pod)));
        assert_ne!(job_span_id(job), pod_span_id(pod));
    }

    #[test]
    fn pods_of_large_jobs_are_in_shards_and_some_are_not_sampled() {
        let job = JobUid(Uuid::from_u128(5));
        let pod = |slot| PodId { job, slot: Slot(slot), attempt: Attempt(0) };
        let limits = TraceLimits { shard_pods: 1000, keep: u32::MAX / 4 };
        let context = TraceContext { limits: Some(limits), ..TraceContext::default() };
        let of =
            |slot| parse_traceparent(&pod_context(pod(slot), Some(&context)).traceparent).unwrap();
        assert_eq!(of(999).trace_id, shard_trace_id(job, 0));
        assert_eq!(of(1000).trace_id, shard_trace_id(job, 1));
        assert_ne!(of(0).trace_id, job.0.as_u128());
        let sampled = (0..10_000).filter(|slot| of(*slot).flags == 1).count();
        assert!((2300..2700).contains(&sampled), "{sampled}");
        assert!((0..10_000).all(|slot| keeps(pod(slot), Some(limits)) == (of(slot).flags == 1)));
    }
}
