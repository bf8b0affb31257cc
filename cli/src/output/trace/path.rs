//! What the Job's end waited for: the last pod to end, the pod whose end made room for that one,
//! and so on back to the beginning.

use std::time::Duration;

use jiff::Timestamp;
use stint_common::time::{after, since};

use super::read::PodTrace;

/// An end and the start that follows from it may be written down in this order, by clocks that
/// differ a little.
const TOLERANCE: Duration = Duration::from_millis(5);

/// One pod of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the list of pods.
    pub pod: usize,
    /// From the end before it (or the Job's beginning) to its first process.
    pub waited: Duration,
    /// How long it ran after that.
    pub ran: Duration,
}

/// The chain, first pod first. `begin` is the Job's, `end` its end or now.
#[must_use]
pub fn critical_path(pods: &[PodTrace], begin: Timestamp, end: Timestamp) -> Vec<Step> {
    let mut ends: Vec<(Timestamp, usize)> = pods
        .iter()
        .enumerate()
        .filter(|(_, pod)| pod.started.is_some())
        .map(|(place, pod)| (pod.finished.unwrap_or(end), place))
        .collect();
    ends.sort_unstable();
    let mut steps = Vec::new();
    let mut next = ends.len().checked_sub(1);
    while let Some(at) = next {
        let (finished, place) = ends[at];
        let Some(started) = pods[place].started else { break };
        let bound = after(started, TOLERANCE);
        // Strictly before: a chain comes to an end.
        let before = ends[..at].partition_point(|(end, _)| *end <= bound);
        // A retry waits for the attempt before it, whatever else ended meanwhile.
        let earlier = ends[..before].iter().rposition(|(_, other)| {
            let (pod, other) = (&pods[place], &pods[*other]);
            pod.attempt > 0 && pod.slot.is_some() && other.slot == pod.slot
        });
        next = earlier.or_else(|| before.checked_sub(1));
        let since_then = next.map_or(begin, |at| ends[at].0);
        steps.push(Step {
            pod: place,
            waited: since(started, since_then),
            // What lies before the end before it was told there.
            ran: since(finished, started.max(since_then)),
        });
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::super::read::Fate;
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn pod(index: u32, attempt: u32, started: i64, finished: i64) -> PodTrace {
        PodTrace {
            slot: Some(index),
            index: Some(index),
            attempt,
            name: format!("a-{index}-{attempt}"),
            node: None,
            created: at(started),
            claimed: Some(at(started)),
            started: Some(at(started)),
            finished: Some(at(finished)),
            fate: Fate::Succeeded,
            what: None,
            restarts: 0,
        }
    }

    #[test]
    fn the_chain_leads_back_to_the_beginning() {
        // Two at a time: 0 and 1 begin, 2 follows 1, 3 follows 2; 3's first attempt fails.
        let pods = [
            pod(0, 0, 100, 9000),
            pod(1, 0, 100, 1000),
            pod(2, 0, 1010, 5000),
            pod(3, 0, 5010, 6000),
            pod(3, 1, 16_000, 20_000),
        ];
        let path = critical_path(&pods, at(0), at(20_000));
        let places: Vec<usize> = path.iter().map(|step| step.pod).collect();
        assert_eq!(places, [1, 2, 3, 4]);
        let waited: Vec<u128> = path.iter().map(|step| step.waited.as_millis()).collect();
        assert_eq!(waited, [100, 10, 10, 10_000]);
        assert_eq!(path[3].ran.as_millis(), 4000);
        assert_eq!(critical_path(&[], at(0), at(1)), []);
    }
}
