//! The classes of pods that Jobs ask for: a window each, and whether any worker takes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stint_common::collections::{HashMap, HashSet};
use stint_common::id::{JobUid, PodId};
use stint_common::metrics::Queue;
use stint_common::names::DEFAULT_CLASS;
use stint_common::nats::{Jet, drop_class_consumer, ensure_class_consumer};
use stint_common::placing;
use stint_common::time::Instant;
use stint_common::wire::Class;

use super::carry::Round;
use super::owner::Owner;
use super::window::Window;
use super::workers::Workers;
use crate::job::{Event, EventKind};

/// No more classes than this: each costs a consumer, and each worker a pull.
const MOST: usize = 256;
/// A class that nobody has asked for this long is given up.
const UNUSED: Duration = Duration::from_secs(600);
/// That no worker takes a Job's pods is said again after this.
const SAY_AGAIN: Duration = Duration::from_secs(300);
/// And not before it has been so for this long: workers come and go.
const SAY_AFTER: Duration = Duration::from_secs(2);
/// The default class's consumer, and the definitions of new classes, are looked after this often.
const LOOK_SOON: Duration = Duration::from_secs(3);
/// What is known to stand is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// One class that is asked for.
#[derive(Debug)]
struct Known {
    class: Arc<Class>,
    window: Window,
    /// When a Job of it was last seen.
    used: Instant,
    /// How many pods of it all workers run at a time, if they run nothing else.
    slots: usize,
    /// Since when no worker takes it.
    refused_since: Option<Instant>,
    /// When its definition and consumer were last looked after.
    looked: Option<Instant>,
}

/// All classes.
#[derive(Debug)]
pub(super) struct Classes {
    known: BTreeMap<String, Known>,
    /// Those whose definition stands in the objects' stream.
    stored: HashSet<String>,
    /// When it was said of a Job that nobody takes its pods.
    said: HashMap<JobUid, Instant>,
    now: Instant,
    /// When unused classes were last given up.
    swept: Instant,
}

impl Classes {
    /// Only the default class, whose definition nobody needs.
    pub(super) fn new(now: Instant) -> Self {
        let default = Known::new(Arc::new(Class::default()), now);
        Self {
            known: BTreeMap::from([(DEFAULT_CLASS.to_owned(), default)]),
            stored: HashSet::default(),
            said: HashMap::default(),
            now,
            swept: now,
        }
    }

    /// A definition was read, or its tombstone.
    pub(super) fn observe(&mut self, name: &str, stands: bool) {
        if stands {
            self.stored.insert(name.to_owned());
        } else {
            self.stored.remove(name);
        }
    }

    /// Puts a Job that has pods to publish into its class's round. Whether there is room for the
    /// class.
    pub(super) fn join(&mut self, job: JobUid, name: &str, class: &Arc<Class>) -> bool {
        let now = self.now;
        if !self.known.contains_key(name) {
            if self.known.len() >= MOST {
                return false;
            }
            self.known.insert(name.to_owned(), Known::new(class.clone(), now));
        }
        if let Some(known) = self.known.get_mut(name) {
            known.used = now;
            known.window.join(job);
        }
        true
    }

    /// A Job is gone: its items no longer count.
    pub(super) fn forget_job(&mut self, job: JobUid) {
        self.known.values_mut().for_each(|known| known.window.forget_job(job));
        self.said.remove(&job);
    }

    /// A pod was claimed or ended: its place is free.
    pub(super) fn settle(&mut self, pod: PodId) {
        for known in self.known.values_mut() {
            if known.window.settle(pod) {
                return;
            }
        }
    }

    /// Publishing failed: the pod gives its place back.
    pub(super) fn give_back(&mut self, pod: PodId) {
        self.known.values_mut().for_each(|known| known.window.give_back(pod));
    }

    /// Fits the windows to how fast workers claim.
    pub(super) fn adapt(&mut self, now: Instant) {
        self.now = now;
        self.known.values_mut().for_each(|known| known.window.adapt(known.slots, now));
    }

    /// Fills the room of every class, as [`Window::fill`] does.
    pub(super) fn fill(
        &mut self,
        now: Instant,
        mut take: impl FnMut(JobUid, usize, &mut Vec<PodId>) -> bool,
    ) -> Vec<PodId> {
        let mut pods = Vec::new();
        for known in self.known.values_mut() {
            pods.append(&mut known.window.fill(now, &mut take));
        }
        pods
    }

    /// How many items of each class nobody has claimed, and for how long.
    pub(super) fn queues(&self, now: Instant) -> Vec<Queue> {
        let queue = |(class, known): (&String, &Known)| {
            let (items, oldest) = known.window.depth(now);
            Queue { class: class.clone(), items, oldest_seconds: oldest.as_secs_f64() }
        };
        self.known.iter().map(queue).collect()
    }

    /// Items of all classes that nobody has claimed for too long.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<PodId> {
        self.known.values_mut().flat_map(|known| known.window.overdue(now)).collect()
    }

    /// Looks at which workers take which classes.
    pub(super) fn look(&mut self, workers: &Workers, now: Instant) {
        for known in self.known.values_mut() {
            known.slots = workers.slots(&known.class);
            let refused = known.slots == 0;
            known.refused_since = refused.then(|| known.refused_since.unwrap_or(now));
        }
    }

    /// Jobs whose pods no worker takes, and that were not told so lately; with what they ask for.
    pub(super) fn refused(&mut self, now: Instant) -> Vec<(JobUid, Arc<Class>)> {
        let long = |known: &&Known| {
            known.refused_since.is_some_and(|since| now.duration_since(since) >= SAY_AFTER)
        };
        let mut found = Vec::new();
        for known in self.known.values().filter(long) {
            found.extend(known.window.jobs().into_iter().map(|job| (job, known.class.clone())));
        }
        found.retain(|(job, _)| self.may_say(*job, now));
        found
    }

    /// Whether one more class may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.known.len() < MOST
    }

    /// Whether it is time to say (again) that nobody takes a Job's pods.
    pub(super) fn may_say(&mut self, job: JobUid, now: Instant) -> bool {
        let said = self.said.get(&job).copied();
        let may = said.is_none_or(|said| now.duration_since(said) >= SAY_AGAIN);
        if may {
            self.said.insert(job, now);
        }
        may
    }

    /// Classes whose definition or consumer is to be looked after now: new ones at once.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Look> {
        let mut looks = Vec::new();
        for (name, known) in &mut self.known {
            let is_default = name == DEFAULT_CLASS;
            let store = !is_default && !self.stored.contains(name);
            let every = if is_default || store { LOOK_SOON } else { LOOK_AGAIN };
            if known.looked.is_none_or(|looked| now.duration_since(looked) >= every) {
                known.looked = Some(now);
                let (name, class) = (name.clone(), known.class.clone());
                looks.push(Look::Wanted { name, class, store });
            }
        }
        looks
    }

    /// Whether there is a class that nobody has looked after yet.
    pub(super) fn has_new(&self) -> bool {
        self.known.values().any(|known| known.looked.is_none())
    }

    /// Whether it is time to give up what nobody asks for.
    pub(super) fn sweep_is_due(&mut self, now: Instant) -> bool {
        let due = now.duration_since(self.swept) >= LOOK_AGAIN;
        if due {
            self.swept = now;
        }
        due
    }

    /// Takes out classes that nobody asks for; their definitions and consumers are to go.
    pub(super) fn unused(&mut self, in_use: &HashSet<&str>, now: Instant) -> Vec<String> {
        for (name, known) in &mut self.known {
            if in_use.contains(name.as_str()) {
                known.used = now;
            }
        }
        let kept = |name: &str, known: Option<&Known>| {
            name == DEFAULT_CLASS
                || in_use.contains(name)
                || known.is_some_and(|known| now.duration_since(known.used) < UNUSED)
        };
        let known = &mut self.known;
        known.retain(|name, known| kept(name, Some(known)));
        let unused: Vec<String> =
            self.stored.iter().filter(|name| !self.known.contains_key(*name)).cloned().collect();
        unused.into_iter().filter(|name| !kept(name, None)).collect()
    }
}

impl Known {
    fn new(class: Arc<Class>, now: Instant) -> Self {
        Self {
            class,
            window: Window::new(now),
            used: now,
            slots: 0,
            refused_since: None,
            looked: None,
        }
    }
}

/// Something to be done about one class.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// It is asked for: its definition must stand (and is to be written, if so said), and its
    /// consumer must be there.
    Wanted { name: String, class: Arc<Class>, store: bool },
    /// Nobody asks for it any more.
    Unused { name: String },
}

/// Does it. All of it is done again until it has worked.
pub(super) async fn look_after(jet: &Jet, look: Look) {
    match look {
        Look::Wanted { name, class, store } => {
            if store {
                let payload = serde_json::to_vec(&*class).expect("a class has only string keys");
                define(jet, &name, payload).await;
            }
            if let Err(error) = ensure_class_consumer(jet, &name, !class.preferred.is_empty()).await
            {
                tracing::warn!(?error, "looking after a class's consumer");
            }
        }
        Look::Unused { name } => {
            define(jet, &name, Vec::new()).await;
            if let Err(error) = drop_class_consumer(jet, &name).await {
                tracing::debug!(%error, "deleting the consumer of a class that nobody asks for");
            }
        }
    }
}

/// The same bytes whoever writes them, so no write expects another.
async fn define(jet: &Jet, name: &str, payload: Vec<u8>) {
    if let Err(error) = jet.publish(jet.names.class(name), payload.into()).await {
        tracing::debug!(%error, "defining a class");
    }
}

impl Owner {
    /// Looks at which workers take which classes, and says of Jobs whose pods nobody takes that it
    /// is so.
    pub(super) fn look_at_classes(&mut self, now: Instant, round: &mut Round) {
        self.classes.look(&self.workers, now);
        for (uid, class) in self.classes.refused(now) {
            let message = placing::describe(&self.workers.refusals(&class));
            round.events.push((uid, failed_scheduling(message)));
        }
        for uid in std::mem::take(&mut self.crowded) {
            if !self.classes.has_room() {
                if self.classes.may_say(uid, now) {
                    let message = format!("there are {MOST} kinds of pods already");
                    round.events.push((uid, failed_scheduling(message)));
                }
                self.crowded.insert(uid);
                continue;
            }
            self.join(uid);
        }
    }

    /// What is to be done about classes, if it is time to.
    pub(super) fn classes_to_look_after(&mut self, now: Instant) -> Vec<Look> {
        let mut looks = self.classes.due(now);
        if self.classes.sweep_is_due(now) {
            let in_use: HashSet<&str> =
                self.jobs.values().map(|managed| managed.class.0.as_str()).collect();
            let unused = self.classes.unused(&in_use, now).into_iter();
            looks.extend(unused.map(|name| Look::Unused { name }));
        }
        looks
    }
}

fn failed_scheduling(message: String) -> Event {
    Event { kind: EventKind::Warning, reason: "FailedScheduling".to_owned(), message, count: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stint_common::id::{Attempt, Slot};
    use uuid::Uuid;

    fn job(number: u128) -> JobUid {
        JobUid(Uuid::from_u128(number))
    }

    fn class(priority: i32) -> (String, Arc<Class>) {
        let class = Class { priority, ..Class::default() };
        (class.name(), Arc::new(class))
    }

    #[test]
    fn a_class_that_is_full_holds_up_no_other() {
        let now = Instant::now();
        let mut classes = Classes::new(now);
        let (name, urgent) = class(1);
        assert!(classes.join(job(1), DEFAULT_CLASS, &Arc::new(Class::default())));
        assert!(classes.join(job(2), &name, &urgent));
        let mut count = 0;
        let mut take = |job: JobUid, max: usize, pods: &mut Vec<PodId>| {
            for _ in 0..max {
                count += 1;
                pods.push(PodId { job, slot: Slot(count), attempt: Attempt(0) });
            }
            true
        };
        let first = classes.fill(now, &mut take);
        assert_eq!(first.iter().filter(|pod| pod.job == job(1)).count(), 64);
        assert_eq!(first.iter().filter(|pod| pod.job == job(2)).count(), 64);
        assert_eq!(classes.fill(now, &mut take), []);
        let settled = *first.iter().find(|pod| pod.job == job(2)).unwrap();
        classes.settle(settled);
        let next = classes.fill(now, &mut take);
        assert_eq!(next.iter().map(|pod| pod.job).collect::<Vec<_>>(), [job(2)]);
    }

    #[test]
    fn there_is_an_end_to_classes_and_unused_ones_make_room() {
        let start = Instant::now();
        let mut classes = Classes::new(start);
        for number in 1..i32::try_from(MOST).unwrap() {
            let (name, class) = class(number);
            assert!(classes.join(job(1), &name, &class));
            classes.observe(&name, true);
        }
        let (name, one_more) = class(-1);
        assert!(!classes.join(job(2), &name, &one_more));
        let (first, _) = class(1);
        let in_use = HashSet::from_iter([first.as_str()]);
        assert_eq!(classes.unused(&in_use, start), Vec::<String>::new());
        let later = start + UNUSED;
        assert_eq!(classes.unused(&in_use, later).len(), MOST - 2);
        assert!(classes.join(job(2), &name, &one_more));
    }

    #[test]
    fn that_nobody_takes_a_job_is_said_once_a_while() {
        let start = Instant::now();
        let mut classes = Classes::new(start);
        classes.join(job(1), DEFAULT_CLASS, &Arc::new(Class::default()));
        classes.look(&Workers::default(), start);
        assert!(classes.refused(start + Duration::from_secs(1)).is_empty());
        let later = start + SAY_AFTER;
        classes.look(&Workers::default(), later);
        assert_eq!(classes.refused(later).len(), 1);
        assert!(classes.refused(later).is_empty());
        assert_eq!(classes.refused(later + SAY_AGAIN).len(), 1);
    }
}
