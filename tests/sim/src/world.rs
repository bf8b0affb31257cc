//! A whole system from a seed: server, coordinators, workers, clients, faults; and the judgement at
//! the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use stint_common::id::Incarnation;
use stint_coordinator::control::Keep;
use stint_coordinator::registry::{Options, Registry};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::clients::{self, Wish};
use super::faults::Faults;
use super::jetstream::Server;
use super::judge;
use super::net::Net;
use super::process::Process;
use super::rng::Rng;
use super::roles::{Agent, CLAIMS, Coordinator, Home, STRAYS};
use super::truth::{self, SharedTruth, Watching};

/// Every simulation begins at this moment.
const EPOCH: i64 = 1_767_225_600;
/// After the last fault a Job must have ended by so long after, besides what it waits for since its
/// pods failed.
const PATIENCE: Duration = Duration::from_secs(600);
/// So many of a thousand runs go on, to see what is left of Jobs that are gone.
const LINGERS: u64 = 30;
/// For so long: what is left is kept for a while.
const LINGER: Duration = Duration::from_secs(250);
/// Between two looks at whether everything is over.
const LOOK: Duration = Duration::from_millis(500);

/// What a simulation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What must not have been; empty if all is well.
    pub violations: Vec<String>,
    /// Two runs of a seed have the same.
    pub hash: u64,
    /// What came to the server.
    pub events: u64,
    /// How long it took on the simulated clock.
    pub lasted: Duration,
    /// Pods that ran.
    pub pods: usize,
    /// What was done to the system, by kind.
    pub faults: Vec<(&'static str, u64)>,
}

/// The system.
pub struct World {
    /// The network and the server.
    pub net: Net,
    /// What really happens.
    pub truth: SharedTruth,
    /// The coordinators.
    pub coordinators: Mutex<Vec<Coordinator>>,
    /// The workers, and what stays of them.
    pub workers: Mutex<Vec<(Home, Agent)>>,
    /// When it began.
    pub start: Instant,
    /// How much coordinators keep of what is over.
    keep: Keep,
    rng: Mutex<Rng>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first worker takes every pod, and is never taken away.
fn labels(number: u64, rng: &mut Rng) -> BTreeMap<String, String> {
    let all = [("zone", "a"), ("disk", "fast")].into_iter();
    let some = all.filter(|_| number == 0 || rng.chance(500));
    some.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn epoch() -> Timestamp {
    Timestamp::from_second(EPOCH).unwrap_or_default()
}

/// Runs the simulation of a seed. `aloud` says every message.
///
/// # Panics
///
/// When the machine has no room for a runtime.
#[must_use]
pub fn run(seed: u64, aloud: bool) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be made");
    runtime.block_on(simulate(seed, aloud))
}

async fn simulate(seed: u64, aloud: bool) -> Verdict {
    let mut rng = Rng::new(seed);
    let world = World::build(&mut rng);
    world.net.state().trace.aloud = aloud;
    truth::lock(&world.truth).aloud = aloud;
    let count = usize::try_from(rng.between(1, 4)).unwrap_or(1);
    let wishes: Vec<Wish> = (0..count).map(|number| Wish::draw(number, &mut rng)).collect();
    let clients: Vec<_> = wishes
        .iter()
        .map(|wish| tokio::spawn(clients::look_after(world.clone(), wish.clone(), rng.fork())))
        .collect();
    tokio::spawn(world.clone().keep_up(rng.fork()));
    let mut faults = Faults::draw(world.clone(), rng.fork());
    let faults = faults.rage().await;
    let mut violations = world.end_of(clients).await;
    // Requests that nothing stands in the way of any more are answered, so this ends by itself.
    if tokio::time::timeout(PATIENCE, world.rouse(&wishes)).await.is_err() {
        violations.push("who makes again what was lost has had no answer for too long".to_owned());
    }
    violations.extend(world.settle(&wishes).await);
    if violations.is_empty() && rng.chance(LINGERS) {
        tokio::time::sleep(LINGER).await;
        violations.extend(judge::left_over(&world));
    }
    violations.extend(judge::judge(&world));
    let (hash, events) = {
        let state = world.net.state();
        (state.trace.hash(), state.trace.events())
    };
    let pods = truth::lock(&world.truth).pods.len();
    world.end();
    Verdict { violations, hash, events, lasted: world.start.elapsed(), pods, faults }
}

impl World {
    fn build(rng: &mut Rng) -> Arc<Self> {
        let truth = SharedTruth::default();
        let mut server = Server::new(epoch(), rng.fork());
        server.observer = Some(Box::new(Watching(truth.clone())));
        let net = Net::start(server, rng.fork());
        let world = Self {
            net,
            truth,
            coordinators: Mutex::default(),
            workers: Mutex::default(),
            start: Instant::now(),
            keep: Keep {
                pods: *rng.pick(&[100_000, 100_000, 0, 3]),
                deleted: Duration::from_secs(*rng.pick(&[3600, 3600, 4])),
                strays: STRAYS,
                claims: CLAIMS,
            },
            rng: Mutex::new(rng.fork()),
        };
        for _ in 0..rng.between(1, 3) {
            let coordinator = Coordinator::start(&world.net, world.process(), world.keep);
            lock(&world.coordinators).push(coordinator);
        }
        for number in 0..rng.between(1, 3) {
            let id = (u128::from(rng.draw()) << 64) | u128::from(rng.draw());
            let home = Home {
                name: format!("worker-{number}"),
                id: Incarnation(Uuid::from_u128(id)),
                slots: u32::try_from(rng.between(1, 4)).unwrap_or(1),
                seed: rng.draw(),
                labels: labels(number, rng),
            };
            let agent =
                Agent::start(&world.net, world.process(), home.clone(), world.truth.clone());
            lock(&world.workers).push((home, agent));
        }
        Arc::new(world)
    }

    fn process(&self) -> Process {
        Process::new(epoch(), self.start, lock(&self.rng).fork())
    }

    /// A coordinator that answers requests, if there is one.
    pub fn some_coordinator(&self, rng: &mut Rng) -> Option<(Process, Arc<Registry>)> {
        let coordinators = lock(&self.coordinators);
        let answering: Vec<_> = coordinators
            .iter()
            .filter_map(|coordinator| {
                Some((coordinator.role.process.clone(), coordinator.registry()?))
            })
            .collect();
        (!answering.is_empty()).then(|| rng.pick(&answering).clone())
    }

    /// What died is started again, a while later.
    async fn keep_up(self: Arc<Self>, mut rng: Rng) {
        loop {
            tokio::time::sleep(Duration::from_millis(rng.between(50, 1500))).await;
            self.restart_the_dead();
        }
    }

    fn restart_the_dead(&self) {
        for coordinator in lock(&self.coordinators).iter_mut() {
            if !coordinator.role.process.lives() {
                *coordinator = Coordinator::start(&self.net, self.process(), self.keep);
            }
        }
        for (home, agent) in lock(&self.workers).iter_mut() {
            if !agent.role.process.lives() {
                let process = self.process();
                *agent = Agent::start(&self.net, process, home.clone(), self.truth.clone());
            }
        }
    }

    /// What lives holds what holds it: only the dead leave nothing behind.
    fn end(&self) {
        lock(&self.coordinators).iter().for_each(|it| it.role.process.kill());
        lock(&self.workers).iter().for_each(|(_, agent)| agent.role.process.kill());
    }

    /// Jobs that a late request left suspended are resumed, and what the server forgot is made
    /// again: nothing else would ever end them.
    async fn rouse(self: &Arc<Self>, wishes: &[Wish]) {
        let mut rng = lock(&self.rng).fork();
        if truth::lock(&self.truth).went_back {
            for wish in wishes {
                clients::configure(self, &mut rng, wish).await;
            }
        }
        for _ in 0..20 {
            let suspended: Vec<String> = {
                let truth = truth::lock(&self.truth);
                let jobs = truth.jobs.values().filter(|job| !job.record.gone);
                let jobs = jobs.filter(|job| job.spec["suspend"] == true);
                jobs.map(|job| job.name.clone()).collect()
            };
            for name in suspended {
                let Some((process, registry)) = self.some_coordinator(&mut rng) else { continue };
                process.run(async move {
                    let body = json!({"spec": {"suspend": false}}).to_string();
                    let options = Options::default();
                    let body = body.as_bytes();
                    drop(registry.patch_job("default", &name, body, None, &options).await);
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for the clients: what is asked must be answered once nothing is wrong any more.
    async fn end_of(&self, clients: Vec<JoinHandle<()>>) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        for client in clients {
            match tokio::time::timeout_at(deadline, client).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return vec![format!("a client: {error}")],
                Err(_) => return vec!["a client has had no answer for too long".to_owned()],
            }
        }
        Vec::new()
    }

    /// Waits until everything is over; what is not in time is a violation.
    async fn settle(&self, wishes: &[Wish]) -> Vec<String> {
        let (start, mut patience) = (Instant::now(), PATIENCE);
        loop {
            // A success that came late clears what had to be waited for before it.
            patience = patience.max(PATIENCE + judge::backed_off(self));
            let waits_for = judge::unsettled(self, wishes);
            let violated = !truth::lock(&self.truth).violations.is_empty();
            if waits_for.is_empty() || violated {
                return Vec::new();
            }
            if start.elapsed() > patience {
                let late = |what| format!("not over {patience:?} after the last fault: {what}");
                return waits_for.into_iter().map(late).collect();
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
