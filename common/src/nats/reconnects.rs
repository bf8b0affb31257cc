//! News that the connection was made anew.
//!
//! Those who wait are woken in the order in which they came, so that a simulation goes the same way
//! every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// How often a connection was made. Shared; clones begin to listen where the original stands.
#[derive(Clone, Debug, Default)]
pub struct Reconnects {
    shared: Arc<Shared>,
    seen: u64,
}

#[derive(Debug, Default)]
struct Shared {
    count: AtomicU64,
    happened: Notify,
}

impl Reconnects {
    /// The connection was made, or made anew.
    pub fn happened(&self) {
        self.shared.count.fetch_add(1, Ordering::SeqCst);
        self.shared.happened.notify_waiters();
    }

    /// What happened before is not news.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.count.load(Ordering::SeqCst);
    }

    /// Waits until the connection is made anew. Safe to cancel.
    pub async fn changed(&mut self) {
        loop {
            // Listened to before the look at the number, so that nothing falls in between.
            let happened = self.shared.happened.notified();
            let count = self.shared.count.load(Ordering::SeqCst);
            if count != self.seen {
                self.seen = count;
                return;
            }
            happened.await;
        }
    }
}
