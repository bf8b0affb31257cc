//! The loop with three beats: select, decide, carry out. Everything that waits, waits here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use stint_common::id::Incarnation;
use stint_common::metrics;
use stint_common::nats::{ALL, Committer, Entry, Jet, Tail, TailEvent};
use stint_common::time::{Instant, WallClock, now, since};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::carry::{Done, OnItsWay, Round, Writers};
use super::classes;
use super::events;
use super::leader::{Candidate, Held};
use super::owner::Owner;
use crate::store::Replica;
use crate::trace::Tracer;

/// Pods that have not ended are pressed on, leases checked, the window adapted this often.
const TICK: Duration = Duration::from_millis(250);
/// A longer pause between ticks means that this process slept: clocks start anew.
const GAP: Duration = Duration::from_secs(3);
/// A Job that is unknown for this long while its pods have records is looked up.
const STRANGE: Duration = Duration::from_secs(3);
/// Chunks of news taken in before the next decision, so that writes are not put off for ever.
const CHUNKS_A_ROUND: usize = 8;

/// How much is kept of what is over, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Records of ended pods; failures are kept longest.
    pub pods: usize,
    /// Tombstones of deleted objects.
    pub deleted: Duration,
    /// Templates whose Job is not known: it may be about to be stored.
    pub strays: Duration,
    /// Claims, before their worker is asked whether it has these pods. Most have ended before.
    pub claims: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            pods: 100_000,
            deleted: Duration::from_secs(3600),
            strays: Duration::from_secs(600),
            claims: Duration::from_secs(60),
        }
    }
}

/// What the loop shares with the rest of the coordinator.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The connection.
    pub jet: Jet,
    /// All objects, as they are read.
    pub replica: Arc<Replica>,
    /// Writer of the objects' stream.
    pub objects: Committer,
    /// Writer of the pods' stream.
    pub pods: Committer,
    /// Writer of the work queue.
    pub work: Committer,
    /// This coordinator's life.
    pub incarnation: Incarnation,
    /// Where spans go, if traces are on.
    pub tracer: Option<Tracer>,
    /// Whether this coordinator is the owner, for loops that only its owner runs.
    pub owns: watch::Sender<bool>,
    /// How much is kept of what is over.
    pub keep: Keep,
}

/// Stands by, reconciles while the lease is held, stands by again; until `shutdown`.
pub async fn run(shared: Shared, shutdown: CancellationToken) {
    let candidate = Candidate::new(shared.jet.clone(), shared.objects.clone(), shared.incarnation);
    while let Some(held) = candidate.acquire(&shutdown).await {
        tracing::info!(coordinator = %shared.incarnation, "owner: reconciling");
        shared.owns.send_replace(true);
        own(&shared, &candidate, held, &shutdown).await;
        metrics::owned(None);
        shared.owns.send_replace(false);
        tracing::info!(coordinator = %shared.incarnation, "no longer owner");
        if shutdown.is_cancelled() {
            return;
        }
    }
}

async fn own(shared: &Shared, candidate: &Candidate, held: Held, shutdown: &CancellationToken) {
    let stop = shutdown.child_token();
    let revision = held.revision();
    let mut lease = Box::pin(candidate.hold(held, stop.clone()));
    let mut reign = Box::pin(async { Reign::start(shared, revision).await.go_on().await });
    // The lease first: a flood of news must not hold its renewal up.
    tokio::select! {
        biased;
        () = &mut lease => {}
        () = shutdown.cancelled() => {
            drop(reign);
            lease.await;
        }
        () = &mut reign => {}
    }
}

/// One time of ownership.
struct Reign {
    writers: Writers,
    owner: Owner,
    /// The objects' stream as the replica reads it.
    objects: mpsc::Receiver<TailEvent>,
    pods: Tail,
    on_their_way: FuturesUnordered<OnItsWay>,
    last_tick: Instant,
    wall: WallClock,
    /// The streams are not those that were read: this reign is over.
    went_back: bool,
}

fn instant() -> Instant {
    Instant::now()
}

impl Reign {
    /// Takes over what the replica knows once it knows of our own lease, and so of all that was
    /// stored before it.
    async fn start(shared: &Shared, lease: u64) -> Self {
        let jet = &shared.jet;
        let names = &jet.names;
        // Begins to read while the objects are taken in.
        let pods = Tail::start(jet.clone(), names.pods_stream(), vec![ALL.to_owned()]);
        let (known, objects) = shared.replica.feed(lease).await;
        let mut reign = Self {
            owner: Owner::new(
                names.clone(),
                shared.incarnation,
                shared.tracer.clone(),
                shared.keep,
                instant(),
            ),
            objects,
            pods,
            writers: Writers {
                jet: jet.clone(),
                objects: shared.objects.clone(),
                work: shared.work.clone(),
                pods: shared.pods.clone(),
            },
            on_their_way: FuturesUnordered::new(),
            last_tick: instant(),
            wall: WallClock::look(),
            went_back: false,
        };
        reign.take_objects(Some(TailEvent::Entries(known)));
        reign
    }

    async fn go_on(mut self) {
        self.rebuild().await;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Some(by) = self.wall.was_set() {
                tracing::warn!(by_seconds = by.as_secs_f64(), "the machine's clock was set");
                self.owner.ring_all();
            }
            let timer = self.owner.next_timer().map_or(TICK, |at| since(at, now()));
            let mut round = Round::default();
            // Whatever woke the loop, the rest of what is there is taken in below.
            tokio::select! {
                biased;
                _ = ticks.tick() => self.tick(&mut round).await,
                Some(done) = self.on_their_way.next() => {
                    self.owner.take_done(done, &mut round, instant());
                }
                event = self.objects.recv() => self.take_objects(event),
                event = self.pods.next() => self.take_pods(event),
                () = tokio::time::sleep(timer) => {}
            }
            self.take_what_is_there(&mut round);
            if self.went_back {
                tracing::error!("Jobs are driven again from what the streams still hold of them");
                return;
            }
            self.decide(round).await;
        }
    }

    /// Reads the pods' stream to its end; nothing is decided before.
    async fn rebuild(&mut self) {
        let start = instant();
        while !self.went_back {
            tokio::select! {
                biased;
                event = self.pods.next() => match event {
                    Some(TailEvent::CaughtUp) => break,
                    event => self.take_pods(event),
                },
                event = self.objects.recv() => self.take_objects(event),
            }
        }
        self.owner.rebuilt = true;
        metrics::coordinator().rebuilt(start.elapsed());
        tracing::info!(
            jobs = self.owner.jobs.len(),
            claims = self.owner.claims.len(),
            took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "rebuilt from the streams"
        );
    }

    fn entries(&mut self, event: Option<TailEvent>) -> Option<Vec<Entry>> {
        // Nothing comes any more: the replica went on without us.
        match event.unwrap_or(TailEvent::WentBack) {
            TailEvent::Entries(entries) => Some(entries),
            // Only tombstones are ever removed that are long known.
            TailEvent::CaughtUp | TailEvent::Resumed(_) => None,
            TailEvent::WentBack => {
                self.went_back = true;
                None
            }
        }
    }

    fn take_objects(&mut self, event: Option<TailEvent>) {
        let Some(entries) = self.entries(event) else { return };
        let now = instant();
        for entry in entries {
            self.owner.take_object(&entry, now);
        }
    }

    fn take_pods(&mut self, event: Option<TailEvent>) {
        let Some(entries) = self.entries(event) else { return };
        let now = instant();
        for entry in entries {
            self.owner.take_pods_entry(&entry, now);
        }
    }

    /// What has come meanwhile is taken in before the next decision: a flood makes large batches.
    fn take_what_is_there(&mut self, round: &mut Round) {
        for _ in 0..CHUNKS_A_ROUND {
            let (objects, pods) = (self.objects.try_recv().ok(), self.pods.try_next());
            if objects.is_none() && pods.is_none() {
                break;
            }
            if objects.is_some() {
                self.take_objects(objects);
            }
            if pods.is_some() {
                self.take_pods(pods);
            }
        }
        while let Some(Some(done)) = self.on_their_way.next().now_or_never() {
            self.owner.take_done(done, round, instant());
        }
    }

    async fn decide(&mut self, round: Round) {
        let (wall, now) = (now(), instant());
        let mut round = self.owner.decide(round, wall, now);
        self.owner.stop_what_must(wall, now, &mut round);
        metrics::coordinator().round(now.elapsed());
        if self.owner.classes.has_new() {
            self.look_after_classes(now);
        }
        let messages = self.owner.event_messages(std::mem::take(&mut round.events), wall);
        if !messages.is_empty() {
            events::publish(&self.writers.jet, messages).await;
        }
        self.on_their_way.extend(round.carry_out(&self.writers));
    }

    async fn tick(&mut self, round: &mut Round) {
        let at = instant();
        if at.duration_since(self.last_tick) > GAP {
            tracing::warn!("this coordinator slept; workers' clocks start anew");
            self.owner.workers.restart_clocks(at);
        }
        self.last_tick = at;
        self.owner.press_on(at);
        self.owner.condemn(at, round);
        self.owner.ask_about_claims(at, round);
        self.owner.publish_overdue(now(), at, round);
        self.owner.retire(at, round);
        self.owner.bury(now(), round);
        self.owner.look_for_strays(at, round);
        self.owner.look_at_classes(at, round);
        self.owner.write_board(at);
        self.look_after_classes(at);
        self.resolve_strangers(at).await;
        self.resolve_unaccounted(at).await;
    }

    /// Each class has its definition, for workers, and its consumer, to pull from.
    fn look_after_classes(&mut self, at: Instant) {
        for look in self.owner.classes_to_look_after(at) {
            let jet = self.writers.jet.clone();
            self.on_their_way.push(Box::pin(async move {
                classes::look_after(&jet, look).await;
                Done::Said
            }));
        }
    }

    /// Records of unknown Jobs: once the objects' tail is known to be in step, those Jobs are gone.
    async fn resolve_strangers(&mut self, at: Instant) {
        let overdue = self.owner.overdue_strangers(at, STRANGE);
        if overdue.is_empty() {
            return;
        }
        let names = &self.writers.jet.names;
        let (stream, jobs) = (names.objects_stream(), names.objects(Some("jobs")));
        let Ok(newest) = self.writers.jet.read_last(&stream, &jobs).await else { return };
        if self.owner.objects_seen < newest.map_or(0, |stored| stored.sequence) {
            return;
        }
        for uid in overdue {
            self.owner.adopt_orphans(uid, at);
        }
    }

    /// Claims of incarnations whose lease is not known to run: the leader is asked.
    async fn resolve_unaccounted(&mut self, at: Instant) {
        for (worker, incarnation) in self.owner.unaccounted() {
            let names = &self.writers.jet.names;
            let (stream, lease) = (names.objects_stream(), names.worker_lease(&worker));
            let Ok(stored) = self.writers.jet.read_last(&stream, &lease).await else { return };
            if let Some(stored) = stored
                && let Ok(lease) = serde_json::from_slice(&stored.payload)
            {
                self.owner.observe_lease(lease, stored.sequence, at);
            }
            self.owner.end_if_not_living(&worker, incarnation);
        }
    }
}
