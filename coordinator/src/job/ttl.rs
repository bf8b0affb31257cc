//! What is left to do for a finished Job: its time to live (SEMANTICS 13).

use std::time::Duration;

use jiff::Timestamp;
use stint_common::time;

use super::record::JobStatus;

/// When a finished Job is to be deleted: `ttlSecondsAfterFinished` after its terminal condition.
/// `None` for a Job that is unfinished or stays.
#[must_use]
pub fn expires_at(status: &JobStatus, ttl_seconds: Option<u64>) -> Option<Timestamp> {
    let finished = status.finished()?.last_transition;
    Some(time::after(finished, Duration::from_secs(ttl_seconds?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::record::{Condition, condition};

    #[test]
    fn time_to_live_starts_with_the_terminal_condition() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let finished = |kind: &str| JobStatus {
            conditions: vec![Condition::new(kind, true, "", "", at(100))],
            ..JobStatus::default()
        };
        for (kind, ttl, expect) in [
            (condition::COMPLETE, Some(0), Some(100)),
            (condition::FAILED, Some(30), Some(130)),
            (condition::FAILED, None, None),
            (condition::FAILURE_TARGET, Some(30), None),
        ] {
            assert_eq!(expires_at(&finished(kind), ttl), expect.map(at), "{kind} {ttl:?}");
        }
        assert_eq!(
            expires_at(&finished(condition::COMPLETE), Some(u64::MAX)),
            Some(Timestamp::MAX)
        );
    }
}
