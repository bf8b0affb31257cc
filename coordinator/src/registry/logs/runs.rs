//! Which run of a container is the latest, and where its output is. Pure.

use std::str;

use jiff::Timestamp;
use stint_common::wire::{ContainerEnd, ContainerState, InlineOutput, PodState};

/// A run of a container, by how often it was started again before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunOf(u32);

impl RunOf {
    pub(super) const FIRST: Self = Self(0);

    /// The one before it; of the first, itself.
    pub(super) fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The run that the chunks behind this one are of, if it says so.
    pub(super) fn begun_by(chunk: &[u8]) -> Option<Self> {
        let number = chunk.strip_prefix(b">")?;
        str::from_utf8(number).ok()?.parse().ok().map(Self)
    }
}

/// What a pod's record says of a container's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latest<'a> {
    /// The run whose output is the container's log: one that was not begun yet has none.
    pub(super) run: RunOf,
    /// The one before it, if there was one. Of a container that waits to be started again it is
    /// the same, as in Kubernetes: both `state` and `lastState` speak of the run that ended.
    pub(super) before: Option<RunOf>,
    /// There will be no more output.
    pub(super) over: bool,
    /// Output of the latest run that rides in the record, and when that ended.
    pub(super) inline: Option<(Timestamp, &'a InlineOutput)>,
    /// Some output is, or will be, in the logs' stream.
    pub(super) is_shipped: bool,
}

impl Latest<'_> {
    /// Nothing was run yet.
    pub(super) const NONE: Self =
        Self { run: RunOf::FIRST, before: None, over: false, inline: None, is_shipped: false };

    fn begun(restarts: u32) -> Self {
        let before = restarts.checked_sub(1).map(RunOf);
        Self { run: RunOf(restarts), before, is_shipped: restarts > 0, ..Self::NONE }
    }
}

/// The latest run of a container.
pub(super) fn latest<'a>(state: &'a PodState, container: &str) -> Latest<'a> {
    match state {
        PodState::Claimed => Latest::NONE,
        PodState::Running(running) => {
            let mut all = running.detail.iter().flat_map(|detail| &detail.containers);
            let Some(now) = all.find(|now| now.name == container) else { return Latest::NONE };
            let begun = Latest::begun(now.restarts);
            match &now.state {
                ContainerState::Running { .. } => begun,
                ContainerState::Terminated(end) => ended(end),
                ContainerState::BackingOff { .. } => Latest { before: Some(begun.run), ..begun },
                // It is just being started again: the run that ended is still what there is.
                ContainerState::Waiting => {
                    let run = begun.before.unwrap_or(begun.run);
                    Latest { run, ..begun }
                }
            }
        }
        PodState::Terminated(end) => {
            let found = end.containers.iter().find(|ended| ended.name == container);
            found.map_or(Latest { over: true, ..Latest::NONE }, ended)
        }
    }
}

fn ended(end: &ContainerEnd) -> Latest<'_> {
    let begun = Latest::begun(end.restarts);
    Latest {
        over: true,
        inline: end.logs.inline.as_ref().map(|output| (end.finished_at, output)),
        is_shipped: begun.is_shipped || (end.logs.bytes > 0 && end.logs.inline.is_none()),
        ..begun
    }
}

#[cfg(test)]
mod tests {
    use stint_common::wire::{ContainerNow, Detail, Running};

    use super::*;

    fn running(state: ContainerState, restarts: u32) -> PodState {
        let now = ContainerNow {
            name: "main".to_owned(),
            state,
            ready: false,
            started: false,
            restarts,
            last: None,
            waits_for: None,
        };
        let detail = Detail { initialized: None, ready_changed_at: None, containers: vec![now] };
        PodState::Running(Running {
            started_at: Timestamp::UNIX_EPOCH,
            only_tried: false,
            ready: false,
            restarts,
            detail: Some(Box::new(detail)),
        })
    }

    fn of(state: PodState) -> (u32, Option<u32>) {
        let latest = latest(&state, "main");
        (latest.run.0, latest.before.map(|run| run.0))
    }

    #[test]
    fn the_run_before_is_the_one_that_last_state_speaks_of() {
        let since = Timestamp::UNIX_EPOCH;
        assert_eq!(of(PodState::Claimed), (0, None));
        assert_eq!(of(running(ContainerState::Running { since }, 0)), (0, None));
        assert_eq!(of(running(ContainerState::BackingOff { delay_seconds: 10 }, 0)), (0, Some(0)));
        assert_eq!(of(running(ContainerState::Waiting, 1)), (0, Some(0)));
        assert_eq!(of(running(ContainerState::Running { since }, 2)), (2, Some(1)));
    }

    #[test]
    fn a_chunk_says_whose_those_behind_it_are() {
        assert_eq!(RunOf::begun_by(b">12"), Some(RunOf(12)));
        assert_eq!(RunOf::begun_by(b">"), None);
        assert_eq!(RunOf::begun_by(b"1>2"), None);
    }
}
