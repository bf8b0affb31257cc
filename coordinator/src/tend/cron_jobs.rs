//! CronJobs: looks at each when it is due, when it was changed, and when something happened to a
//! Job of it; carries out what the plan says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use stint_common::time::{after, now, since};

use crate::cron::{
    Child, Created, CronJob, JobRef, created, job_from_template, job_name, obsolete, plan,
};
use crate::registry::objects::kind::CRON_JOB;
use crate::registry::{CronName, Error, FOREGROUND, ORPHAN, Options, Registry, Said};

/// One that could not be seen to is looked at again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// One that is not due for long is looked at this often all the same: clocks may be set.
const LONGEST: Duration = Duration::from_secs(300);

/// Looks after the CronJobs; never ends by itself.
pub(super) async fn tend_cron_jobs(registry: &Registry) {
    let mut news = registry.cron_news();
    let mut due: BTreeMap<CronName, Timestamp> = BTreeMap::new();
    let mut all = true;
    loop {
        if all {
            match registry.cron_names().await {
                Ok(names) => {
                    due.extend(names.into_iter().map(|name| (name, Timestamp::MIN)));
                    all = false;
                }
                Err(error) => tracing::warn!(%error, "looking for CronJobs"),
            }
        }
        let at = now();
        let ready: BTreeSet<CronName> =
            due.iter().filter(|(_, due)| **due <= at).map(|(name, _)| name.clone()).collect();
        for name in ready {
            let next = match tend(registry, &name).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(namespace = name.0, cron_job = name.1, %error, "a CronJob");
                    Some(AGAIN)
                }
            };
            match next {
                Some(next) => drop(due.insert(name, after(now(), next.min(LONGEST)))),
                None => drop(due.remove(&name)),
            }
        }
        let first = due.values().min().map_or(LONGEST, |first| since(*first, now()));
        let pause = if all { AGAIN } else { first };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            names = news.next() => match names {
                Some(names) => due.extend(names.into_iter().map(|name| (name, Timestamp::MIN))),
                None => all = true,
            },
        }
    }
}

/// Sees to one CronJob; says when to look at it again.
async fn tend(
    registry: &Registry,
    (namespace, name): &CronName,
) -> Result<Option<Duration>, Error> {
    let jobs = registry.jobs_of_cron(namespace, name).await?;
    let object = match registry.get_object(&CRON_JOB, namespace, name).await {
        Ok(object) => Some(object),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let uid = object.as_ref().and_then(|it| it["metadata"]["uid"].as_str()).unwrap_or_default();
    // What a CronJob made goes with it.
    for (owner, job) in &jobs {
        if owner != uid {
            let job = JobRef::of(job);
            registry.delete_one_job(namespace, &job.name, &job.uid).await?;
        }
    }
    let Some(object) = &object else { return Ok(None) };
    let own: Vec<&(String, Value)> = jobs.iter().filter(|(owner, _)| owner == uid).collect();
    if let Some(fate) = Fate::of(object) {
        return meet(registry, (namespace, name, uid), fate, &own).await;
    }
    let children: Vec<Child> =
        own.iter().filter(|(_, job)| is_controlled(job)).map(|(_, job)| Child::read(job)).collect();
    see_to(registry, object, children).await
}

/// What becomes of the Jobs of a CronJob that is being deleted, before it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// They stay, and are nobody's.
    Orphaned,
    /// They go first.
    Deleted,
}

impl Fate {
    fn of(cron_job: &Value) -> Option<Self> {
        let metadata = &cron_job["metadata"];
        let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
        let mut fates = finalizers.filter_map(|name| match name.as_str() {
            Some(ORPHAN) => Some(Self::Orphaned),
            Some(FOREGROUND) => Some(Self::Deleted),
            _ => None,
        });
        fates.next().filter(|_| metadata["deletionTimestamp"].is_string())
    }
}

/// Sees to the Jobs of a CronJob that is being deleted; what happens to them brings it here again.
async fn meet(
    registry: &Registry,
    (namespace, name, uid): (&str, &str, &str),
    fate: Fate,
    jobs: &[&(String, Value)],
) -> Result<Option<Duration>, Error> {
    for (_, job) in jobs {
        let job = JobRef::of(job);
        match fate {
            Fate::Orphaned => registry.release_job(namespace, &job.name, uid).await?,
            Fate::Deleted => registry.delete_one_job(namespace, &job.name, &job.uid).await?,
        }
    }
    if fate == Fate::Orphaned || jobs.is_empty() {
        registry.jobs_are_seen_to(namespace, name, uid).await?;
        return Ok(None);
    }
    Ok(Some(AGAIN))
}

/// A Job that a person made from a CronJob is its own, and not in its controller's hands.
fn is_controlled(job: &Value) -> bool {
    let owners = job["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|it| it["kind"] == "CronJob" && it["controller"] == true)
}

async fn see_to(
    registry: &Registry,
    object: &Value,
    mut children: Vec<Child>,
) -> Result<Option<Duration>, Error> {
    let mut cron = CronJob::read(object);
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    let (namespace, before) = (text("namespace"), cron.status.clone());
    for job in obsolete(&cron, &children) {
        registry.delete_one_job(namespace, &job.name, &job.uid).await?;
        children.retain(|child| child.job.uid != job.uid);
        cron.status.active.retain(|active| active.uid != job.uid);
        say(registry, object, false, "SuccessfulDelete", &format!("Deleted job {}", job.name))
            .await;
    }
    let known: BTreeSet<String> = children.iter().map(|child| child.job.uid.clone()).collect();
    let mut plan = plan(&cron, &children, |job| known.contains(&job.uid), now());
    for job in &plan.replace {
        registry.delete_one_job(namespace, &job.name, &job.uid).await?;
    }
    if let Some(scheduled) = plan.create.filter(|_| !registry.is_terminating(namespace)) {
        match make(registry, object, scheduled).await {
            Ok(outcome) => created(&mut plan, outcome),
            Err(error) => {
                let message = format!("Error creating job: {error}");
                say(registry, object, true, "FailedCreate", &message).await;
                if error.is_transient() {
                    return Err(error);
                }
            }
        }
    }
    if plan.status != before {
        let status = plan.status.write();
        registry.write_cron_status(namespace, &cron.name, &cron.uid, &status).await?;
    }
    for event in &plan.events {
        say(registry, object, event.warning, event.reason, &event.message).await;
    }
    Ok(plan.wake_after)
}

/// Makes the Job for a time; its name makes sure that it is made once.
async fn make(registry: &Registry, object: &Value, scheduled: Timestamp) -> Result<Created, Error> {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    let (namespace, uid) = (text("namespace"), text("uid"));
    let body = job_from_template(object, scheduled).to_string();
    let name = job_name(text("name"), scheduled);
    if registry.is_made_and_gone(namespace, &name, uid).await? {
        return Ok(Created::Gone);
    }
    let options = Options::default();
    match registry.create_job(namespace, body.as_bytes(), None, &options).await {
        Ok(answer) => Ok(Created::Now(JobRef::of(&answer.object))),
        Err(Error::AlreadyExists { .. }) => {
            let job = registry.get_job(namespace, &name).await?;
            let owners = job["metadata"]["ownerReferences"].as_array();
            let own = owners.into_iter().flatten().any(|it| it["uid"] == *uid);
            Ok(if own { Created::Before(JobRef::of(&job)) } else { Created::Anothers })
        }
        Err(error) => Err(error),
    }
}

async fn say(registry: &Registry, object: &Value, warning: bool, reason: &str, message: &str) {
    let said = Said { warning, reason, message, component: "cronjob-controller" };
    registry.say(object, said).await;
}
