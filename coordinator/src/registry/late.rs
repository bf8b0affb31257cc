//! A Job that was stored long after its template: the owner may have taken the template for a
//! stray meanwhile (`control::strays`), and pods of a Job without a template never run. So it is
//! taken back.

use stint_common::id::JobUid;
use stint_common::time::{boottime_ms, now};

use super::deletion::delete;
use super::error::JOBS;
use super::options::{Options, Propagation};
use super::{Error, Registry};

impl Registry {
    /// What a new Job's template was written at `written_ms` for is stored.
    ///
    /// # Errors
    ///
    /// 503 when that took so long that the Job was taken back.
    pub(super) async fn be_in_time(
        &self,
        namespace: &str,
        name: &str,
        uid: JobUid,
        written_ms: i64,
    ) -> Result<(), Error> {
        let took = boottime_ms().saturating_sub(written_ms);
        if u128::try_from(took).unwrap_or(0) < self.template_holds.as_millis() {
            return Ok(());
        }
        tracing::warn!(namespace, name, %uid, took_ms = took, "a Job was stored too late; it is taken back");
        let options = Options::default();
        let withdrawn = self.change_job(namespace, name, &options, |job| {
            if job.uid != uid {
                return Err(Error::NotFound { resource: JOBS, name: name.to_owned() });
            }
            delete(job, Some(Propagation::Background), now());
            Ok(Vec::new())
        });
        match withdrawn.await {
            Ok(_) | Err(Error::NotFound { .. }) => {
                let took = "storing the Job took too long, and it was taken back; try again";
                Err(Error::Unavailable(took.to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}
