//! What one termination costs its Job: heard of, decided, taken over.
//!
//! `cargo bench -p stint-coordinator --bench plan`. Prints one row of a table for each kind of Job
//! and number of active pods: the median, and the 99th percentile, of single terminations. The cost
//! of a decision must not grow with the pods that it is not about.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use stint_common::id::{Attempt, JobUid, ObjectRef, Slot};
use stint_common::time::after;
use stint_coordinator::job::{
    ConditionStatus, ContainerExit, EndFact, FailureAction, FailureMatch, FailurePolicy,
    FailureRule, Job, JobSpec, JobStatus, Ledger, PodFact, SuccessPolicy, SuccessRule, plan,
};
use uuid::Uuid;

/// What a decision about one termination may take, in a Job of any size.
const GOAL: Duration = Duration::from_micros(50);
/// Terminations that are measured in each Job.
const RUNS: u32 = 900;
/// Active pods.
const SIZES: [u32; 3] = [1_000, 10_000, 100_000];

fn start() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().unwrap()
}

/// An Indexed Job that has as many pods as it may have, and as many indexes again to come.
fn job_of(active: u32, shape: fn(&mut JobSpec)) -> Job {
    let mut spec = JobSpec {
        parallelism: active,
        completions: Some(2 * active),
        indexed: true,
        backoff_limit: u32::MAX,
        ..JobSpec::default()
    };
    shape(&mut spec);
    let object = ObjectRef { namespace: "default".to_owned(), name: "job".to_owned() };
    let uid = JobUid(Uuid::from_u128(1));
    let (status, ledger) = (JobStatus::default(), Ledger::default());
    let mut job = Job::restore(uid, object, spec, status, ledger, None);
    settle(&mut job, start());
    assert_eq!(job.status().active, active);
    job
}

fn settle(job: &mut Job, now: Timestamp) {
    while let Some(change) = plan(job, now).change {
        job.apply(&change);
    }
}

fn end(succeeded: bool, finished_at: Timestamp) -> PodFact {
    let code = i32::from(!succeeded);
    let exits = vec![ContainerExit { container: "main".to_owned(), code }];
    PodFact::Ended(EndFact { succeeded, finished_at, exits, conditions: Vec::new() })
}

/// Two thirds of the pods succeed.
fn mixed(slot: u32) -> bool {
    !slot.is_multiple_of(3)
}

/// Ends pods one by one, prints the row; gives the median of `plan` alone.
fn measure(name: &str, active: u32, job: &mut Job, succeeds: fn(u32) -> bool) -> Duration {
    let (mut plans, mut wholes) = (Vec::new(), Vec::new());
    for slot in 0..RUNS {
        let now = after(start(), Duration::from_secs(u64::from(slot)));
        let fact = end(succeeds(slot), now);
        let begin = Instant::now();
        let _ = black_box(job.observe(Slot(slot), Attempt(0), fact));
        let decided = Instant::now();
        let change = plan(black_box(job), now).change;
        plans.push(decided.elapsed());
        if let Some(change) = &change {
            job.apply(change);
        }
        wholes.push(begin.elapsed());
    }
    plans.sort_unstable();
    wholes.sort_unstable();
    let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "| {name} | {active} | {:.1} µs | {:.1} µs | {:.1} µs |",
        micros(at(&plans, 50)),
        micros(at(&plans, 99)),
        micros(at(&wholes, 50)),
    );
    at(&plans, 50)
}

fn policies(spec: &mut JobSpec) {
    spec.backoff_limit_per_index = Some(3);
    spec.replace_only_failed = true;
    let on = FailureMatch::ExitCodes {
        container: None,
        operator: stint_coordinator::job::ExitOperator::In,
        values: (10..60).collect(),
    };
    let ignore = FailureRule {
        action: Some(FailureAction::Ignore),
        on: FailureMatch::PodConditions(vec![(
            "DisruptionTarget".to_owned(),
            ConditionStatus::True,
        )]),
    };
    let fail = FailureRule { action: Some(FailureAction::FailJob), on };
    spec.failure_policy = Some(FailurePolicy { rules: vec![fail, ignore] });
    let rule = SuccessRule { indexes: None, count: Some(u32::MAX) };
    spec.success_policy = Some(SuccessPolicy { rules: vec![rule] });
}

fn main() {
    println!("| terminations of | active pods | `plan`, median | 99 % | with taking it over |");
    println!("| --- | --- | --- | --- | --- |");
    let mut worst = Duration::ZERO;
    for active in SIZES {
        let mut job = job_of(active, |_| {});
        worst = worst.max(measure("pods that succeed", active, &mut job, |_| true));
    }
    for active in SIZES {
        let mut job = job_of(active, |_| {});
        worst = worst.max(measure("pods of which a third fails", active, &mut job, mixed));
    }
    for active in SIZES {
        let mut job = job_of(active, policies);
        let name = "the same, with policies and limits per index";
        worst = worst.max(measure(name, active, &mut job, mixed));
    }
    for active in SIZES {
        let mut job = job_of(active, |_| {});
        job.set_spec(JobSpec { suspend: true, ..job.spec().clone() });
        settle(&mut job, start());
        worst = worst.max(measure("pods stopped by suspending", active, &mut job, |_| false));
    }
    for active in SIZES {
        let mut job = job_of(active, |spec| spec.active_deadline_seconds = Some(1));
        settle(&mut job, after(start(), Duration::from_secs(1)));
        worst = worst.max(measure("pods stopped by failure", active, &mut job, |_| false));
    }
    assert!(worst < GOAL, "a decision took {worst:?}, more than {GOAL:?}");
}
