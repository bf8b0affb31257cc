//! The agent's loop: select, take in, decide what to start, claim and pull, carry out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use stint_common::collections::HashMap;
use stint_common::id::{Incarnation, JobUid, PodId};
use stint_common::metrics;
use stint_common::nats::{Committer, Jet, PortError, Subscription, Write};
use stint_common::time::{Instant, WallClock, since};
use stint_common::wire::{Exit, Offer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::devices::{DeviceKind, Devices};
use super::disk::Disk;
use super::fence::{Fence, boottime_ms};
use super::intake::{Intake, News, Pulled, clock};
use super::leave::{going_on, leave_untaken};
use super::outbox::{OnItsWay, Outbox, Post};
use super::places::Places;
use super::pods::{Pod, Timer};
use super::room::Room;
use super::templates::Templates;
use super::termination::TerminationLogs;
use crate::forward::Outlet;
use crate::launch::Host;
use crate::pod::{ActionId, Effect, Event};
use crate::runtime::{Kept, RunId, Runtime, RuntimeEvent};

/// Long-running output, silent pulls and the fence are looked at this often while there are pods.
const TICK: Duration = Duration::from_millis(100);
/// While nothing runs, this is often enough.
const IDLE_TICK: Duration = Duration::from_secs(2);
/// Ends wait no longer than this for company.
const HOLD_ENDS: Duration = Duration::from_millis(4);
/// Sizes are written down for metrics this often.
const LOOK_AT_SIZES: Duration = Duration::from_secs(1);
/// What an agent needs to begin may take so long after it was told to stop: then its pods' ends are
/// written, as at any other time.
const START: Duration = Duration::from_secs(3);
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
    /// Where their output goes besides.
    pub outlet: Option<Outlet>,
}

/// What the machine had no room to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The container at this place.
    Container(usize),
    /// A hook.
    Action(ActionId),
}

/// How an agent is told to stop.
#[derive(Clone, Debug)]
pub struct Orders {
    /// It stops its pods, and writes their ends.
    pub shutdown: CancellationToken,
    /// It leaves its pods to the next agent.
    pub hand_over: CancellationToken,
    /// This life of the worker is over.
    pub lost: CancellationToken,
}

impl Orders {
    /// Something that takes a server that answers: given up when it has not come about a while
    /// after the agent was told to stop.
    pub async fn unless_told<T>(&self, wanted: impl Future<Output = T>) -> Option<T> {
        let told = async {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = self.hand_over.cancelled() => {}
            }
            tokio::time::sleep(START).await;
        };
        tokio::select! {
            biased;
            wanted = wanted => Some(wanted),
            () = told => None,
        }
    }
}

/// Why an agent stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to; all ends are written.
    Shutdown,
    /// It was told to, and could not write all ends: others have to.
    GaveUp,
    /// This life of the worker is over: another's link stands in the lease's chain, or what ran its
    /// pods is gone.
    Lost,
    /// It was told to leave its pods to the next agent.
    HandedOver,
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
    /// Pods that wait for their files, and how often these were looked for in vain; or that stand
    /// in line as soon as their only container has its variables.
    pub(super) configuring: HashMap<PodId, u32>,
    pub(super) look_again: BTreeSet<Timer>,
    /// What these times are told by.
    pub(super) wall: WallClock,
    pub(super) on_their_way: FuturesUnordered<OnItsWay>,
    pub(super) effects: Vec<Effect>,
    pub(super) ahead: Ahead,
    pub(super) recent: Option<JobUid>,
    pub(super) places: Places,
    pub(super) room: Room,
    pub(super) devices: Devices,
    pub(super) disk: Disk,
    pub(super) last_run: u64,
    pub(super) shutting_down: bool,
    /// A shutdown goes on without what could not be written by then.
    pub(super) gives_up_at: Option<Instant>,
    pub(super) terminations: TerminationLogs,
    /// Probes were told that processes may stand still.
    pub(super) paused: bool,
    /// Pods whose notes are made anew with this round.
    pub(super) to_be_noted: Vec<PodId>,
    /// Runs that were over and silent.
    pub(super) to_release: Vec<RunId>,
    /// Runs that nobody will ask for.
    pub(super) to_forget: Vec<RunId>,
    /// The runtime is gone, with all that ran.
    pub(super) died: bool,
    pub(super) pulled: VecDeque<Pulled>,
    pub(super) templates: Templates,
    held_ends: Vec<(PodId, Write)>,
    held_since: Option<Instant>,
    board: Option<Instant>,
    pub(super) kept: Option<Kept>,
    /// Runs that were going on when this agent began.
    pub(super) left: BTreeSet<RunId>,
    /// When the records of all pods were last looked at.
    pub(super) looked: Instant,
    /// Records are being looked at.
    pub(super) looking: bool,
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
        let kept = runtime.kept();
        let left = going_on(&kept);
        let terminations = TerminationLogs::open(&settings.data_dir, !kept.notes.is_empty())?;
        // Numbers of this life must not come again: those of an earlier agent of it are all lower.
        let nonce = if runtime.life().is_some() { boottime_ms().unsigned_abs() << 20 } else { 0 };
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
            wall: WallClock::look(),
            on_their_way: FuturesUnordered::new(),
            effects: Vec::new(),
            ahead: Ahead::default(),
            recent: None,
            places: Places::default(),
            room,
            devices,
            disk,
            last_run: 0,
            looked: clock(),
            looking: false,
            shutting_down: false,
            gives_up_at: None,
            terminations,
            paused: false,
            to_be_noted: Vec::new(),
            to_release: Vec::new(),
            to_forget: Vec::new(),
            died: false,
            kept: Some(kept),
            left,
            pulled: VecDeque::new(),
            templates: Templates::default(),
            held_ends: Vec::new(),
            held_since: None,
            board: None,
            nonce,
        })
    }

    pub(super) fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    /// Takes up what an earlier agent of this life left, and works until it is told otherwise.
    ///
    /// # Errors
    ///
    /// When a subscription cannot be made.
    pub async fn run(
        mut self,
        mut heard: mpsc::UnboundedReceiver<RuntimeEvent>,
        orders: Orders,
    ) -> Result<Ending, PortError> {
        // What it begins with is read over a connection that is not news.
        let mut reconnects = self.post.jet.reconnects();
        reconnects.mark_unchanged();
        let mut first = Outbox::default();
        let Some(started) = orders.unless_told(self.start(&orders.lost, &mut first)).await else {
            return Ok(self.leave_early(&mut heard, &orders).await);
        };
        let Some((mut nudges, mut intake)) = started? else { return Ok(Ending::Lost) };
        let Orders { shutdown, hand_over, lost } = orders;
        loop {
            let mut out = std::mem::take(&mut first);
            if let Some(rest) = self.rest() {
                tokio::select! {
                    biased;
                    () = lost.cancelled() => {}
                    () = shutdown.cancelled() => {}
                    () = hand_over.cancelled() => {}
                    Some(message) = nudges.next() => self.nudged(&message.payload, &mut out),
                    () = tokio::time::sleep(rest) => {}
                }
            }
            self.look_at_clock();
            let pause = self.pause();
            let pause = intake.held_for(clock()).map_or(pause, |held| held.min(pause));
            // Whatever woke the loop, the rest of what is there is taken in below.
            tokio::select! {
                biased;
                () = lost.cancelled() => {
                    self.runtime.kill_all();
                    return Ok(Ending::Lost);
                }
                () = hand_over.cancelled(), if !self.shutting_down => {
                    self.hand_over(&mut heard, out).await;
                    return Ok(Ending::HandedOver);
                }
                () = shutdown.cancelled(), if !self.shutting_down => self.shut_down(&mut out),
                Some(done) = self.on_their_way.next() => self.arrived(done, &mut out),
                Some(event) = heard.recv() => self.heard(event, &mut out),
                Some(message) = nudges.next() => self.nudged(&message.payload, &mut out),
                () = reconnects.changed() => self.look_at_records(),
                news = intake.next(), if !self.shutting_down => match news {
                    News::Refit => self.give_back_strange(&intake, &mut out),
                    news => self.pulled_news(news),
                },
                () = tokio::time::sleep(pause) => {}
            }
            self.look_at_clock();
            self.take_what_is_there(&mut intake, &mut heard, &mut nudges, &mut out);
            self.ring_timers(&mut out);
            self.look_at_records_in_time();
            self.settle_pending(&mut out);
            self.start_waiting(&mut out);
            self.claim(intake.is_mixed(), &mut out);
            self.pull(&mut intake).await;
            self.hold_ends(&mut out);
            self.write_board();
            // First the notes: what is claimed must be known to whoever comes after a sudden end.
            self.note_round();
            let ways = out.carry_out(&self.post);
            self.on_their_way.extend(ways);
            if self.is_over().await {
                return Ok(Ending::Lost);
            }
            if let Some(ending) = self.shut_down_as().await {
                return Ok(ending);
            }
        }
    }

    /// Told to stop before it has begun.
    pub async fn leave_early(
        &mut self,
        heard: &mut mpsc::UnboundedReceiver<RuntimeEvent>,
        orders: &Orders,
    ) -> Ending {
        let grace = Duration::from_secs(u64::from(self.settings.shutdown_seconds));
        let left = std::mem::take(&mut self.left);
        leave_untaken(&*self.runtime, left, heard, orders, grace).await
    }

    /// Begins to listen, and takes up what was left; nothing when this life is over.
    async fn start(
        &mut self,
        lost: &CancellationToken,
        first: &mut Outbox,
    ) -> Result<Option<(Subscription, Intake)>, PortError> {
        let jet = self.post.jet.clone();
        let nudges = jet.subscribe(jet.names.nudge(&self.settings.name)).await?;
        let (name, offer) = (&self.settings.name, self.settings.offer.clone());
        let intake = Intake::start(jet, name, offer, self.fence.word(), clock()).await?;
        self.share_places();
        Ok(self.takes_up(lost, first).await.then_some((nudges, intake)))
    }

    /// The number of the next run.
    pub(super) fn next_run(&mut self) -> RunId {
        self.last_run += 1;
        RunId(self.last_run)
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
        next.map_or(tick, |at| since(at, self.wall.now()).min(tick))
    }

    fn ring_timers(&mut self, out: &mut Outbox) {
        let at = self.wall.now();
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
}
