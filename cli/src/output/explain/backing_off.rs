//! Failed pods are not replaced at once: until when not.
//!
//! The rule is Kubernetes' (the delay doubles with each failure since the last success), told again
//! from the pods that the API shows; the owner's own is in the Job's record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stint_common::annotations::Extensions;
use stint_common::backoff::Backoff;
use stint_common::time::after;

use super::{Facts, Reason};
use crate::output::age::between;
use crate::output::count::counted;
use crate::output::job::JobView;
use crate::output::trace::PodTrace;

/// Indexes that are named.
const NAMED: usize = 5;

pub(super) fn reason(facts: &Facts, now: Timestamp) -> Option<Reason> {
    let view = JobView(&facts.job);
    let parallelism = view.0["spec"]["parallelism"].as_u64().unwrap_or(1);
    let left = view.completions().map(|all| all.saturating_sub(view.count("succeeded")));
    let wanted = left.map_or(parallelism, |left| left.min(parallelism));
    if view.count("active") >= wanted {
        return None;
    }
    let annotations = serde_json::from_value(view.0["metadata"]["annotations"].clone()).ok();
    let backoff = Extensions::read(annotations.as_ref(), |_, _| {}).backoff;
    let ends = facts
        .failed
        .iter()
        .filter_map(PodTrace::read)
        .filter_map(|pod| Some((pod.index, pod.finished?)));
    if view.0["spec"]["backoffLimitPerIndex"].is_u64() {
        return per_index(ends, backoff, now);
    }
    let ends: Vec<Timestamp> = ends
        .map(|(_, at)| at)
        .filter(|at| facts.last_success.is_none_or(|success| *at > success))
        .collect();
    let last = ends.iter().max()?;
    let until = after(*last, backoff.delay(u32::try_from(ends.len()).unwrap_or(u32::MAX)));
    (until > now).then(|| {
        let failures = counted(ends.len(), "failure");
        Reason::new(format!(
            "it backs off until {until:.0}, in {}: {failures} since the last success",
            between(now, until)
        ))
        .with(vec![told(backoff)])
        .next(format!("stint logs {} --failed", view.name()))
    })
}

fn per_index(
    ends: impl Iterator<Item = (Option<u32>, Timestamp)>,
    backoff: Backoff,
    now: Timestamp,
) -> Option<Reason> {
    let mut indexes: BTreeMap<u32, (u32, Timestamp)> = BTreeMap::new();
    for (index, at) in ends {
        let Some(index) = index else { continue };
        let (count, last) = indexes.entry(index).or_insert((0, at));
        (*count, *last) = (*count + 1, at.max(*last));
    }
    let mut waiting: Vec<(Timestamp, u32, u32)> = indexes
        .into_iter()
        .map(|(index, (count, last))| (after(last, backoff.delay(count)), index, count))
        .filter(|(until, ..)| *until > now)
        .collect();
    waiting.sort_unstable();
    let first = waiting.first()?;
    let what = format!(
        "{} may back off, the first until {:.0}, in {}",
        counted(waiting.len(), "failed index").replace("indexs", "indexes"),
        first.0,
        between(now, first.0)
    );
    let lines = waiting.iter().take(NAMED).map(|(until, index, count)| {
        format!("index {index}: {}, until {until:.0}", counted(*count, "failure"))
    });
    Some(Reason::new(what).with(lines.chain([told(backoff)]).collect()))
}

fn told(backoff: Backoff) -> String {
    let [base, cap] = [backoff.base, backoff.cap].map(|it| it.as_secs_f64());
    format!("the delay is {base} s after the first failure, then doubled, at most {cap} s")
}
