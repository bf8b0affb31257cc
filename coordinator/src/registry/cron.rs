//! What the CronJobs' loop needs besides the verbs that clients have: which CronJobs to look at,
//! the Jobs of one, and writing a status.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use stint_common::names::ALL_NAMESPACES;

use super::Error;
use super::convert::StoredJob;
use super::objects::{StoredObject, kind::CRON_JOB};
use super::options::{Options, Propagation};
use super::store::Registry;
use crate::store::{Change, OF_DELETION, Object, Replica, WatchError, Watcher};

/// A CronJob's namespace and name.
pub type CronName = (String, String);

/// Says in a Job's record that a CronJob owns it; looked for in the bytes, since it is asked of
/// every Job.
const OWNED: &[u8] = b"\"kind\":\"CronJob\"";

/// News of CronJobs and of their Jobs.
#[derive(Debug)]
pub struct CronNews {
    replica: Arc<Replica>,
    cron_jobs: Watcher,
    jobs: Watcher,
}

impl CronNews {
    /// Waits for news, and says which CronJobs it is about; `None` when that is not known any more.
    /// Safe to cancel.
    pub async fn next(&mut self) -> Option<BTreeSet<CronName>> {
        let changes = tokio::select! {
            changes = self.cron_jobs.next() => changes,
            changes = self.jobs.next() => changes,
        };
        match changes {
            Ok(changes) => Some(changes.iter().filter_map(name_of).collect()),
            Err(WatchError::Expired(_)) => {
                let now = self.replica.applied();
                self.cron_jobs = self.replica.watch_of(CRON_JOB.about.plural, now);
                self.jobs = self.replica.watch(now);
                None
            }
            Err(WatchError::Closed) => std::future::pending().await,
        }
    }
}

fn name_of(change: &Change) -> Option<CronName> {
    let object = &change.object;
    if object.resource == CRON_JOB.about.plural {
        return Some((object.namespace.clone(), object.name.clone()));
    }
    let (name, _) = owner(object)?;
    Some((object.namespace.clone(), name))
}

/// Name and uid of the CronJob that owns a Job.
fn owner(object: &Object) -> Option<(String, String)> {
    if !object.payload.windows(OWNED.len()).any(|bytes| bytes == OWNED) {
        return None;
    }
    let job = StoredJob::one_of_many(object)?;
    let owners = job.object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["kind"] == "CronJob")?;
    let text = |name: &str| owner[name].as_str().unwrap_or_default().to_owned();
    Some((text("name"), text("uid")))
}

impl Registry {
    /// News from now on.
    #[must_use]
    pub fn cron_news(&self) -> CronNews {
        let replica = Arc::clone(&self.replica);
        let now = replica.applied();
        CronNews {
            cron_jobs: replica.watch_of(CRON_JOB.about.plural, now),
            jobs: replica.watch(now),
            replica,
        }
    }

    /// All CronJobs, and those that Jobs say they belong to.
    ///
    /// # Errors
    ///
    /// 503 when JetStream is away.
    pub async fn cron_names(&self) -> Result<BTreeSet<CronName>, Error> {
        self.replica.fresh_of(CRON_JOB.about.plural).await?;
        let (cron_jobs, _) = self.replica.list(CRON_JOB.about.plural, None);
        let mut names: BTreeSet<CronName> =
            cron_jobs.iter().map(|it| (it.namespace.clone(), it.name.clone())).collect();
        let (jobs, _) = self.replica.list("jobs", None);
        names.extend(jobs.iter().filter_map(|job| Some((job.namespace.clone(), owner(job)?.0))));
        Ok(names)
    }

    /// Jobs that say they belong to the CronJob of a name, with the uid that they say it has.
    ///
    /// # Errors
    ///
    /// 503 when JetStream is away.
    pub async fn jobs_of_cron(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<(String, Value)>, Error> {
        self.replica.fresh().await?;
        let (jobs, _) = self.replica.list("jobs", Some(namespace));
        let owned = jobs.iter().filter_map(|object| {
            let (owner, uid) = owner(object).filter(|(owner, _)| owner == name)?;
            debug_assert!(!owner.is_empty());
            Some((uid, StoredJob::one_of_many(object)?.into_view()))
        });
        Ok(owned.collect())
    }

    /// Writes a CronJob's status, if it is still the one of this uid.
    ///
    /// # Errors
    ///
    /// 404, 409, 503.
    pub async fn write_cron_status(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        status: &Value,
    ) -> Result<(), Error> {
        let options = Options::default();
        let write = self.change_object(&CRON_JOB, namespace, name, &options, |stored| {
            if stored.uid() == uid {
                stored.object["status"] = status.clone();
            }
            Ok(Vec::new())
        });
        write.await.map(drop)
    }

    /// Deletes a Job in the background, and no other of its name.
    ///
    /// # Errors
    ///
    /// 409, 503; one that is gone is none.
    pub async fn delete_one_job(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), Error> {
        let options = Options {
            uid: Some(uid.to_owned()),
            propagation: Some(Propagation::Background),
            ..Options::default()
        };
        match self.delete_job(namespace, name, &options).await {
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a CronJob's Job of this name was made and is gone already, as far as that is still
    /// known (an hour).
    ///
    /// # Errors
    ///
    /// 503 when JetStream is away.
    pub async fn is_made_and_gone(
        &self,
        namespace: &str,
        name: &str,
        owner: &str,
    ) -> Result<bool, Error> {
        let names = &self.jet.names;
        let subject = names.object("jobs", namespace, name);
        let stored = self.jet.read_last(&names.objects_stream(), &subject).await?;
        let stored = stored.filter(|it| !it.payload.is_empty() && it.subject == subject);
        let job = stored.and_then(|it| StoredJob::decode(&it.payload, it.sequence).ok());
        Ok(job.is_some_and(|job| {
            let owners = job.object["metadata"]["ownerReferences"].as_array();
            let own = owners.into_iter().flatten().any(|it| it["uid"] == *owner);
            job.record.gone && own
        }))
    }

    /// Takes a Job out of the hands of its owner, which is going and leaves it behind.
    ///
    /// # Errors
    ///
    /// 409, 503; a Job that is gone is none.
    pub async fn release_job(&self, namespace: &str, name: &str, owner: &str) -> Result<(), Error> {
        let options = Options::default();
        let released = self.change_job(namespace, name, &options, |job| {
            if let Some(metadata) = job.object["metadata"].as_object_mut()
                && let Some(owners) = metadata.get_mut("ownerReferences")
                && let Some(list) = owners.as_array_mut()
            {
                list.retain(|it| it["uid"] != *owner);
                if list.is_empty() {
                    metadata.shift_remove("ownerReferences");
                }
            }
            Ok(Vec::new())
        });
        match released.await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What a CronJob's deletion waited for has happened to its Jobs.
    ///
    /// # Errors
    ///
    /// 409, 503; one that is gone is none.
    pub async fn jobs_are_seen_to(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), Error> {
        let options = Options::default();
        let write = self.change_object(&CRON_JOB, namespace, name, &options, |stored| {
            if stored.uid() == uid {
                let mut object = stored.object.clone();
                if let Some(names) = object["metadata"]["finalizers"].as_array_mut() {
                    names.retain(|name| !OF_DELETION.iter().any(|own| *name == *own));
                }
                stored.set_object(object, &CRON_JOB);
            }
            Ok(Vec::new())
        });
        match write.await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a namespace takes nothing new.
    #[must_use]
    pub fn is_terminating(&self, namespace: &str) -> bool {
        let object = self.replica.get("namespaces", ALL_NAMESPACES, namespace);
        let stored = object.and_then(|object| StoredObject::one_of_many(&object));
        stored.is_some_and(|stored| stored.is_being_deleted())
    }
}
