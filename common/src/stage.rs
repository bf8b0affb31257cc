//! What a process asks of the world besides NATS (clocks, chance, tasks), played by a simulation
//! while it polls that process. For tests only.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A future that a process runs beside others.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The world as one process sees it.
pub trait Stage: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Milliseconds on a clock that goes on while the machine sleeps.
    fn boottime_ms(&self) -> i64;

    /// A random number.
    fn draw(&self) -> Uuid;

    /// Runs a task for as long as the process lives.
    fn spawn(self: Arc<Self>, task: Task) -> JoinHandle<()>;
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Stage>>> = const { RefCell::new(None) };
}

/// The stage of the process that is being polled on this thread, if it is a simulated one.
#[must_use]
pub fn current() -> Option<Arc<dyn Stage>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `play` as a part of the process on `stage`.
pub fn on<T>(stage: Arc<dyn Stage>, play: impl FnOnce() -> T) -> T {
    /// Puts the stage before back, also when `play` panics.
    struct Leave(Option<Arc<dyn Stage>>);
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _leave = Leave(CURRENT.replace(Some(stage)));
    play()
}
