//! What the owner hands over: facts, from which spans are made elsewhere. Cheap to make, bounded in
//! size, since a queue of them may have to wait for a slow receiver.

use std::sync::Arc;

use jiff::Timestamp;
use stint_common::id::{JobUid, ObjectRef, PodId};
use stint_common::trace::{Parent, parse_traceparent};
use stint_common::wire::{Claim, ContainerEnd, End, Exit, LogSummary, TraceContext, TraceLimits};

use crate::job::{Condition, JobStatus};

/// So much of the end of a failed container's stderr goes into a span.
const STDERR_BYTES: usize = 1024;
/// A pod's and a container's message is cut to this: the user's words may be long.
const MESSAGE_BYTES: usize = 1024;

/// What does not change about a Job.
#[derive(Debug)]
pub(super) struct JobFacts {
    pub(super) uid: JobUid,
    pub(super) name: ObjectRef,
    pub(super) indexed: bool,
    pub(super) created_at: Timestamp,
    /// The submitter's span.
    pub(super) parent: Option<Parent>,
    pub(super) tracestate: Option<String>,
    /// How its spans are spread.
    pub(super) limits: Option<TraceLimits>,
}

impl JobFacts {
    pub(super) fn new(
        uid: JobUid,
        name: &ObjectRef,
        indexed: bool,
        created_at: Timestamp,
        submitted: Option<&TraceContext>,
    ) -> Self {
        let parent = submitted.and_then(|context| parse_traceparent(&context.traceparent));
        let tracestate = submitted.and_then(|context| context.tracestate.clone());
        let limits = submitted.and_then(|context| context.limits);
        Self { uid, name: name.clone(), indexed, created_at, parent, tracestate, limits }
    }

    /// The submitter's word on sampling is kept, as every part of a trace keeps it.
    pub(super) fn wanted(&self) -> bool {
        self.parent.is_none_or(|parent| parent.flags & 1 == 1)
    }

    pub(super) fn trace_id(&self) -> u128 {
        self.parent.map_or(self.uid.0.as_u128(), |parent| parent.trace_id)
    }
}

/// A pod's end.
#[derive(Debug)]
pub(super) struct PodEnd {
    pub(super) pod: PodId,
    pub(super) created_at: Timestamp,
    pub(super) worker: String,
    pub(super) claimed_at: Timestamp,
    pub(super) failed: bool,
    /// It was stopped because its Job did not want it any more: no failure of its own.
    pub(super) cancelled: bool,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) finished_at: Timestamp,
    pub(super) containers: Vec<Container>,
}

/// A container's end.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) exit: Exit,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) finished_at: Timestamp,
    pub(super) restarts: u32,
    pub(super) stderr: String,
}

impl PodEnd {
    pub(super) fn new(
        pod: PodId,
        created_at: Timestamp,
        claim: &Claim,
        end: &End,
        cancelled: bool,
    ) -> Self {
        let failed = end.outcome == stint_common::wire::Outcome::Failed;
        Self {
            pod,
            created_at,
            worker: claim.worker.clone(),
            claimed_at: claim.claimed_at,
            failed,
            cancelled: cancelled && failed,
            reason: end.reason.clone(),
            message: head(&end.message, MESSAGE_BYTES).to_owned(),
            finished_at: end.finished_at,
            containers: end.containers.iter().map(Container::new).collect(),
        }
    }
}

impl Container {
    fn new(end: &ContainerEnd) -> Self {
        let stderr = if end.exit == Exit::Code(0) { "" } else { last_words(&end.logs) };
        Self {
            name: end.name.clone(),
            exit: end.exit,
            reason: end.reason.clone(),
            message: head(&end.message, MESSAGE_BYTES).to_owned(),
            finished_at: end.finished_at,
            restarts: end.restarts,
            stderr: stderr.to_owned(),
        }
    }
}

/// A Job's end.
#[derive(Debug)]
pub(super) struct JobEnd {
    pub(super) conditions: Vec<Condition>,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    pub(super) completions: Option<u32>,
    pub(super) parallelism: u32,
    /// Which part of its successful pods was kept.
    pub(super) share: f64,
    /// When this was seen.
    pub(super) seen_at: Timestamp,
}

impl JobEnd {
    /// The terminal condition; a Job that was deleted before it ended has none.
    pub(super) fn terminal(&self) -> Option<&Condition> {
        let finished = |condition: &&Condition| {
            use crate::job::condition::{COMPLETE, FAILED};
            condition.status && (condition.kind == COMPLETE || condition.kind == FAILED)
        };
        self.conditions.iter().find(finished)
    }

    pub(super) fn new(
        status: &JobStatus,
        spec: &crate::job::JobSpec,
        limits: Option<TraceLimits>,
        seen_at: Timestamp,
    ) -> Self {
        Self {
            conditions: status.conditions.clone(),
            succeeded: status.succeeded,
            failed: status.failed,
            completions: spec.completions,
            parallelism: spec.parallelism,
            share: super::sample::share(limits),
            seen_at,
        }
    }
}

/// One message to the exporter's thread.
#[derive(Debug)]
pub(super) enum Fact {
    /// A Job was seen for the first time.
    Accepted(Arc<JobFacts>),
    /// A pod has ended.
    Pod(Arc<JobFacts>, Box<PodEnd>),
    /// A Job has ended, or is gone.
    Job(Arc<JobFacts>, Box<JobEnd>),
}

/// The end of stderr, wherever it is kept; whole lines, if there is more than one.
fn last_words(logs: &LogSummary) -> &str {
    let text = match &logs.inline {
        Some(inline) => inline.stderr.as_str(),
        None => logs.stderr_tail.as_str(),
    };
    let cut = text.ceil_char_boundary(text.len().saturating_sub(STDERR_BYTES));
    let tail = &text[cut..];
    match tail.split_once('\n') {
        Some((_, rest)) if cut > 0 && !rest.is_empty() => rest,
        _ => tail,
    }
}

fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::wire::InlineOutput;

    #[test]
    fn the_last_lines_are_whole_and_few() {
        let inline = |stderr: String| LogSummary {
            inline: Some(InlineOutput { stderr, ..InlineOutput::default() }),
            ..LogSummary::default()
        };
        assert_eq!(last_words(&inline("a\nb\n".to_owned())), "a\nb\n");
        let long: String = (0..1000).map(|line| format!("line {line} é\n")).collect();
        let logs = inline(long);
        let kept = last_words(&logs);
        assert!(kept.len() <= STDERR_BYTES && kept.starts_with("line ") && kept.ends_with("é\n"));
        let one_line = inline("é".repeat(2000));
        assert_eq!(last_words(&one_line).len(), STDERR_BYTES);
        let tail = LogSummary { stderr_tail: "boom".to_owned(), ..LogSummary::default() };
        assert_eq!(last_words(&tail), "boom");
    }
}
