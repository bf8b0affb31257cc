//! The judgement at the end: every Job ended once, and its counters are what the durable records
//! say.

use std::time::Duration;

use stint_common::backoff::Backoff;
use stint_common::id::{Attempt, JobUid, PodId, Slot};
use stint_common::names::PodsSubject;
use stint_common::wire::Outcome;
use stint_coordinator::job::condition;

use super::clients::Wish;
use super::job_truth::JobTruth;
use super::truth::{self, PodTruth, Truth};
use super::world::World;

/// What is still to come, in words.
pub fn unsettled(world: &World, wishes: &[Wish]) -> Vec<String> {
    let truth = truth::lock(&world.truth);
    let mut waits = Vec::new();
    for wish in wishes {
        if !truth.went_back && !truth.jobs.values().any(|job| job.name == wish.name) {
            waits.push(format!("{} was never made", wish.name));
        }
    }
    for job in truth.jobs.values() {
        if !job.record.gone && job.record.status.finished().is_none() {
            waits.push(format!("{} has not ended: {:?}", job.name, job.record.status));
        }
        let deleted = job.record.deletion.is_some() || truth.deleted.contains(&job.uid);
        let ttl = job.spec["ttlSecondsAfterFinished"].is_number();
        if !job.record.gone && (deleted || ttl) {
            waits.push(format!("{} is deleted and still there", job.name));
        }
    }
    for (pod, facts) in &truth.pods {
        if facts.claimed_by.is_some() && facts.end.is_none() && !facts.purged {
            waits.push(format!("{pod} was claimed and has not ended"));
        }
        if facts.ghost.is_some() {
            waits.push(format!("{pod} was claimed after it was purged, and has not ended"));
        }
    }
    waits.extend(truth.running().map(|(pod, on)| format!("{pod} still runs on {on:?}")));
    waits
}

/// How long a Job has waited at most since its pods failed one after the other: what may be ignored
/// may go on like that.
pub fn backed_off(world: &World) -> Duration {
    let truth = truth::lock(&world.truth);
    let failures = truth.jobs.values().map(|job| {
        let ledger = &job.record.ledger;
        let slots = (0..job.completions().unwrap_or(0)).map(|slot| ledger.slot(Slot(slot)));
        let of_slot = slots.map(|state| state.failures + state.ignored).max();
        ledger.backoff.failures.max(of_slot.unwrap_or(0))
    });
    let most = failures.max().unwrap_or(0);
    (1..=most).map(|failures| Backoff::POD_FAILURE.delay(failures)).sum()
}

/// What is left in the streams of Jobs that are gone, or that never were, long after.
pub fn left_over(world: &World) -> Vec<String> {
    let truth = truth::lock(&world.truth);
    let state = world.net.state();
    let there = |uid: &JobUid| truth.jobs.get(uid).is_some_and(|job| !job.record.gone);
    let subjects = state.server.all("stint.").map(|(subject, _)| subject);
    let left = subjects.filter(|subject| job_of(&truth, subject).is_some_and(|uid| !there(&uid)));
    left.map(|subject| format!("{subject} was left behind by a Job that is gone")).collect()
}

/// The Job of what stands at a subject, of what goes with its Job.
fn job_of(truth: &Truth, subject: &str) -> Option<JobUid> {
    let names = truth.names();
    if let Some(("templates", uid, _)) = names.parse_object_subject(subject) {
        return uid.parse().ok();
    }
    if let Some((_, pod)) = names.parse_work_subject(subject) {
        return Some(pod.job);
    }
    names.parse_pods_subject(subject).map(|about| match about {
        PodsSubject::Pod(pod) | PodsSubject::Order(pod) | PodsSubject::Word(pod) => pod.job,
    })
}

/// What is wrong with how it all came out.
pub fn judge(world: &World) -> Vec<String> {
    let truth = truth::lock(&world.truth);
    let mut wrong = truth.violations.clone();
    if wrong.is_empty() && !truth.went_back {
        for job in truth.jobs.values() {
            judge_job(&truth, job, &mut wrong);
        }
    }
    wrong
}

fn pods<'a>(truth: &'a Truth, job: &JobTruth) -> impl Iterator<Item = &'a PodTruth> {
    let uid = job.uid;
    let first = PodId { job: uid, slot: Slot(0), attempt: Attempt(0) };
    let pods = truth.pods.range(first..).take_while(move |(pod, _)| pod.job == uid);
    pods.map(|(_, facts)| facts)
}

fn ends(truth: &Truth, job: &JobTruth, outcome: Outcome) -> usize {
    let ended = |facts: &&PodTruth| facts.end.as_ref().is_some_and(|end| end.outcome == outcome);
    pods(truth, job).filter(ended).count()
}

fn has_restarted(truth: &Truth, job: &JobTruth) -> bool {
    pods(truth, job).any(|facts| facts.starts > 1)
}

fn judge_job(truth: &Truth, job: &JobTruth, wrong: &mut Vec<String>) {
    let status = &job.record.status;
    let Some(finished) = status.finished() else { return };
    let (succeeded, failed) =
        (ends(truth, job, Outcome::Succeeded), ends(truth, job, Outcome::Failed));
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!(
                "Job {}: {what}: records say {succeeded} succeeded, {failed} failed\n  {status:?}\n  {}",
                job.name, job.spec
            ));
        }
    };
    must(status.succeeded as usize <= succeeded, "more successes than records");
    // Pods that are stopped since their Job is over count as failed, however they ended.
    let stopped = finished.kind == condition::FAILED || !job.spec["successPolicy"].is_null();
    let most = if stopped { succeeded + failed - status.succeeded as usize } else { failed };
    must(status.failed as usize <= most, "more failures than records");
    let plain = !job.disturbed
        && job.record.deletion.is_none()
        && job.spec["podFailurePolicy"].is_null()
        && job.spec["successPolicy"].is_null()
        && job.spec["activeDeadlineSeconds"].is_null()
        && job.spec["suspend"] == false;
    if finished.kind == condition::COMPLETE {
        let policy = !job.spec["successPolicy"].is_null();
        if let Some(completions) = job.completions().filter(|_| !policy && !job.disturbed) {
            must(status.succeeded >= completions, "complete without its completions");
        }
        if plain {
            must(status.failed as usize == failed, "failures were not all counted");
            if !job.indexed {
                must(status.succeeded as usize == succeeded, "successes were not all counted");
            }
        }
    } else if plain {
        // Of pods that restart in place the restarts count, too, whatever becomes of the pods.
        let restarts = job.spec["template"]["spec"]["restartPolicy"] == "OnFailure";
        must(failed > 0 || (restarts && has_restarted(truth, job)), "failed without a failure");
        if finished.reason == "BackoffLimitExceeded" && !restarts {
            must(status.failed > job.backoff_limit(), "failed within its back-off limit");
        }
    }
}
