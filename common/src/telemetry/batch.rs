//! What the threads that send telemetry share: how they begin and end, batches from a bounded
//! queue, and what was lost.
//!
//! A thread and not a task: the HTTP client blocks, and must not do so on the runtime's threads.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// The first of a batch waits so long for company: short, since what waits here is lost when this
/// process is killed.
const LINGER: Duration = Duration::from_millis(200);
/// And is looked after so often.
const LOOK: Duration = Duration::from_millis(10);
/// The end of a process waits so long for what is still queued.
const FLUSH: Duration = Duration::from_secs(3);
/// Losses are said in the log no more often than this.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// A thread that sends, from the side of who has to wait for its end.
#[derive(Debug)]
pub struct Sending {
    done: oneshot::Receiver<()>,
}

impl Sending {
    /// Starts the thread; `send` returns when its queue is empty for good.
    ///
    /// # Errors
    ///
    /// When there is no room for a thread.
    pub fn start(name: &str, send: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let (over, done) = oneshot::channel::<()>();
        let run = move || {
            send();
            // Its other half learns of the end, however this thread ends.
            drop(over);
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { done })
    }

    /// Waits, for a bounded time, until what is queued was sent; whether it was. The queue must be
    /// closed by now.
    pub async fn flush(self) -> bool {
        tokio::time::timeout(FLUSH, self.done).await.is_ok()
    }
}

/// The next of a queue, at most `most`, oldest first; `None` when it is empty for good.
///
/// Only the first is waited for at the queue. A thread that stands there must be woken for each
/// thing that comes, and whoever offers it pays for that: more than for all the rest of it.
pub fn next_batch<T>(queue: &Receiver<T>, most: usize) -> Option<Vec<T>> {
    let mut batch = vec![queue.recv().ok()?];
    let until = Instant::now() + LINGER;
    loop {
        while batch.len() < most {
            match queue.try_recv() {
                Ok(next) => batch.push(next),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Some(batch),
            }
        }
        if batch.len() == most || Instant::now() >= until {
            return Some(batch);
        }
        std::thread::sleep(LOOK);
    }
}

/// What was lost since this was last said.
#[derive(Debug)]
pub struct Losses {
    what: &'static str,
    count: fn(u64),
    /// What found the queue full.
    dropped: Arc<AtomicU64>,
    /// What was in requests that failed.
    failed: u64,
    said: Option<Instant>,
}

impl Losses {
    /// Of `what`; `count` adds them to a metric, `dropped` counts what finds the queue full.
    #[must_use]
    pub fn new(what: &'static str, dropped: Arc<AtomicU64>, count: fn(u64)) -> Self {
        Self { what, count, dropped, failed: 0, said: None }
    }

    /// A request was not taken.
    pub fn failed(&mut self, lost: u64, error: &(dyn Error + 'static)) {
        self.failed += lost;
        self.say_if_due(Some(error));
    }

    /// A request was taken, but for so many that the receiver refused.
    pub fn taken_but(&mut self, refused: u64) {
        self.failed += refused;
        self.say_if_due(None);
    }

    /// Nothing more is sent.
    pub fn finish(mut self) {
        self.said = None;
        self.say_if_due(None);
    }

    fn say_if_due(&mut self, error: Option<&(dyn Error + 'static)>) {
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if !due || (self.failed == 0 && self.dropped.load(Ordering::Relaxed) == 0) {
            return;
        }
        let queue_full = self.dropped.swap(0, Ordering::Relaxed);
        let not_taken = std::mem::take(&mut self.failed);
        self.said = Some(Instant::now());
        (self.count)(queue_full + not_taken);
        tracing::warn!(queue_full, not_taken, error, "{} were lost", self.what);
    }
}

/// Drives a future of the blocking client's on this thread. (It is done after one poll.)
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_comes_within_a_moment_goes_together_and_in_order() {
        let (queue, facts) = sync_channel(100);
        let sender = std::thread::spawn(move || {
            for number in 0..25 {
                queue.send(number).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(next_batch(&facts, 10), Some((0..10).collect()), "no more than asked for");
        let start = Instant::now();
        assert_eq!(next_batch(&facts, 100), Some((10..25).collect()));
        assert!(start.elapsed() < LINGER, "nobody is left who could send more");
        assert_eq!(next_batch(&facts, 100), None);
        sender.join().unwrap();
    }

    #[test]
    fn company_is_waited_for_and_not_for_ever() {
        let (queue, facts) = sync_channel(100);
        queue.send(1).unwrap();
        let start = Instant::now();
        assert_eq!(next_batch(&facts, 100), Some(vec![1]));
        assert!(start.elapsed() >= LINGER);
    }
}
