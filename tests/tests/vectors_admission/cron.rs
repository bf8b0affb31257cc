//! Kubernetes' own tables on CronJobs: admission, and what their controller does.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob as TypedCronJob;
use serde_json::{Value, json};
use stint_coordinator::admission::plain::default_cron_job;
use stint_coordinator::admission::{Cause, Causes, Path, semantic, typed, validate};
use stint_coordinator::cron::{
    Child, Created, CronJob, JobRef, Missed, Plan, Schedule, created, job_from_template,
    most_recent, next_after, obsolete, plan, time_zone,
};

use super::harness::{Outcome, Tally, oracle, same, same_faults};

/// All tables about CronJobs.
pub(crate) fn run(tally: &mut Tally) {
    tally.run("batch-v1/TestSetDefaultCronJob", defaulting);
    tally.run("batch-validation/TestTimeZones", zones);
    tally.run("batch-validation/TestValidateCronJob", create);
    tally.run("batch-validation/TestValidateCronJobScheduleTZ", zone_in_schedule);
    tally.run("batch-validation/TestValidateCronJobSpec", spec);
    tally.run("batch-validation/TestValidateScheduleFormatNormalCases", format);
    tally.run("batch-validation/TestValidateScheduleFormatPanicRecovery", format);
    tally.run("controller-cronjob/TestByJobStartTime", by_start);
    tally.run("controller-cronjob/TestControllerV2SyncCronJob", sync);
    tally.run("controller-cronjob/TestGetJobFromTemplate2", from_template);
    tally.run("controller-cronjob/TestMostRecentScheduleTime", recent);
    tally.run("controller-cronjob/TestNextScheduleTimeDuration", next);
}

fn typed_cron(json: &Value) -> TypedCronJob {
    typed::read::<TypedCronJob>(json).unwrap().object
}

fn defaulted(json: &Value) -> Value {
    let mut json = json.clone();
    default_cron_job(&mut json);
    json
}

fn defaulting(case: &Value) -> Outcome {
    let found = defaulted(&case["input"]["object"]);
    same("idempotent", &defaulted(&found), &found)?;
    let expected = &oracle(case)["object"];
    if semantic::equal(&found["spec"], &expected["spec"]) {
        return Ok(());
    }
    Err(format!("found {found:#}, expected {expected:#}"))
}

fn zones(case: &Value) -> Outcome {
    let name = case["input"]["timeZone"].as_str().unwrap();
    same(name, &time_zone(name).is_ok(), &oracle(case)["valid"].as_bool().unwrap())
}

fn create(case: &Value) -> Outcome {
    let expected = oracle(case);
    let faults = |json: &Value| validate::cron_job(&typed_cron(json)).into_vec();
    let cron = &case["input"]["cronJob"];
    same_faults("as it is", &faults(cron), &expected["errors"])?;
    same_faults("defaulted", &faults(&defaulted(cron)), &expected["errorsAfterDefaulting"])?;
    let update = &case["input"]["update"];
    if !update.is_object() {
        return Ok(());
    }
    let [new, old] = ["newCronJob", "oldCronJob"].map(|name| typed_cron(&update[name]));
    let found = validate::cron_job_update(&new, &old).into_vec();
    same_faults("update", &found, &expected["updateErrors"])
}

/// Whether something is refused as the table wants it: nothing, or with this in its first message.
fn refused(found: &[Cause], wanted: &Value) -> Outcome {
    let wanted = wanted.as_str().unwrap_or_default();
    let first = found.first().map(ToString::to_string).unwrap_or_default();
    let fits = if wanted.is_empty() { found.is_empty() } else { first.contains(wanted) };
    if fits { Ok(()) } else { Err(format!("found {first:?}, expected {wanted:?}")) }
}

fn zone_in_schedule(case: &Value) -> Outcome {
    let (input, want) = (&case["input"], &case["want"]);
    let create = validate::cron_job(&typed_cron(&input["create"])).into_vec();
    let [new, old] = ["newCronJob", "oldCronJob"].map(|name| typed_cron(&input[name]));
    let update = validate::cron_job_update(&new, &old).into_vec();
    let errors: Vec<&Value> = want.as_object().unwrap().values().collect();
    same("two answers are wanted", &errors.len(), &2)?;
    let named = |part: &str| {
        let members = want.as_object().unwrap();
        members.iter().find(|(name, _)| name.to_lowercase().contains(part)).map(|(_, it)| it)
    };
    refused(&create, named("create").unwrap())?;
    refused(&update, named("update").unwrap())
}

fn spec(case: &Value) -> Outcome {
    let read = |name: &str| {
        let spec = &case["input"][name];
        (!spec.is_null()).then(|| typed_cron(&json!({"spec": spec})).spec)
    };
    let mut causes = Causes::default();
    let (new, old) = (read("newSpec").unwrap(), read("oldSpec"));
    validate::cron_job_spec(&new, old.as_ref(), &Path::root("spec"), &mut causes);
    same_faults("spec", &causes.into_vec(), &oracle(case)["errors"])
}

fn format(case: &Value) -> Outcome {
    let input = &case["input"];
    let mut causes = Causes::default();
    let spec = Path::root("spec");
    validate::cron_schedule(
        input["schedule"].as_str().unwrap(),
        input["allowTZInSchedule"] == true,
        input["timeZone"].as_str(),
        &spec.child("schedule"),
        &mut causes,
    );
    refused(&causes.into_vec(), &case["want"]["messageContains"])
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn by_start(case: &Value) -> Outcome {
    // The oldest go first: with none to be kept, all of them in this order.
    let mut cron = CronJob::read(&json!({}));
    cron.keep_failed = Some(0);
    let children = case["input"]["jobs"].as_array().unwrap().iter().map(|job| {
        let finish = Some(stint_coordinator::cron::Finish::Failed);
        Child { finish, ..Child::read(job) }
    });
    let found: Vec<String> =
        obsolete(&cron, &children.collect::<Vec<_>>()).into_iter().map(|job| job.name).collect();
    let wanted = oracle(case)["jobs"].as_array().unwrap().iter();
    let wanted: Vec<String> =
        wanted.map(|job| job["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    same("order", &found, &wanted)
}

fn sync(case: &Value) -> Outcome {
    let (input, got) = (&case["input"], &case["got"]);
    let injects = case["injects"].to_string();
    if injects.contains("get-job-error") {
        // Jobs are read before anything is decided.
        return Ok(());
    }
    let mut cron = CronJob::read(&input["cronJob"]);
    let stored = CronJob::read(&input["cronJobInStore"]).status;
    let children: Vec<Child> = input["jobs"].as_array().unwrap().iter().map(Child::read).collect();
    // What is decided by is never behind the store here.
    let before = cron.status.clone();
    let newer = |child: &&Child| child.finish.is_none() && stored.has(&child.job.uid);
    for child in children.iter().filter(newer) {
        if !before.has(&child.job.uid) {
            cron.status.active.push(child.job.clone());
        }
    }
    let known = cron.status.clone();
    let in_store = &input["jobInStore"];
    let there = |job: &JobRef| in_store["metadata"]["name"] == *job.name;
    let mut plan = plan(&cron, &children, there, time(&input["now"]));
    let (deleted, due) = (plan.replace.len(), plan.create);
    let made = make(&mut plan, input, &injects);
    same("created", &u64::from(made), &got["created"].as_u64().unwrap())?;
    same("deleted", &(deleted as u64), &got["deleted"].as_u64().unwrap())?;
    if let (Some(due), true) = (due, made) {
        let job = job_from_template(&input["cronJob"], due);
        same("name", &job["metadata"]["name"], &got["createdJobs"][0]["metadata"]["name"])?;
    }
    let events: Vec<Value> = plan
        .events
        .iter()
        .map(|event| {
            let kind = if event.warning { "Warning" } else { "Normal" };
            json!(format!("{kind} {} {}", event.reason, event.message))
        })
        .collect();
    same("events", &Value::Array(events), &got["events"])?;
    if !case["want"]["requeueAfterMs"].is_null() {
        let wake = plan.wake_after.map(|wake| json!(u64::try_from(wake.as_millis()).unwrap()));
        same("wake", &wake.unwrap_or(Value::Null), &got["requeueAfterMs"])?;
    }
    if got["updateStatus"] == true {
        let expected = stint_coordinator::cron::CronStatus::read(&got["statusAfter"]);
        return same("status", &plan.status.write(), &expected.write());
    }
    same("nothing is written", &plan.status, &known)
}

/// Carries out what is planned, as the case has it. Says whether a Job was made.
fn make(plan: &mut Plan, input: &Value, injects: &str) -> bool {
    let Some(due) = plan.create else { return false };
    if injects.contains("NamespaceTerminating") {
        return false;
    }
    if injects.contains("AlreadyExists") {
        let job = &input["jobInStore"];
        let own =
            job["metadata"]["ownerReferences"][0]["uid"] == input["cronJob"]["metadata"]["uid"];
        created(plan, if own { Created::Before(JobRef::of(job)) } else { Created::Anothers });
        return false;
    }
    let mut job = job_from_template(&input["cronJob"], due);
    job["metadata"]["uid"] = json!("test-uid");
    created(plan, Created::Now(JobRef::of(&job)));
    true
}

fn from_template(case: &Value) -> Outcome {
    let input = &case["input"];
    let found = job_from_template(&input["cronJob"], time(&input["scheduledTime"]));
    let expected = &oracle(case)["job"];
    for member in ["name", "labels", "annotations", "ownerReferences"] {
        same(member, &found["metadata"][member], &expected["metadata"][member])?;
    }
    same("spec", &found["spec"], &expected["spec"])
}

fn schedule(cron: &CronJob) -> Schedule {
    let zone = cron.time_zone.as_deref().map(|name| time_zone(name).unwrap());
    Schedule::parse(&cron.schedule, &zone.unwrap_or(jiff::tz::TimeZone::UTC)).unwrap()
}

fn recent(case: &Value) -> Outcome {
    let (input, expected) = (&case["input"], oracle(case));
    let cron = CronJob::read(&input["cronJob"]);
    let within = input["includeStartingDeadlineSeconds"] == true;
    let now = time(&input["now"]);
    let answer = most_recent(&cron, now, &schedule(&cron), within);
    same("error", &answer.is_err(), &(expected["error"] == true))?;
    let earliest = |at: Timestamp| same("earliest", &at, &time(&expected["earliestTime"]));
    match answer {
        Err((at, _)) => earliest(at),
        Ok(found) => {
            earliest(found.earliest)?;
            let latest = found.latest.map_or(Value::Null, |at| json!(at.to_string()));
            same("latest", &latest, &expected["mostRecentTime"])?;
            let missed = match found.missed {
                Missed::None => "none",
                Missed::Few => "few",
                Missed::Many => "many",
            };
            same("missed", &json!(missed), &expected["missed"])
        }
    }
}

fn next(case: &Value) -> Outcome {
    let input = &case["input"];
    let cron = CronJob::read(&input["cronJob"]);
    let wait = next_after(&cron, time(&input["now"]), &schedule(&cron)).unwrap();
    same("wait", &json!(u64::try_from(wait.as_millis()).unwrap()), &oracle(case)["durationMs"])
}
