//! A process: tasks that live, stand still and die together, with clocks and chance of their own.
//!
//! It may be killed before any poll of any of its tasks, which is at every `await`.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use stint_common::stage::{self, Stage, Task};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use uuid::Uuid;

use super::rng::Rng;

/// What is done when a process dies.
type Will = Box<dyn FnOnce() + Send>;

/// A process. Cheap to clone.
#[derive(Clone)]
pub struct Process(Arc<Inner>);

struct Inner {
    epoch: Timestamp,
    start: Instant,
    alive: AtomicBool,
    paused: AtomicBool,
    polls: AtomicU64,
    dies_at: AtomicU64,
    skew_ms: AtomicI64,
    rng: Mutex<Rng>,
    asleep: Mutex<Vec<Waker>>,
    tasks: Mutex<Vec<AbortHandle>>,
    wills: Mutex<Vec<Will>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// A process whose clocks began at `start`, when it was `epoch`.
    #[must_use]
    pub fn new(epoch: Timestamp, start: Instant, rng: Rng) -> Self {
        Self(Arc::new(Inner {
            epoch,
            start,
            alive: AtomicBool::new(true),
            paused: AtomicBool::new(false),
            polls: AtomicU64::new(0),
            dies_at: AtomicU64::new(u64::MAX),
            skew_ms: AtomicI64::new(0),
            rng: Mutex::new(rng),
            asleep: Mutex::default(),
            tasks: Mutex::default(),
            wills: Mutex::default(),
        }))
    }

    /// Runs a task of this process.
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.clone().start(Box::pin(task)));
    }

    /// Runs synchronous code as this process.
    pub fn act<T>(&self, act: impl FnOnce() -> T) -> T {
        stage::on(self.0.clone(), act)
    }

    /// To be done when it dies.
    pub fn at_death(&self, will: impl FnOnce() + Send + 'static) {
        lock(&self.0.wills).push(Box::new(will));
    }

    /// Whether it lives.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.0.alive.load(Ordering::Relaxed)
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.0.die();
    }

    /// Ends it before its `polls`th step from now.
    pub fn kill_after(&self, polls: u64) {
        let at = self.0.polls.load(Ordering::Relaxed) + polls.max(1);
        self.0.dies_at.store(at, Ordering::Relaxed);
    }

    /// It stands still: its tasks take no step, while time goes on.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::Relaxed);
    }

    /// It goes on.
    pub fn resume(&self) {
        self.0.paused.store(false, Ordering::Relaxed);
        lock(&self.0.asleep).drain(..).for_each(Waker::wake);
    }

    /// Its wall clock jumps.
    pub fn skew(&self, by_ms: i64) {
        self.0.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Its wall clock is right again.
    pub fn set_clock(&self) {
        self.0.skew_ms.store(0, Ordering::Relaxed);
    }
}

impl Inner {
    fn start(self: Arc<Self>, task: Task) -> JoinHandle<()> {
        let handle = tokio::spawn(Scoped { process: self.clone(), task: Some(task) });
        let mut tasks = lock(&self.tasks);
        if tasks.len() % 64 == 63 {
            tasks.retain(|task| !task.is_finished());
        }
        tasks.push(handle.abort_handle());
        handle
    }

    fn die(&self) {
        if !self.alive.swap(false, Ordering::Relaxed) {
            return;
        }
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
        lock(&self.asleep).clear();
        let wills = std::mem::take(&mut *lock(&self.wills));
        wills.into_iter().for_each(|will| will());
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Stage for Inner {
    fn now(&self) -> Timestamp {
        let skew = jiff::SignedDuration::from_millis(self.skew_ms.load(Ordering::Relaxed));
        let now = stint_common::time::after(self.epoch, self.elapsed());
        now.checked_add(skew).unwrap_or(now)
    }

    fn boottime_ms(&self) -> i64 {
        // Not 0 at the beginning: that stands for no proof.
        i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX) + 1_000_000
    }

    fn draw(&self) -> Uuid {
        let mut rng = lock(&self.rng);
        let (high, low) = (rng.draw(), rng.draw());
        uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
            .into_uuid()
    }

    fn spawn(self: Arc<Self>, task: Task) -> JoinHandle<()> {
        self.start(task)
    }
}

struct Scoped {
    process: Arc<Inner>,
    task: Option<Task>,
}

impl Future for Scoped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let process = self.process.clone();
        if !process.alive.load(Ordering::Relaxed) {
            self.task = None;
            return Poll::Ready(());
        }
        if process.paused.load(Ordering::Relaxed) {
            lock(&process.asleep).push(cx.waker().clone());
            return Poll::Pending;
        }
        let polls = process.polls.fetch_add(1, Ordering::Relaxed) + 1;
        if polls >= process.dies_at.load(Ordering::Relaxed) {
            process.die();
            self.task = None;
            return Poll::Ready(());
        }
        let Some(task) = &mut self.task else { return Poll::Ready(()) };
        let polled = stage::on(process, || task.as_mut().poll(cx));
        if polled.is_ready() {
            self.task = None;
        }
        polled
    }
}
