//! What goes wrong: drawn from the seed, for a time; then everything is mended.
//!
//! A seed draws which kinds of faults there are at all: some only show when others are away.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::jetstream::Lapses;
use super::net::Delays;
use super::rng::Rng;
use super::roles::{GRACE, LEASE, Role};
use super::truth;
use super::world::World;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A process is killed, somewhere in its next steps.
    Crash,
    /// A process is told to end.
    Shutdown,
    /// A process stands still, perhaps for longer than its lease.
    Pause,
    /// A process' connection breaks for a while.
    Cut,
    /// A worker's connection breaks for longer than it takes to be lost.
    Isolate,
    /// A process' wall clock jumps.
    Clock,
    /// The server is killed and started again.
    Server,
    /// A worker's machine is gone for good.
    Retire,
}

/// So many of a thousand runs lose what the server had acknowledged.
const GOES_BACK: u64 = 100;

const KINDS: [(Kind, &str); 8] = [
    (Kind::Crash, "crash"),
    (Kind::Shutdown, "shutdown"),
    (Kind::Pause, "pause"),
    (Kind::Cut, "cut"),
    (Kind::Isolate, "isolate"),
    (Kind::Clock, "clock"),
    (Kind::Server, "server"),
    (Kind::Retire, "retire"),
];

/// The faults of a run.
pub struct Faults {
    world: Arc<World>,
    rng: Rng,
    kinds: Vec<(Kind, &'static str)>,
    every: u64,
    lasts: Duration,
    /// An older copy of the server's directory is put back.
    goes_back: bool,
    counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Draws them, and what the server and the network do wrong all the while.
    #[must_use]
    pub fn draw(world: Arc<World>, mut rng: Rng) -> Self {
        let calm = rng.chance(100);
        let kinds = KINDS.iter().filter(|_| !calm && rng.chance(400)).copied().collect();
        let every = *rng.pick(&[300, 1000, 3000]);
        let lasts = Duration::from_millis(rng.between(2000, 20_000));
        let goes_back = !calm && rng.chance(GOES_BACK);
        if !calm {
            let mut state = world.net.state();
            // With many answers lost, much is read before one knows what became of one's own write.
            let unanswered = *rng.pick(&[100, 100, 400]);
            let mut often = |most: u64| if rng.chance(400) { rng.below(most) } else { 0 };
            state.server.lapses = Lapses {
                lost: often(100),
                lost_ack: often(unanswered),
                spurious: often(150),
                busy: often(100),
                refused: often(50),
            };
            state.delays = Delays { usual: 1 + often(20), late: often(60), lateness: often(5000) };
        }
        Self { world, rng, kinds, every, lasts, goes_back, counts: BTreeMap::new() }
    }

    /// Does harm for a while, then mends everything. Says what was done how often.
    pub async fn rage(&mut self) -> Vec<(&'static str, u64)> {
        let end = tokio::time::Instant::now() + self.lasts;
        if self.goes_back {
            self.go_back();
        }
        loop {
            let pause = Duration::from_millis(self.rng.below(self.every * 2));
            if tokio::time::Instant::now() + pause >= end {
                break;
            }
            tokio::time::sleep(pause).await;
            self.harm();
        }
        tokio::time::sleep_until(end).await;
        self.mend();
        self.counts.iter().map(|(name, count)| (*name, *count)).collect()
    }

    fn harm(&mut self) {
        if self.kinds.is_empty() {
            return;
        }
        let (kind, name) = *self.rng.pick(&self.kinds);
        *self.counts.entry(name).or_default() += 1;
        match kind {
            Kind::Server => return self.crash_server(),
            Kind::Retire => return self.retire(),
            Kind::Isolate => return self.isolate(),
            Kind::Crash | Kind::Shutdown | Kind::Pause | Kind::Cut | Kind::Clock => {}
        }
        let (role, machine) = self.somebody();
        match kind {
            Kind::Crash => role.process.kill_after(self.rng.between(1, 60)),
            Kind::Shutdown => role.shutdown.cancel(),
            Kind::Pause => {
                let most = *self.rng.pick(&[200, 3000, 12_000]);
                let lasts = Duration::from_millis(self.rng.below(most));
                role.process.pause();
                machine.iter().for_each(|machine| machine.sleep(true));
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    machine.iter().for_each(|machine| machine.sleep(false));
                    role.process.resume();
                });
            }
            Kind::Cut => {
                let most = *self.rng.pick(&[50, 2000, 12_000, 30_000]);
                let lasts = Duration::from_millis(self.rng.below(most));
                self.cut(&role, lasts);
            }
            Kind::Clock => {
                // Deadlines of Jobs go by the wall clock of coordinators, so a Job may last longer
                // by as much as that jumps. What a worker waits for does not.
                let longest = if machine.is_some() { 86_400_000 } else { 60_000 };
                let most = *self.rng.pick(&[50, 2000, longest]);
                let by = i64::try_from(self.rng.below(most)).unwrap_or(0);
                role.process.skew(if self.rng.chance(500) { by } else { -by });
            }
            Kind::Server | Kind::Retire | Kind::Isolate => {}
        }
    }

    fn cut(&self, role: &Role, lasts: Duration) {
        let (net, link) = (self.world.net.clone(), role.link);
        net.cut(link);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            net.mend(link);
        });
    }

    fn isolate(&mut self) {
        let role = {
            let workers = self.world.workers.lock().unwrap_or_else(PoisonError::into_inner);
            self.rng.pick(&workers).1.role.clone()
        };
        let most = u64::try_from((3 * LEASE).as_millis()).unwrap_or(0);
        let more = Duration::from_millis(self.rng.below(most));
        self.cut(&role, LEASE + GRACE + more);
    }

    /// Outside of all promises but two: it is noticed, and Jobs go on from what is left.
    fn go_back(&mut self) {
        self.counts.insert("went back", 1);
        let lasts = u64::try_from(self.lasts.as_millis()).unwrap_or(0);
        let after = self.rng.below(lasts / 2);
        let before = self.rng.below(lasts / 2);
        let world = self.world.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            let Some(copy) = world.net.state().server.copy() else { return };
            tokio::time::sleep(Duration::from_millis(before)).await;
            world.net.crash_server();
            {
                let mut state = world.net.state();
                state.server.put_back(copy);
                truth::lock(&world.truth).go_back(&state.server);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            world.net.start_server();
        });
    }

    fn crash_server(&mut self) {
        let lasts = Duration::from_millis(self.rng.between(20, 2000));
        let net = self.world.net.clone();
        net.crash_server();
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            net.start_server();
        });
    }

    /// The first worker stays in any case.
    fn retire(&mut self) {
        let mut workers = self.world.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let last = workers.len() - 1;
        if last > 0 {
            let index = 1 + usize::try_from(self.rng.below(last as u64)).unwrap_or(0);
            let (_, agent) = workers.remove(index);
            drop(workers);
            agent.role.process.kill();
        }
    }

    fn somebody(&mut self) -> (Role, Option<super::machine::Machine>) {
        let coordinators = self.world.coordinators.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = self.world.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            coordinators.iter().map(|coordinator| (coordinator.role.clone(), None)).collect();
        all.extend(workers.iter().map(|(_, agent)| (agent.role.clone(), agent.machine())));
        self.rng.pick(&all).clone()
    }

    fn mend(&self) {
        {
            let mut state = self.world.net.state();
            state.server.lapses = Lapses::default();
            state.delays = Delays::default();
        }
        self.world.net.start_server();
        let coordinators = self.world.coordinators.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = self.world.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let agents = workers.iter().map(|(_, agent)| {
            agent.machine().iter().for_each(|machine| machine.sleep(false));
            &agent.role
        });
        let roles = coordinators.iter().map(|coordinator| &coordinator.role).chain(agents);
        for role in roles {
            role.process.set_clock();
            role.process.resume();
        }
    }
}
