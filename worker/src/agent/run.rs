//! The agent's loop: select, take in, decide what to start, claim and pull, carry out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use stint_common::collections::HashMap;
use stint_common::id::{Incarnation, JobUid, PodId};
use stint_common::metrics;
use stint_common::nats::{Committer, Jet, PortError, Subscription, Write};
use stint_common::time::{Instant, now, since};
use stint_common::wire::{Exit, Nudge, Offer, PodState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::devices::{Assigned, DeviceKind, Devices};
use super::disk::Disk;
use super::fence::Fence;
use super::intake::{Intake, MOST, News, Pulled, clock};
use super::outbox::{Done, OnItsWay, Outbox, Post};
use super::places::Places;
use super::pods::{Pod, Run, Stage, Timer};
use super::room::{Amounts, Room};
use super::templates::{Fetched, Known, Ready, Templates};
use super::termination::TerminationLogs;
use crate::launch::Host;
use crate::pod::{
    ActionId, ContainerSettings, Effect, Event, Machine, RestartPolicy, Settings as PodSettings,
};
use crate::runtime::{RunId, Runtime, RuntimeEvent};

/// What was pulled to be ready ahead and could not be claimed goes back after this.
const GIVE_BACK: Duration = Duration::from_millis(100);
/// Long-running output, silent pulls and the fence are looked at this often while there are pods.
const TICK: Duration = Duration::from_millis(100);
/// While nothing runs, this is often enough.
const IDLE_TICK: Duration = Duration::from_secs(2);
/// Events taken in before the next decision.
const EVENTS_A_ROUND: usize = 4096;
/// Ends wait no longer than this for company.
const HOLD_ENDS: Duration = Duration::from_millis(4);
/// Sizes are written down for metrics this often.
const LOOK_AT_SIZES: Duration = Duration::from_secs(1);
/// So many ends are company enough.
const HELD_ENDS: usize = 64;

/// What an agent is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The worker's name.
    pub name: String,
    /// What it offers to pods.
    pub offer: Offer,
    /// Its devices, by the name of their resource.
    pub devices: BTreeMap<String, DeviceKind>,
    /// Where what pods leave behind lies while they run.
    pub data_dir: PathBuf,
    /// At shutdown pods have so long to end by themselves after TERM, if they ask for more.
    pub shutdown_seconds: u32,
}

/// What the machine had no room to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The container at this place.
    Container(usize),
    /// A hook.
    Action(ActionId),
}

/// Why an agent stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to; all ends are written.
    Shutdown,
    /// This life of the worker is over: another's link stands in the lease's chain.
    Lost,
}

/// One life of a worker, from hello to its end.
pub struct Agent<R: Runtime> {
    pub(super) settings: Settings,
    pub(super) me: Incarnation,
    pub(super) runtime: Arc<R>,
    pub(super) fence: Arc<Fence>,
    pub(super) post: Post,
    pub(super) logs: Committer,
    pub(super) pods: HashMap<PodId, Pod>,
    pub(super) runs: HashMap<RunId, PodId>,
    pub(super) exits: HashMap<RunId, (Exit, Timestamp)>,
    /// Claimed pods whose Job's seal is being read again.
    pub(super) verifying: Vec<PodId>,
    pub(super) waiting: VecDeque<PodId>,
    pub(super) pending: VecDeque<(PodId, Event)>,
    pub(super) replies: HashMap<PodId, async_nats::Subject>,
    pub(super) reports: BTreeSet<Timer>,
    pub(super) wakes: BTreeSet<Timer>,
    pub(super) retries: BTreeSet<(Timestamp, PodId, Target)>,
    /// Pods that wait for what their variables come from, and how often it was looked for in vain.
    pub(super) configuring: HashMap<PodId, u32>,
    pub(super) look_again: BTreeSet<Timer>,
    pub(super) on_their_way: FuturesUnordered<OnItsWay>,
    pub(super) effects: Vec<Effect>,
    pub(super) ahead: Ahead,
    pub(super) recent: Option<JobUid>,
    pub(super) places: Places,
    pub(super) room: Room,
    pub(super) devices: Devices,
    disk: Disk,
    pub(super) last_run: u64,
    pub(super) shutting_down: bool,
    pub(super) terminations: TerminationLogs,
    /// Probes were told that processes may stand still.
    pub(super) paused: bool,
    pub(super) pulled: VecDeque<Pulled>,
    pub(super) templates: Templates,
    held_ends: Vec<(PodId, Write)>,
    held_since: Option<Instant>,
    board: Option<Instant>,
    nonce: u64,
}

impl<R: Runtime> Agent<R> {
    /// An agent without pods.
    ///
    /// # Errors
    ///
    /// When its directory cannot be used.
    pub fn new(
        settings: Settings,
        me: Incarnation,
        runtime: Arc<R>,
        fence: Arc<Fence>,
        jet: Jet,
        host: Host,
    ) -> std::io::Result<Self> {
        let terminations = TerminationLogs::open(&settings.data_dir)?;
        let room = Room::new(&settings.offer.allocatable, settings.offer.default_cpu_milli);
        let devices = Devices::new(&settings.devices);
        let disk = Disk::new(&settings.data_dir);
        let pods = Committer::start(jet.clone(), jet.names.pods_stream());
        let logs = Committer::start(jet.clone(), jet.names.logs_stream());
        Ok(Self {
            settings,
            me,
            runtime,
            fence,
            post: Post { jet, pods, host: Arc::new(host) },
            logs,
            pods: HashMap::default(),
            runs: HashMap::default(),
            exits: HashMap::default(),
            verifying: Vec::new(),
            waiting: VecDeque::new(),
            pending: VecDeque::new(),
            replies: HashMap::default(),
            reports: BTreeSet::new(),
            wakes: BTreeSet::new(),
            retries: BTreeSet::new(),
            configuring: HashMap::default(),
            look_again: BTreeSet::new(),
            on_their_way: FuturesUnordered::new(),
            effects: Vec::new(),
            ahead: Ahead::default(),
            recent: None,
            places: Places::default(),
            room,
            devices,
            disk,
            last_run: 0,
            shutting_down: false,
            terminations,
            paused: false,
            pulled: VecDeque::new(),
            templates: Templates::default(),
            held_ends: Vec::new(),
            held_since: None,
            board: None,
            nonce: 0,
        })
    }

    pub(super) fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    /// Works until `shutdown` (then stops its pods and writes their ends), or until `lost`.
    ///
    /// # Errors
    ///
    /// When a subscription cannot be made.
    pub async fn run(
        mut self,
        mut heard: mpsc::UnboundedReceiver<RuntimeEvent>,
        shutdown: CancellationToken,
        lost: CancellationToken,
    ) -> Result<Ending, PortError> {
        let jet = self.post.jet.clone();
        let mut nudges = jet.subscribe(jet.names.nudge(&self.settings.name)).await?;
        let mut reconnects = jet.reconnects();
        reconnects.mark_unchanged();
        let mut intake =
            Intake::start(jet, &self.settings.name, self.settings.offer.clone(), clock()).await?;
        self.share_places();
        loop {
            let mut out = Outbox::default();
            if let Some(rest) = self.rest() {
                tokio::select! {
                    biased;
                    () = lost.cancelled() => {}
                    () = shutdown.cancelled() => {}
                    Some(message) = nudges.next() => self.nudged(&message.payload, &mut out),
                    () = tokio::time::sleep(rest) => {}
                }
            }
            let pause = self.pause();
            // Whatever woke the loop, the rest of what is there is taken in below.
            tokio::select! {
                biased;
                () = lost.cancelled() => {
                    self.runtime.kill_all();
                    return Ok(Ending::Lost);
                }
                () = shutdown.cancelled(), if !self.shutting_down => self.shut_down(&mut out),
                Some(done) = self.on_their_way.next() => self.arrived(done, &mut out),
                Some(event) = heard.recv() => self.heard(event, &mut out),
                Some(message) = nudges.next() => self.nudged(&message.payload, &mut out),
                () = reconnects.changed() => self.look_at_records(),
                news = intake.next(), if !self.shutting_down => self.pulled_news(news),
                () = tokio::time::sleep(pause) => {}
            }
            self.take_what_is_there(&mut intake, &mut heard, &mut nudges, &mut out);
            self.ring_timers(&mut out);
            self.settle_pending(&mut out);
            self.start_waiting(&mut out);
            self.claim(intake.is_mixed(), &mut out);
            self.pull(&mut intake).await;
            self.hold_ends(&mut out);
            self.write_board();
            let ways = out.carry_out(&self.post);
            self.on_their_way.extend(ways);
            if self.shutting_down && self.pods.is_empty() {
                while self.on_their_way.next().await.is_some() {}
                return Ok(Ending::Shutdown);
            }
        }
    }

    /// Ends of short pods wait a moment for company while more pods wait for a place: a single end
    /// goes at once, a flood in groups.
    fn hold_ends(&mut self, out: &mut Outbox) {
        self.held_ends.append(&mut out.ends);
        if self.held_ends.is_empty() {
            return;
        }
        let since = *self.held_since.get_or_insert_with(clock);
        // After a rest there is company already.
        let busy = self.not_yet_running() > 0 && self.rest().is_none();
        if !busy || self.held_ends.len() >= HELD_ENDS || clock().duration_since(since) >= HOLD_ENDS
        {
            out.ends = std::mem::take(&mut self.held_ends);
            self.held_since = None;
        }
    }

    /// Writes down for the metrics what has a size, if it is time to.
    fn write_board(&mut self) {
        let at = clock();
        let lately = self.board.is_some_and(|written| at.duration_since(written) < LOOK_AT_SIZES);
        if lately || !metrics::are_read() {
            return;
        }
        self.board = Some(at);
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let waiting = self.not_yet_running();
        metrics::places(metrics::Places {
            pods: vec![("running", count(self.places.running)), ("waiting", count(waiting))],
            slots: count(self.room.places()),
            proven: self.fence.is_open(),
            cordoned: self.fence.is_cordoned(),
        });
    }

    /// How long nothing is to be done if nothing happens.
    fn pause(&self) -> Duration {
        if self.held_since.is_some() {
            return HOLD_ENDS;
        }
        let tick = if self.pods.is_empty() && self.pulled.is_empty() { IDLE_TICK } else { TICK };
        let timers = [self.reports.first(), self.wakes.first(), self.look_again.first()];
        let next = timers.into_iter().flatten().map(|(at, _)| *at);
        let next = next.chain(self.retries.first().map(|(at, _, _)| *at)).min();
        next.map_or(tick, |at| since(at, now()).min(tick))
    }

    /// What has come meanwhile is taken in before the next decision: a flood makes large groups.
    fn take_what_is_there(
        &mut self,
        intake: &mut Intake,
        heard: &mut mpsc::UnboundedReceiver<RuntimeEvent>,
        nudges: &mut Subscription,
        out: &mut Outbox,
    ) {
        for _ in 0..EVENTS_A_ROUND {
            let Ok(event) = heard.try_recv() else { break };
            self.heard(event, out);
        }
        while let Some(Some(done)) = self.on_their_way.next().now_or_never() {
            self.arrived(done, out);
        }
        while let Some(Some(message)) = nudges.next().now_or_never() {
            self.nudged(&message.payload, out);
        }
        if !self.shutting_down {
            for _ in 0..MOST {
                let Some(news) = intake.try_next() else { break };
                self.pulled_news(news);
            }
        }
        intake.forget_silent(clock());
    }

    fn pulled_news(&mut self, news: News) {
        match news {
            News::Item(pulled) => self.pulled.push_back(pulled),
            News::Less => {}
        }
    }

    fn arrived(&mut self, done: Done, out: &mut Outbox) {
        match done {
            Done::Claims(outcomes, took) => {
                self.ahead.claimed(took);
                for (id, outcome) in outcomes {
                    self.claim_done(id, &outcome, out);
                }
            }
            Done::Reports(outcomes) => {
                for (id, outcome) in outcomes {
                    self.report_written(id, &outcome, out);
                }
            }
            Done::Ends(outcomes) => {
                for (id, outcome) in outcomes {
                    self.end_written(id, &outcome, out);
                }
            }
            Done::Template(name, fetched) => {
                if matches!(fetched, Fetched::Gone) {
                    self.drop_items_of(&name, out);
                    self.refuse_all(&name, out);
                }
                self.templates.fetched(&name, &fetched);
                self.verify(&name, out);
            }
            Done::Configured(id, configured) => self.configured(id, configured, out),
            Done::Shipped(id, index, run, shipped) => self.shipped(id, index, run, shipped, out),
            Done::Looked(records) => self.looked(records, out),
            Done::Acted(id, action, result) => self.acted(id, action, &result),
            Done::LogsClosed(id) => self.write_end(id, out),
            Done::Said => {}
        }
    }

    /// Items of a Job that is gone leave the queue.
    fn drop_items_of(&mut self, name: &super::templates::Name, out: &mut Outbox) {
        self.pulled.retain(|pulled| {
            let gone = pulled.pod.job == name.0 && pulled.item.template == name.1;
            if gone {
                out.answers.push((pulled.reply.clone(), b"+ACK"));
            }
            !gone
        });
    }

    fn nudged(&mut self, payload: &[u8], out: &mut Outbox) {
        match serde_json::from_slice::<Nudge>(payload) {
            Ok(nudge) => {
                if let Some(cordoned) = nudge.cordoned {
                    self.fence.cordon(cordoned);
                }
                for nudged in nudge.pods {
                    self.ordered(nudged.pod, nudged.order, out);
                    self.settle_pending(out);
                }
            }
            Err(error) => tracing::error!(%error, "a nudge cannot be read"),
        }
    }

    fn ring_timers(&mut self, out: &mut Outbox) {
        let at = now();
        while let Some((_, id)) = self.reports.first().copied().filter(|(due, _)| *due <= at) {
            self.reports.pop_first();
            self.write_report(id, out);
        }
        while let Some((due, id)) = self.wakes.first().copied().filter(|(due, _)| *due <= at) {
            self.wakes.remove(&(due, id));
            if let Some(pod) = self.pods.get_mut(&id) {
                pod.wake_at = None;
            }
            self.step(id, Event::Wake, out);
        }
        while let Some((_, id, target)) =
            self.retries.first().copied().filter(|(due, _, _)| *due <= at)
        {
            self.retries.pop_first();
            match target {
                Target::Container(index) => self.start_container(id, index, out),
                Target::Action(action) => self.act_again(id, action),
            }
        }
        while let Some((due, id)) = self.look_again.first().copied().filter(|(due, _)| *due <= at) {
            self.look_again.remove(&(due, id));
            self.configure(id);
        }
        self.tell_pauses(out);
        self.ship_long_runners();
        self.tend_actions();
    }

    /// Places that are free or will soon be.
    fn soon_free(&self) -> usize {
        let running = self.pods.iter().filter_map(|(id, pod)| Some((id.job, pod.runs()?)));
        self.room.free_places() + self.ahead.soon_over(running, clock())
    }

    /// Claims what can start at once, and ahead what will start within about a round trip.
    ///
    /// Only plain pods are claimed ahead: one that says what it takes up is claimed when that is
    /// free.
    fn claim(&mut self, mixed: bool, out: &mut Outbox) {
        let at = clock();
        if self.pulled.is_empty() {
            return;
        }
        if mixed {
            // Stable: those that came first go first among their like.
            self.pulled.make_contiguous().sort_by_key(|pulled| Reverse(pulled.kind.priority));
        }
        let places = self.soon_free();
        let mut ahead = self.not_yet_running().saturating_sub(self.room.free_places());
        let open = self.takes_pods();
        for _ in 0..self.pulled.len() {
            let Some(pulled) = self.pulled.pop_front() else { break };
            let fits = self.room.fits(&pulled.kind.amounts, &Amounts::default()) > 0;
            let may_wait =
                pulled.kind.plain && ahead < self.ahead.allowance(pulled.pod.job, places);
            let allowed = open && (fits || may_wait);
            let ready = if allowed { self.template_of(&pulled, out) } else { None };
            match ready {
                // An old item, of a pod whose record may be gone: it has done its work.
                Some(ready) if ready.is_over(pulled.pod) => {
                    out.answers.push((pulled.reply, b"+ACK"));
                }
                Some(ready) => {
                    ahead += usize::from(!fits);
                    self.claim_one(pulled, ready, out);
                }
                None if at.duration_since(pulled.at) >= GIVE_BACK && !allowed => {
                    metrics::worker().gave_back();
                    out.answers.push((pulled.reply, b"-NAK"));
                }
                None => self.pulled.push_back(pulled),
            }
        }
    }

    /// Whether more may be claimed: nothing, and nobody, is in the way, and what the machine had no
    /// room to start has been started.
    fn takes_pods(&mut self) -> bool {
        let allowed = self.fence.is_open() && !self.fence.is_cordoned();
        allowed && self.retries.is_empty() && self.disk.has_room()
    }

    fn template_of(&mut self, pulled: &Pulled, out: &mut Outbox) -> Option<Arc<Ready>> {
        let name = (pulled.pod.job, pulled.item.template.clone());
        match self.templates.get(&name) {
            Some(Known::Ready(ready)) => Some(ready),
            Some(Known::Fetching) => None,
            None => {
                self.templates.fetching(name.clone());
                out.fetches.push(name);
                None
            }
        }
    }

    fn claim_one(&mut self, pulled: Pulled, ready: Arc<Ready>, out: &mut Outbox) {
        let Pulled { pod: id, item, reply, kind, .. } = pulled;
        if let Some(pod) = self.pods.get(&id) {
            // Delivered twice: the first delivery's claim stands or falls for both. Until it is
            // durable the item must stay.
            if pod.stage == Stage::Claiming {
                self.replies.insert(id, reply);
            } else {
                out.answers.push((reply, b"+ACK"));
            }
            return;
        }
        let settings = match &ready.job {
            Ok(job) => Arc::clone(job.settings()),
            Err(_) => Arc::new(unprepared()),
        };
        let containers = settings.containers.iter().map(|_| Run::default()).collect();
        let claimed_at = now();
        let pod = Pod {
            template: item.template,
            created_at: item.created_at,
            index_failures: item.index_failures,
            claimed_at,
            machine: Machine::new(settings, claimed_at),
            ready,
            sequence: 0,
            writing: true,
            stage: Stage::Claiming,
            apart: false,
            devices: Assigned::new(),
            kind,
            containers,
            waits_for: None,
            actions: Vec::new(),
            report: None,
            wake_at: None,
            evicted: None,
            end: None,
        };
        let nonce = self.next_nonce();
        let payload = pod.record(&self.settings.name, self.me, nonce, PodState::Claimed);
        out.claims.push((id, Outbox::write(self.post.jet.names.pod(id), payload, 0)));
        self.replies.insert(id, reply);
        self.room.claim(&pod.kind.amounts);
        self.pods.insert(id, pod);
    }

    /// Asks for as many items as there is room for beyond what is here or on its way.
    ///
    /// Classes are asked in turn, those of higher priority first. One that has more to give is
    /// asked alone; pulls of the others stand, so that what comes is heard of.
    async fn pull(&mut self, intake: &mut Intake) {
        let at = clock();
        if self.shutting_down || !self.takes_pods() {
            return;
        }
        let free = self.room.free_places();
        let ahead = 2 * self.ahead.pull_allowance(self.recent, self.soon_free());
        let mut here = Amounts::default();
        self.pulled.iter().for_each(|pulled| here.add(&pulled.kind.amounts));
        for index in intake.order() {
            let feed = intake.feed(index);
            let (quota, have) = if feed.kind.plain {
                (free + ahead, self.not_yet_running() + self.pulled.len())
            } else {
                (self.room.fits(&feed.kind.amounts, &here), 0)
            };
            let (asked, hot) = (feed.asked, feed.is_hot(at));
            let coming = if hot { intake.asked_of_hot(at) } else { asked };
            let want = quota.min(MOST).saturating_sub(have + coming);
            // Many small pulls cost the server more than few large ones.
            if feed.may_ask(at) && want > 0 && (asked == 0 || want >= quota / 3) {
                intake.ask(index, want, at).await;
            }
            if hot {
                break;
            }
        }
    }
}

/// What the machine knows of a pod whose template cannot be made ready: its one container fails to
/// start.
fn unprepared() -> PodSettings {
    PodSettings {
        containers: vec![ContainerSettings::plain(Arc::from("main"))],
        restart_policy: RestartPolicy::Never,
        grace_seconds: 0,
        active_deadline: None,
    }
}
