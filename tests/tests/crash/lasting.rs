//! Pods that last through faults, and say of themselves how often they ran and whether two of an
//! index did at once.
//!
//! `STINT_CRASH_TIMES` says how often each fault is made.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use stint_tests::api::counters;
use stint_tests::{Api, job, until};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Pods that last through all kills.
pub(crate) const LASTING: u32 = 3;

/// How often a fault is made.
pub(crate) fn times(usual: u32) -> u32 {
    let said = std::env::var("STINT_CRASH_TIMES").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(usual)
}

pub(crate) fn file(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap_or_default()
}

/// Each attempt marks that it runs, says so when another of its index does, and beats until a file
/// lets it end.
pub(crate) fn lasting(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "exec 9>{dir}/lock-$JOB_COMPLETION_INDEX; \
         flock -n 9 || echo $JOB_COMPLETION_INDEX >> {dir}/twice; \
         echo $STINT_ATTEMPT >> {dir}/began-$JOB_COMPLETION_INDEX; \
         number=0; until [ -e {dir}/go ]; do \
         number=$((number+1)); echo $number; sleep 0.02; done; echo last $number"
    )
}

pub(crate) async fn began(dir: &Path, indexes: u32, lines: usize) {
    for index in 0..indexes {
        until(&format!("attempt {lines} of index {index}"), PATIENCE, || async {
            (file(dir, &format!("began-{index}")).lines().count() >= lines).then_some(())
        })
        .await;
    }
}

/// Lasting pods that may fail by disruption as often as they like, and are replaced without delay.
pub(crate) fn replaced_at_once(name: &str, dir: &Path) -> Value {
    let rule = json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]});
    let ignore = json!({"podFailurePolicy": {"rules": [rule]}, "backoffLimit": 0});
    let job = job(name).indexed().completions(LASTING).spec(&ignore).script(&lasting(dir));
    let mut manifest = job.build();
    manifest["metadata"]["annotations"] = json!({"stint.internal/backoff-base": "0s"});
    manifest
}

/// Waits until the Job of lasting pods is complete, and none of them has failed or ran again.
pub(crate) async fn completed_untouched(api: &Api, name: &str, dir: &Path) {
    let (end, done) = api.ended_at_last(name, PATIENCE).await;
    let expect = ("Complete", (0, u64::from(LASTING), 0));
    assert_eq!((end.as_str(), counters(&done)), expect, "{done}");
    each_ran_once(dir);
}

/// Each lasting pod says of itself that its first attempt was its only one.
pub(crate) fn each_ran_once(dir: &Path) {
    for index in 0..LASTING {
        assert_eq!(file(dir, &format!("began-{index}")), "0\n", "index {index} ran once");
    }
}
