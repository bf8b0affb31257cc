//! Server-side apply of Jobs: the object as somebody wants it, created or changed.

use super::Error;
use super::apply_request::{Apply, TRIES};
use super::change::Written;
use super::error::JOBS;
use super::jobs::Answer;
use super::options::Options;
use super::patch::schema::JOB;
use super::store::Registry;
use crate::admission::{self, Admitted, UpdateContext};

impl Registry {
    /// Applies a Job; whether that created it.
    ///
    /// # Errors
    ///
    /// As [`Registry::create_job`] and [`Registry::update_job`]; 409 for fields that others have
    /// said something else about, 422 without a `fieldManager`.
    pub async fn apply_job(
        &self,
        namespace: &str,
        name: &str,
        body: &[u8],
        options: &Options,
    ) -> Result<(Answer, bool), Error> {
        let body = admission::decode(body, None).map_err(Error::from_rejection)?;
        let apply = Apply::read(body, name, options)?;
        for _ in 0..TRIES {
            match self.apply_to_job(namespace, name, &apply, options).await {
                Err(Error::NotFound { .. }) => {}
                outcome => return outcome.map(|written| (written.answer(), false)),
            }
            self.enter_namespace(JOBS, name, namespace, options).await?;
            let (new, managed) = apply.anew(&JOB)?;
            match self.create_once(namespace, new, Some(managed), options).await {
                Err(Error::AlreadyExists { .. }) => {}
                outcome => return outcome.map(|answer| (answer, true)),
            }
        }
        Err(Apply::gives_up(JOBS, name))
    }

    async fn apply_to_job(
        &self,
        namespace: &str,
        name: &str,
        apply: &Apply<'_>,
        options: &Options,
    ) -> Result<Written, Error> {
        self.change_job(namespace, name, options, |job| {
            job.target().same_revision(apply.wanted())?;
            let old = job.view();
            let (new, managed) = apply.to(&old, &JOB)?;
            let context = UpdateContext { field_validation: options.field_validation };
            let admitted = admission::update(&old, new, context);
            let Admitted { job: mut object, warnings } = admitted.map_err(Error::from_rejection)?;
            object["metadata"]["managedFields"] = managed;
            job.set_object(object);
            Ok(warnings)
        })
        .await
    }
}
