//! Which Jobs wait for which: so that they are looked at when something happens to one of them.
//! What that means is the core's to say.

use std::collections::BTreeSet;

use stint_common::collections::HashMap;
use stint_common::id::JobUid;

use super::managed::Managed;
use super::owner::Owner;

/// By subject of a Job, there or not: those that are annotated to depend on it. May hold Jobs that
/// do so no longer: they are looked at in vain.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    of: HashMap<String, BTreeSet<JobUid>>,
}

impl Owner {
    /// Tells a Job what there is to know of those that it depends on, and whether others wait for
    /// it. Costs next to nothing for a Job that has to do with no other.
    pub(super) fn look_at_dependencies(&mut self, uid: JobUid) {
        let Some(managed) = self.jobs.get(&uid) else { return };
        let has_followers = self.has_followers(managed);
        if !managed.job.waits() {
            if let Some(managed) = self.jobs.get_mut(&uid) {
                managed.job.set_has_followers(has_followers);
            }
            return;
        }
        let namespace = managed.name.namespace.clone();
        let Some(mut managed) = self.jobs.remove(&uid) else { return };
        managed.job.set_has_followers(has_followers);
        managed.job.look_at_dependencies(|name| {
            let subject = self.names.object("jobs", &namespace, name);
            let other = self.jobs.get(self.by_subject.get(&subject)?)?;
            Some((&other.job, other.is_durable()))
        });
        self.jobs.insert(uid, managed);
    }

    /// Whether a Job waits for this one, and has not written down that it ended.
    fn has_followers(&self, managed: &Managed) -> bool {
        let me = &managed.name.name;
        let waiting = self.dependents.of.get(&managed.subject).into_iter().flatten();
        waiting.filter_map(|uid| self.jobs.get(uid)).any(|other| {
            // What it has met is not known to be written down while it is being written.
            let is_met = other.is_durable() && !other.job.unmet().any(|name| *name == *me);
            other.waits && !is_met && other.job.spec().depends_on.contains(me)
        })
    }

    /// Something happened to a Job: those that wait for it are planned for, and those it waits for,
    /// which may have been kept for it.
    pub(super) fn touch_dependents(&mut self, uid: JobUid) {
        let Some(managed) = self.jobs.get(&uid) else { return };
        let namespace = &managed.name.namespace;
        let depends_on = managed.job.spec().depends_on.iter();
        let subjects: Vec<String> =
            depends_on.map(|name| self.names.object("jobs", namespace, name)).collect();
        let waiting = self.dependents.of.get(&managed.subject).into_iter().flatten();
        let kept = subjects.iter().filter_map(|subject| self.by_subject.get(subject));
        let others: Vec<JobUid> = waiting.chain(kept).copied().collect();
        for subject in subjects {
            self.dependents.of.entry(subject).or_default().insert(uid);
        }
        for other in others {
            self.touch(other);
        }
    }

    /// A Job is gone: it waits for nothing any more.
    pub(super) fn forget_dependent(&mut self, managed: &Managed, uid: JobUid) {
        for name in &managed.job.spec().depends_on {
            let subject = self.names.object("jobs", &managed.name.namespace, name);
            if let Some(waiting) = self.dependents.of.get_mut(&subject) {
                waiting.remove(&uid);
                if waiting.is_empty() {
                    self.dependents.of.remove(&subject);
                }
            }
        }
    }
}
