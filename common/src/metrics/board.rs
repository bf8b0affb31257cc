//! What has a size rather than a count: queues, places, states. Written now and then by who knows
//! it, read when somebody asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::meter;

/// A queue of work items.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// The class.
    pub class: String,
    /// Items that nobody has claimed.
    pub items: u64,
    /// Seconds for which the oldest of them has waited.
    pub oldest_seconds: f64,
}

/// What an owner sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owned {
    /// A queue for each class that is asked for.
    pub queues: Vec<Queue>,
    /// Pods that are to run and whose items are not yet published.
    pub waiting: u64,
    /// Pods that workers have.
    pub claimed: u64,
    /// Jobs that have not ended.
    pub jobs: u64,
    /// Workers, by state.
    pub workers: Vec<(&'static str, u64)>,
    /// Records of ended pods that are kept.
    pub kept: u64,
    /// Places of ready workers for pods that ask for nothing.
    pub slots: u64,
}

/// What a worker sees of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Pods that it has, by state.
    pub pods: Vec<(&'static str, u64)>,
    /// CPUs that its pods may ask for together.
    pub slots: u64,
    /// Whether it may claim and start: the lease's proof holds.
    pub proven: bool,
    /// Whether it is to take no more.
    pub cordoned: bool,
}

static OWNED: Mutex<Option<Owned>> = Mutex::new(None);
static PLACES: Mutex<Option<Places>> = Mutex::new(None);

/// Says what this process owns; nothing once it is owner no more.
pub fn owned(owned: Option<Owned>) {
    *lock(&OWNED) = owned;
}

/// Says what this worker has.
pub fn places(places: Places) {
    *lock(&PLACES) = Some(places);
}

fn lock<T>(board: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a coordinator's board read.
pub(super) fn watch_owner() {
    let meter = &meter();
    gauge(meter, "stint.owner", "1 while this coordinator is the owner", |seen| {
        seen.observe(u64::from(lock(&OWNED).is_some()), &[]);
    });
    of_owned(meter, "stint.queue.items", "Work items that nobody has claimed", |owned, seen| {
        for queue in &owned.queues {
            seen.observe(queue.items, &[KeyValue::new("class", queue.class.clone())]);
        }
    });
    let oldest = meter.f64_observable_gauge("stint.queue.oldest.age").with_unit("s");
    let oldest = oldest.with_description("How long the oldest unclaimed work item has waited");
    oldest
        .with_callback(|seen| {
            for queue in lock(&OWNED).iter().flat_map(|owned| &owned.queues) {
                let class = KeyValue::new("class", queue.class.clone());
                seen.observe(queue.oldest_seconds, &[class]);
            }
        })
        .build();
    let about = "Pods that are to run and whose work items are not yet published";
    of_owned(meter, "stint.pods.waiting", about, |owned, seen| seen.observe(owned.waiting, &[]));
    let about = "Pods that workers have";
    of_owned(meter, "stint.pods.active", about, |owned, seen| seen.observe(owned.claimed, &[]));
    let about = "Jobs that have not ended";
    of_owned(meter, "stint.jobs.active", about, |owned, seen| seen.observe(owned.jobs, &[]));
    let about = "Records of ended pods that are kept";
    of_owned(meter, "stint.pods.kept", about, |owned, seen| seen.observe(owned.kept, &[]));
    let about = "Places of ready workers for pods that ask for nothing";
    of_owned(meter, "stint.workers.slots", about, |owned, seen| seen.observe(owned.slots, &[]));
    of_owned(meter, "stint.workers", "Workers, by state", |owned, seen| {
        for (state, count) in &owned.workers {
            seen.observe(*count, &[KeyValue::new("state", *state)]);
        }
    });
}

/// Has a worker's board read.
pub(super) fn watch_worker() {
    let meter = &meter();
    of_places(meter, "stint.worker.pods", "Pods that this worker has, by state", |places, seen| {
        for (state, count) in &places.pods {
            seen.observe(*count, &[KeyValue::new("state", *state)]);
        }
    });
    let about = "CPUs that its pods may ask for together";
    of_places(meter, "stint.worker.slots", about, |places, seen| seen.observe(places.slots, &[]));
    let about = "1 while the lease's proof holds; else its pods stand still";
    of_places(meter, "stint.worker.lease.proven", about, |places, seen| {
        seen.observe(u64::from(places.proven), &[]);
    });
    let about = "1 while it is to take no more pods";
    of_places(meter, "stint.worker.cordoned", about, |places, seen| {
        seen.observe(u64::from(places.cordoned), &[]);
    });
}

type Seen<'a> = &'a dyn AsyncInstrument<u64>;

fn gauge(
    meter: &Meter,
    name: &'static str,
    about: &'static str,
    look: impl Fn(Seen<'_>) + Send + Sync + 'static,
) {
    let gauge = meter.u64_observable_gauge(name).with_description(about);
    gauge.with_callback(look).build();
}

fn of_owned(
    meter: &Meter,
    name: &'static str,
    about: &'static str,
    look: impl Fn(&Owned, Seen<'_>) + Send + Sync + 'static,
) {
    gauge(meter, name, about, move |seen| {
        if let Some(owned) = &*lock(&OWNED) {
            look(owned, seen);
        }
    });
}

fn of_places(
    meter: &Meter,
    name: &'static str,
    about: &'static str,
    look: impl Fn(&Places, Seen<'_>) + Send + Sync + 'static,
) {
    gauge(meter, name, about, move |seen| {
        if let Some(places) = &*lock(&PLACES) {
            look(places, seen);
        }
    });
}
