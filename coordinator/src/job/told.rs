//! Events about single pods: `SuccessfulCreate` and `SuccessfulDelete`, as Kubernetes' controller
//! records them, but not for each of a large Job's pods.
//!
//! Differs from Kubernetes: there each pod has its Event, of which the client that records them
//! lets 25 through at once and drops the rest. Here the first 25 of each kind are told one by one,
//! then one Event at each doubling of their number, in Kubernetes' words for many alike.

use super::findings::pod_name;
use super::intake::Intake;
use super::note::Event;
use super::pod::Pod;
use super::pods::Moves;
use super::record::{Key, Told};
use super::totals::count;
use super::view::Job;

/// Pods of a Job that are told of one by one: as many as Kubernetes' recorder lets through.
const ONE_BY_ONE: u32 = 25;

/// What there is to tell of pods that come and go with this change.
pub(super) fn tell(job: &Job, intake: &Intake, moves: &Moves, told: &mut Told) -> Vec<Event> {
    let mut events = Vec::new();
    let created = ("SuccessfulCreate", "Created pod", &mut told.created);
    tell_of(job, created, &moves.issues, &mut events);
    let closes = intake.closes.iter().chain(&moves.drops);
    let keys = closes.map(|close| (close.slot, close.attempt));
    let untold = |key: &Key| job.pods.get(key).is_some_and(is_told_now);
    let deleted: Vec<Key> = keys.filter(untold).collect();
    tell_of(job, ("SuccessfulDelete", "Deleted pod", &mut told.deleted), &deleted, &mut events);
    events
}

/// Whether a pod that is taken in is told to end by that, and not by a word before.
fn is_told_now(pod: &Pod) -> bool {
    !pod.has_ended() && pod.order.is_none()
}

fn tell_of(
    job: &Job,
    (reason, what, told): (&str, &str, &mut u32),
    pods: &[Key],
    events: &mut Vec<Event>,
) {
    let before = *told;
    *told = before.saturating_add(count(pods.len()));
    let first = usize::try_from(ONE_BY_ONE.saturating_sub(before)).unwrap_or(usize::MAX);
    for key in pods.iter().take(first) {
        events.push(Event::normal(reason, &format!("{what}: {}", pod_name(job, *key))));
    }
    if doublings(*told) > doublings(before)
        && let Some(key) = pods.last()
    {
        let name = pod_name(job, *key);
        let message = format!("(combined from similar events): {what}: {name}");
        let count = *told - ONE_BY_ONE;
        events.push(Event { count, ..Event::normal(reason, &message) });
    }
}

/// How often the number that is told one by one was doubled to come to this.
fn doublings(pods: u32) -> u32 {
    (pods / ONE_BY_ONE).checked_ilog2().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doublings_are_of_the_first_ones() {
        let all = [0, 24, 25, 49, 50, 99, 100, 199, 200, 1_000_000];
        assert_eq!(all.map(doublings), [0, 0, 0, 0, 1, 1, 2, 2, 3, 15]);
    }
}
