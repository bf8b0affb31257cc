//! What is left to do for a finished Job: its time to live (SEMANTICS 13).

use std::time::Duration;

use jiff::Timestamp;
use stint_common::time;

use super::record::{JobStatus, condition};
use super::spec::JobSpec;

/// When a finished Job is to be deleted: `ttlSecondsAfterFinished` after its terminal condition; if
/// it failed, rather what an annotation says for that case. `None` for a Job that is unfinished or
/// stays.
#[must_use]
pub fn expires_at(status: &JobStatus, spec: &JobSpec) -> Option<Timestamp> {
    let finished = status.finished()?;
    let of_failed = spec.ttl_seconds_after_failed.filter(|_| finished.kind == condition::FAILED);
    let ttl = Duration::from_secs(of_failed.or(spec.ttl_seconds_after_finished)?);
    Some(time::after(finished.last_transition, ttl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::record::Condition;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn expires(kind: &str, finished: Option<u64>, failed: Option<u64>) -> Option<Timestamp> {
        let conditions = vec![Condition::new(kind, true, "", "", at(100))];
        let status = JobStatus { conditions, ..JobStatus::default() };
        let spec = JobSpec {
            ttl_seconds_after_finished: finished,
            ttl_seconds_after_failed: failed,
            ..JobSpec::default()
        };
        expires_at(&status, &spec)
    }

    #[test]
    fn time_to_live_starts_with_the_terminal_condition() {
        let check = |kind, ttl, expect: Option<i64>| {
            assert_eq!(expires(kind, ttl, None), expect.map(at), "{kind} {ttl:?}");
        };
        check(condition::COMPLETE, Some(0), Some(100));
        check(condition::FAILED, Some(30), Some(130));
        check(condition::FAILED, None, None);
        check(condition::FAILURE_TARGET, Some(30), None);
        assert_eq!(expires(condition::COMPLETE, Some(u64::MAX), None), Some(Timestamp::MAX));
    }

    #[test]
    fn a_failed_job_may_be_kept_longer() {
        assert_eq!(expires(condition::FAILED, Some(30), Some(60)), Some(at(160)));
        assert_eq!(expires(condition::FAILED, None, Some(60)), Some(at(160)));
        assert_eq!(expires(condition::COMPLETE, Some(30), Some(60)), Some(at(130)));
        assert_eq!(expires(condition::COMPLETE, None, Some(60)), None);
    }
}
