//! Many Jobs at once: lists, page by page, and deleting whatever matches.

use std::sync::Arc;

use serde_json::Value;

use super::Error;
use super::change::Written;
use super::collection::list;
use super::convert::{StoredJob, may_be_selected, text_of};
use super::jobs::Answer;
use super::options::{Options, RevisionMatch, plain_revision};
use super::store::Registry;
use crate::store::Object;

impl Registry {
    /// Jobs of one namespace, or of all, that match the selectors.
    ///
    /// # Errors
    ///
    /// 400 for a bad `continue` or field; 503 when JetStream is away.
    pub async fn list_jobs(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<Value, Error> {
        let (objects, revision) = self.list_at("jobs", namespace, options).await?;
        let matches =
            options.fields.for_jobs().map_err(|error| Error::BadRequest(error.to_string()))?;
        let after = options.continue_after.as_deref().map(read_continue).transpose()?;
        let mut page = self.page(options);
        for object in objects {
            if !may_be_selected(&object, &options.fields) {
                continue;
            }
            let place = format!("{}/{}", object.namespace, object.name);
            if after.as_ref().is_some_and(|after| place <= *after) {
                continue;
            }
            let Some(job) = StoredJob::one_of_many(&object) else { continue };
            let job = job.into_view();
            if !options.labels.matches_object(&job) || !matches(&job) {
                continue;
            }
            if !page.take(job) {
                break;
            }
        }
        let (metadata, items) = page.finish(revision);
        Ok(list("batch/v1", "JobList", metadata, items))
    }

    /// What [`Registry::list_jobs`] gives, as text. Where nothing is selected by what a Job's JSON
    /// says, and all is wanted at once, it is made without taking that apart.
    ///
    /// # Errors
    ///
    /// As [`Registry::list_jobs`].
    pub async fn list_jobs_as_text(
        &self,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<String, Error> {
        let all = options.labels.is_everything() && options.fields.is_everything();
        if !all || options.limit > 0 || options.continue_after.is_some() {
            return Ok(self.list_jobs(namespace, options).await?.to_string());
        }
        let (objects, revision) = self.list_at("jobs", namespace, options).await?;
        let text = |object: Arc<Object>| {
            let whole = || Some(StoredJob::one_of_many(&object)?.into_view().to_string());
            text_of(&object).or_else(whole)
        };
        let jobs: Vec<String> = objects.into_iter().filter_map(text).collect();
        let jobs = jobs.join(",");
        Ok(format!(
            "{{\"apiVersion\":\"batch/v1\",\"kind\":\"JobList\",\
             \"metadata\":{{\"resourceVersion\":\"{revision}\"}},\"items\":[{jobs}]}}"
        ))
    }

    /// Objects as of the revision that is asked for, and the revision that they are of.
    pub(super) async fn list_at(
        &self,
        resource: &str,
        namespace: Option<&str>,
        options: &Options,
    ) -> Result<(Vec<Arc<Object>>, u64), Error> {
        match options.resource_version {
            // What there is here, however old.
            Some(0) => {}
            Some(revision) => self.replica.wait_for(plain_revision(revision)).await,
            None => drop(self.replica.fresh_of(resource).await?),
        }
        let (objects, revision) = self.replica.list(resource, namespace);
        let wanted = options.resource_version.map(plain_revision);
        let Some(wanted) = wanted else { return Ok((objects, revision)) };
        if wanted > revision {
            return Err(Error::TooLargeRevision { wanted, current: revision });
        }
        let exact = options.revision_match == Some(RevisionMatch::Exact);
        if exact && !self.replica.is_unchanged_since(resource, wanted) {
            let message = format!("too old resource version: {wanted} ({revision})");
            return Err(Error::Expired(message));
        }
        Ok((objects, if exact { wanted } else { revision }))
    }

    /// Deletes every Job of a namespace that matches the selectors, each as
    /// [`Registry::delete_job`] does; what is gone meanwhile is passed over.
    ///
    /// The answer lists them, as far as it fits a message; `metadata.remainingItemCount` tells how
    /// many others were deleted.
    ///
    /// # Errors
    ///
    /// As [`Registry::list_jobs`] and [`Registry::delete_job`]: Jobs before the one that could not
    /// be deleted are gone then.
    pub async fn delete_jobs(&self, namespace: &str, options: &Options) -> Result<Answer, Error> {
        let list = self.list_jobs(Some(namespace), options).await?;
        self.delete_each(list, |name| async move {
            self.remove_job(namespace, &name, options).await.map(Written::answer)
        })
        .await
    }
}

/// A `continue` token is the place of the last object given, in hexadecimal: opaque to clients.
pub(super) fn write_continue(last: &Value) -> String {
    let metadata = &last["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
    let place = format!("{}/{}", text("namespace"), text("name"));
    place.bytes().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn read_continue(token: &str) -> Result<String, Error> {
    let bad = || {
        Error::BadRequest("continue key is not valid: it must come from the list before".to_owned())
    };
    let bytes: Option<Vec<u8>> = (0..token.len())
        .step_by(2)
        .map(|at| token.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    String::from_utf8(bytes.ok_or_else(bad)?).map_err(|_| bad())
}
