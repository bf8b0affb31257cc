//! Deterministic trace and span ids: a restarted coordinator finishes the same spans, and a pod
//! knows its span's id before that span exists.

use uuid::Uuid;

use crate::id::{JobUid, PodId};
use crate::wire::TraceContext;

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

/// What a pod gets as `TRACEPARENT` and `TRACESTATE`: its own span, as the parent of what it does.
#[must_use]
pub fn pod_context(pod: PodId, submitted: Option<&TraceContext>) -> TraceContext {
    let flags = submitted
        .and_then(|context| parse_traceparent(&context.traceparent))
        .map_or(1, |parent| parent.flags);
    let trace_id = trace_id(pod.job, submitted);
    TraceContext {
        traceparent: format!("00-{trace_id:032x}-{:016x}-{flags:02x}", pod_span_id(pod)),
        tracestate: submitted.and_then(|context| context.tracestate.clone()),
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
        let context = TraceContext { traceparent: GOOD.into(), tracestate: Some("a=b".into()) };
        let continued = pod_context(pod, Some(&context));
        assert!(continued.traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_eq!(continued.tracestate.as_deref(), Some("a=b"));
        let own = parse_traceparent(&pod_context(pod, None).traceparent).unwrap();
        assert_eq!((own.trace_id, own.span_id), (5, pod_span_id(pod)));
        assert_ne!(job_span_id(job), pod_span_id(pod));
    }
}
