//! What a Job's pods add up to, kept up to date pod by pod, so that a decision costs what changed
//! and not what there is.

use std::collections::BTreeSet;

use super::pod::{Pod, Stage};
use super::record::Key;

/// What one pod adds. The difference of two weights is applied to the [`Tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    open: bool,
    active: bool,
    beyond: bool,
    ready: bool,
    stopping: bool,
    due: bool,
    settled: bool,
    succeeded: bool,
    failed: bool,
    queued: bool,
    restarts: u32,
}

/// What of the Job bears on how a pod weighs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// `podReplacementPolicy: Failed`.
    pub(super) replace_only_failed: bool,
    /// The pod's slot is of the Job (an index below `completions`).
    pub(super) in_range: bool,
}

/// Facts only: counts, and the pods that something is to be done about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Pods that are not taken in.
    pub(super) open: u32,
    /// Pods neither ended nor told to end.
    pub(super) active: u32,
    /// Of these, those of indexes that the Job no longer has.
    pub(super) beyond: u32,
    /// Of these, those that are ready.
    pub(super) ready: u32,
    /// Ended in success, not yet taken in.
    pub(super) succeeded: u32,
    /// Failed, or terminating where that counts as failed, and not yet taken in.
    pub(super) failed: u32,
    /// Pods whose work item may be published.
    pub(super) queued: u32,
    /// Restarts in place of pods that have not ended.
    pub(super) restarts: u64,
    /// Pods told to end that have not: `status.terminating`.
    pub(super) stopping: BTreeSet<Key>,
    /// Open pods to be taken in.
    pub(super) due: BTreeSet<Key>,
    /// Closed pods whose end is known and not yet written down.
    pub(super) settled: BTreeSet<Key>,
}

impl Weight {
    /// Weighs a pod (SEMANTICS 2.8, 2.9, 4).
    pub(super) fn of(pod: &Pod, scale: Scale) -> Self {
        let told = pod.stop().is_some();
        if let Some(end) = pod.stage.end() {
            return Self {
                open: !pod.closed,
                settled: pod.closed,
                due: !pod.closed,
                succeeded: !pod.closed && scale.in_range && end.succeeded,
                failed: !pod.closed && scale.in_range && !end.succeeded,
                ..Self::default()
            };
        }
        // A terminating pod counts as failed at once, unless only failed pods are replaced; when
        // the Job fails, every pod does.
        let considered_failed =
            !pod.closed && told && (!scale.replace_only_failed || pod.doom.is_some());
        let active = pod.is_active();
        Self {
            open: !pod.closed,
            active,
            beyond: active && !scale.in_range,
            ready: active && pod.is_ready(),
            stopping: pod.closed || told,
            due: considered_failed,
            failed: considered_failed && scale.in_range,
            queued: active && pod.stage == Stage::Queued,
            restarts: pod.stage.restarts(),
            ..Self::default()
        }
    }
}

impl Tally {
    /// Pods that are not taken in, and not about to be for what they have come to themselves.
    pub(super) fn open_and_not_due(&self) -> usize {
        usize::try_from(self.open).map_or(0, |open| open.saturating_sub(self.due.len()))
    }

    /// `status.terminating`.
    pub(super) fn terminating(&self) -> u32 {
        u32::try_from(self.stopping.len()).unwrap_or(u32::MAX)
    }

    /// A pod weighed `before` and weighs `after`.
    pub(super) fn shift(&mut self, key: Key, before: Weight, after: Weight) {
        for (count, before, after) in [
            (&mut self.open, before.open, after.open),
            (&mut self.active, before.active, after.active),
            (&mut self.beyond, before.beyond, after.beyond),
            (&mut self.ready, before.ready, after.ready),
            (&mut self.succeeded, before.succeeded, after.succeeded),
            (&mut self.failed, before.failed, after.failed),
            (&mut self.queued, before.queued, after.queued),
        ] {
            *count = *count + u32::from(after) - u32::from(before);
        }
        for (set, before, after) in [
            (&mut self.stopping, before.stopping, after.stopping),
            (&mut self.due, before.due, after.due),
            (&mut self.settled, before.settled, after.settled),
        ] {
            if before && !after {
                set.remove(&key);
            } else if after && !before {
                set.insert(key);
            }
        }
        self.restarts = self.restarts + u64::from(after.restarts) - u64::from(before.restarts);
    }
}
