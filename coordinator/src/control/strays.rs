//! Templates whose Job is not there: a Job that was deleted before a pod of it was claimed, whose
//! owner died before it had cleaned up; or that was never stored, since who made it died after it
//! had written the template.
//!
//! Nothing else leads to them: the Job's record is gone, or another's stands at its name, and pods
//! that nobody claimed have no records. So now and then the templates are listed, and the work
//! items, which may have lost both, and what has long been without a Job is cleaned up like a Job
//! that is gone.
//!
//! ```text
//! listed, Job unknown ──▶ `Keep::strays` later: listed, Job still unknown ──▶ an orphan
//! ```
//!
//! A template is written before its Job, so what is unknown may be about to be stored. Who takes
//! longer than half of that time takes the Job back (`Registry::create_job`).

use std::time::Duration;

use stint_common::collections::HashMap;
use stint_common::id::JobUid;
use stint_common::nats::{Jet, ReadError};
use stint_common::time::Instant;

use super::carry::{Done, Round};
use super::intake::DEFAULT_GRACE_SECONDS;
use super::owner::Owner;

/// What is known of templates without a Job.
#[derive(Debug)]
pub(super) struct Strays {
    patience: Duration,
    /// Since when each has been without a Job.
    suspects: HashMap<JobUid, Instant>,
    /// When they were last listed.
    listed: Option<Instant>,
    /// They are being listed.
    busy: bool,
}

/// The templates that there are.
#[derive(Debug)]
pub(super) struct Listed {
    jobs: Vec<JobUid>,
    /// The last Job's record that was stored by then.
    newest: u64,
}

impl Strays {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, suspects: HashMap::default(), listed: None, busy: false }
    }

    fn is_due(&self, now: Instant) -> bool {
        let recent = |listed| now.duration_since(listed) < self.patience;
        !self.busy && !self.listed.is_some_and(recent)
    }

    /// Of the Jobs that are not known, those that have not been for long enough.
    fn take_strays(&mut self, unknown: Vec<JobUid>, now: Instant) -> Vec<JobUid> {
        let since = |uid: JobUid| (uid, self.suspects.get(&uid).copied().unwrap_or(now));
        let all = unknown.into_iter().map(since);
        let (strays, suspects): (Vec<_>, Vec<_>) =
            all.partition(|(_, since)| now.duration_since(*since) >= self.patience);
        self.suspects = suspects.into_iter().collect();
        strays.into_iter().map(|(uid, _)| uid).collect()
    }
}

impl Owner {
    /// Every tick: lists the templates when it is time.
    pub(super) fn look_for_strays(&mut self, now: Instant, round: &mut Round) {
        if self.strays.is_due(now) {
            self.strays.busy = true;
            round.list_templates();
        }
    }

    /// What could not be listed, or not be compared, is listed anew.
    pub(super) fn templates_listed(&mut self, listed: Option<Listed>, now: Instant) {
        self.strays.busy = false;
        let Some(Listed { jobs, newest }) = listed else { return };
        if self.objects_seen < newest {
            return;
        }
        self.strays.listed = Some(now);
        let known = |uid: &JobUid| self.jobs.contains_key(uid) || self.orphans.contains_key(uid);
        let unknown = jobs.into_iter().filter(|uid| !known(uid)).collect();
        for uid in self.strays.take_strays(unknown, now) {
            tracing::info!(job = %uid, "cleaning up behind a Job that is not there");
            self.add_orphan(uid, DEFAULT_GRACE_SECONDS);
        }
    }
}

/// Lists the templates.
pub(super) async fn list_templates(jet: Jet) -> Done {
    match list(&jet).await {
        Ok(listed) => Done::Listed(Some(listed)),
        Err(error) => {
            tracing::debug!(?error, "listing templates");
            Done::Listed(None)
        }
    }
}

/// The Jobs' last message comes after the templates: a Job that was stored before these were
/// listed is known to whoever has read up to it.
async fn list(jet: &Jet) -> Result<Listed, ReadError> {
    let (names, stream) = (&jet.names, jet.names.objects_stream());
    let subjects = jet.subjects(&stream, &names.objects(Some("templates"))).await?;
    let job = |subject: &String| names.parse_object_subject(subject)?.1.parse().ok();
    let mut jobs: Vec<JobUid> = subjects.iter().filter_map(job).collect();
    // Items of a Job that the store has lost, of a class from which nobody pulls.
    let items = jet.subjects(&names.work_stream(), &names.work_of_class(None)).await?;
    jobs.extend(items.iter().filter_map(|item| Some(names.parse_work_subject(item)?.1.job)));
    jobs.sort_unstable();
    jobs.dedup();
    let newest = jet.read_last(&stream, &names.objects(Some("jobs"))).await?;
    Ok(Listed { jobs, newest: newest.map_or(0, |stored| stored.sequence) })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_stays_without_a_job_is_a_stray_and_what_gets_one_is_not() {
        let (late, stray) = (JobUid(Uuid::from_u128(1)), JobUid(Uuid::from_u128(2)));
        let mut strays = Strays::new(Duration::from_secs(600));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(strays.is_due(start));
        assert_eq!(strays.take_strays(vec![late, stray], start), []);
        assert_eq!(strays.take_strays(vec![late, stray], at(599)), []);
        assert_eq!(strays.take_strays(vec![stray], at(599)), [], "the other's Job has come");
        assert_eq!(strays.take_strays(vec![stray, late], at(600)), [stray]);
        assert_eq!(strays.take_strays(vec![late], at(700)), [], "its time begins anew");
    }
}
