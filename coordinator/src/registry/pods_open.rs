//! Pods that may not have ended are few, whatever is kept of those that have: who asks for them
//! alone (`status.phase=Running`) gets them from what the Jobs' ledgers have open, one by one, and
//! not by reading the pods' stream.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use stint_common::id::{Attempt, PodId};

use super::Error;
use super::convert::StoredJob;
use super::pods::PodNews;
use super::selector::FieldSelector;
use super::store::Registry;

/// Of more than so many pods the stream is read as a whole.
const FEW: usize = 512;
/// Pods that are read at once, each by three requests.
const AT_ONCE: usize = 32;

/// Whether the selector means no pod that has ended.
fn means_none_that_ended(fields: &FieldSelector) -> bool {
    ["Succeeded", "Failed"].iter().all(|phase| fields.excludes("status.phase", phase))
}

/// Every attempt that is not known to have durably ended: one that has is Succeeded or Failed, or
/// is not shown at all. `None` if they are many.
fn few_open(jobs: &[StoredJob]) -> Option<Vec<PodId>> {
    let mut open = Vec::new();
    for job in jobs {
        let ledger = &job.record.ledger;
        for slot in ledger.unfinished() {
            let state = ledger.slot(slot);
            let attempts = (state.ended..state.issued).map(Attempt);
            open.extend(attempts.map(|attempt| PodId { job: job.uid, slot, attempt }));
            if open.len() > FEW {
                return None;
            }
        }
    }
    Some(open)
}

impl Registry {
    /// What the pods' stream says of pods that have not ended, if the selector means no others and
    /// they are few.
    ///
    /// # Errors
    ///
    /// 503 when JetStream is away.
    pub(super) async fn read_open(
        &self,
        jobs: &[StoredJob],
        fields: &FieldSelector,
    ) -> Result<Option<BTreeMap<PodId, PodNews>>, Error> {
        if !means_none_that_ended(fields) {
            return Ok(None);
        }
        let Some(open) = few_open(jobs) else { return Ok(None) };
        let read = async |pod| Ok::<_, Error>((pod, self.read_pod(pod).await?));
        let news = stream::iter(open).map(read).buffer_unordered(AT_ONCE);
        // Nothing is known of one that nobody has claimed.
        news.try_filter(|(_, news)| std::future::ready(news.revision > 0))
            .try_collect()
            .await
            .map(Some)
    }

    /// What the pods' stream says of one pod.
    ///
    /// # Errors
    ///
    /// 503 when JetStream is away.
    pub(super) async fn read_pod(&self, pod: PodId) -> Result<PodNews, Error> {
        let names = &self.jet.names;
        let mut news = PodNews::default();
        for subject in [names.pod(pod), names.order(pod), names.word(pod)] {
            if let Some(stored) = self.jet.read_last(&names.pods_stream(), &subject).await?
                && let Some(kind) = names.parse_pods_subject(&subject)
            {
                news.take(kind, &stored.payload, stored.sequence);
            }
        }
        Ok(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_left_out_by_its_phase() {
        let ended = |text: &str| !means_none_that_ended(&text.parse().unwrap());
        assert!(!ended("status.phase=Running") && !ended("status.phase==Pending,spec.nodeName=a"));
        assert!(!ended("status.phase!=Succeeded,status.phase!=Failed"));
        assert!(ended("") && ended("status.phase!=Succeeded") && ended("status.phase=Failed"));
        assert!(ended("spec.nodeName!=Failed,spec.nodeName!=Succeeded"));
    }
}
