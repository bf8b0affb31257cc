//! Work items that nobody claims, although there is room: what they need may be gone.
//!
//! A worker drops an item whose template is not there, or whose pod is over by its Job's seal.
//! Neither can be while the Job's record has the pod open, unless JetStream has lost what it had
//! acknowledged: the template, just before the Job that goes with it was stored; or the Job's
//! latest record, just before an owner that had not noticed sealed it. So what is overdue is looked
//! at, and made as the record says. Doing it twice changes nothing.

use bytes::Bytes;
use stint_common::collections::HashMap;
use stint_common::id::{JobUid, PodId};
use stint_common::nats::{Expect, Write};
use stint_common::wire::Seal;

use super::carry::{Done, Round, Writers};
use super::owner::Owner;

/// Jobs that are looked at in a round: a queue behind long pods is overdue, too.
const AT_ONCE: usize = 256;

/// What the items of a Job need, as its record has it.
#[derive(Debug)]
pub(super) struct Mend {
    job: JobUid,
    /// Its record's subject, and the revision that says all this.
    record: (String, u64),
    /// Its subject and bytes.
    template: (String, Bytes),
    /// Pods that are open, and that nobody claims.
    pods: Vec<PodId>,
    seal: Seal,
}

impl Owner {
    /// These items are overdue.
    pub(super) fn mend(&mut self, overdue: &[PodId], round: &mut Round) {
        let mut jobs: HashMap<JobUid, Vec<PodId>> = HashMap::default();
        for pod in overdue {
            let managed = self.jobs.get(&pod.job).filter(|managed| managed.is_durable());
            if managed.is_some_and(|managed| managed.job.awaits_claim(pod.slot, pod.attempt)) {
                jobs.entry(pod.job).or_default().push(*pod);
            }
        }
        for (job, pods) in jobs.into_iter().take(AT_ONCE) {
            let seal = self.seal(job, false);
            let Some(managed) = self.jobs.get(&job) else { continue };
            if let Some(template) = managed.template() {
                let template = (self.names.template(job, &managed.template), template);
                let (namespace, name) = (&managed.name.namespace, &managed.name.name);
                let record = (self.names.object("jobs", namespace, name), managed.revision);
                round.mend(Mend { job, record, template, pods, seal });
            }
        }
    }
}

/// Puts the template where none is, and the seal in place of one that says too much. What does not
/// succeed is tried again while the items are overdue.
pub(super) async fn mend(writers: Writers, mend: Mend) -> Done {
    let Mend { job, record: (record, revision), template: (subject, payload), pods, seal } = mend;
    let (jet, stream) = (&writers.jet, writers.jet.names.objects_stream());
    if let Ok(None) = jet.read_last(&stream, &subject).await {
        let write = Write { subject, payload, expect: Expect::Sequence(0) };
        if writers.objects.write(write).await.stored().is_some() {
            tracing::error!(%job, "the template of its pods was gone; it is there again");
        }
    }
    let subject = jet.names.seal(job);
    let stands = jet.read_last(&stream, &subject).await;
    let Ok(Some(stands)) = stands else { return Done::Said };
    // Read after the seal: one that is right by a later record stays.
    let now = jet.read_last(&stream, &record).await;
    if !matches!(now, Ok(Some(now)) if now.sequence == revision) {
        return Done::Said;
    }
    let covers = |there: Seal| pods.iter().any(|pod| there.covers(pod.slot, pod.attempt));
    if serde_json::from_slice(&stands.payload).is_ok_and(covers) {
        tracing::error!(%job, "its seal said that pods are over which its record has open");
        let payload = serde_json::to_vec(&seal).expect("a seal has only string keys");
        let expect = Expect::Sequence(stands.sequence);
        drop(writers.objects.write(Write { subject, payload: payload.into(), expect }).await);
    }
    Done::Said
}
