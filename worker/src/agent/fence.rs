//! The fence: without the lease's proof no pod of this worker runs on.
//!
//! A thread of its own, so that nothing the agent waits for holds it up. The proof counts on
//! CLOCK_BOOTTIME, which goes on while the machine sleeps.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use stint_common::metrics;
pub(super) use stint_common::time::boottime_ms;
use stint_common::wire::NodeWord;
use tokio::sync::{Notify, watch};

use crate::runtime::Runtime;

/// How often the fence looks; far below the grace that a lost worker is given.
pub const LOOK: Duration = Duration::from_millis(250);

/// Whether this worker may run pods now. Shared.
#[derive(Debug)]
pub struct Fence {
    proven_until: AtomicI64,
    /// What the runtime was told of it.
    told: AtomicI64,
    frozen: AtomicBool,
    /// What clients say of this worker, as far as it has heard.
    word: watch::Sender<NodeWord>,
    /// Somebody says that there is more to be heard.
    news: Notify,
}

impl Fence {
    /// A fence that is closed until the first proof; somebody must [look](Self::look) from then on.
    #[must_use]
    pub fn closed() -> Arc<Self> {
        Arc::new(Self {
            proven_until: AtomicI64::new(0),
            told: AtomicI64::new(0),
            frozen: AtomicBool::new(false),
            word: watch::Sender::new(NodeWord::default()),
            news: Notify::new(),
        })
    }

    /// A fence that is closed until the first proof, and the thread that keeps it.
    #[must_use]
    pub fn start<R: Runtime>(runtime: &Arc<R>) -> Arc<Self> {
        let fence = Self::closed();
        let (weak, runtime) = (Arc::downgrade(&fence), Arc::downgrade(runtime));
        std::thread::Builder::new()
            .name("fence".to_owned())
            .spawn(move || keep(&weak, &runtime))
            .expect("a worker can start one thread");
        fence
    }

    /// A renewal that was sent at `sent_ms` has been confirmed.
    pub(super) fn prove(&self, sent_ms: i64, lease: Duration) {
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        self.proven_until.fetch_max(sent_ms.saturating_add(lease), Ordering::SeqCst);
    }

    /// Whether the proof holds: only then may anything be claimed or started.
    #[must_use]
    pub fn is_open(&self) -> bool {
        boottime_ms() < self.proven_until.load(Ordering::SeqCst)
    }

    /// The worker is to take no more pods, or may again; those that it has go on.
    pub(super) fn cordon(&self, cordoned: bool) {
        let word = NodeWord { unschedulable: cordoned, ..self.word.borrow().clone() };
        self.hear(word);
    }

    /// What clients say of this worker.
    pub(super) fn hear(&self, word: NodeWord) {
        self.word.send_if_modified(|old| {
            let changed = *old != word;
            if changed {
                tracing::info!(?word, "what clients say of this worker has changed");
                *old = word;
            }
            changed
        });
    }

    /// What clients say of this worker, and when that changes.
    pub(super) fn word(&self) -> watch::Receiver<NodeWord> {
        self.word.subscribe()
    }

    /// What clients say of this worker has changed, as one says who may be wrong.
    pub(super) fn nudge(&self) {
        self.news.notify_one();
    }

    /// Waits for somebody to say so. For one at a time.
    pub(super) async fn nudged(&self) {
        self.news.notified().await;
    }

    /// Whether nothing new may be claimed, though the proof holds.
    pub(super) fn is_cordoned(&self) -> bool {
        self.word.borrow().unschedulable
    }

    /// Stops the runtime's pods when the proof is over, and lets them go on when it is back.
    pub fn look(&self, runtime: &impl Runtime) {
        let until = self.proven_until.load(Ordering::SeqCst);
        if until == 0 {
            // Nothing can have been started before the first proof.
            return;
        }
        if self.told.swap(until, Ordering::SeqCst) != until {
            runtime.prove(until);
        }
        let open = self.is_open();
        let frozen = self.frozen.load(Ordering::SeqCst);
        if !open && !frozen {
            runtime.freeze_all();
            self.frozen.store(true, Ordering::SeqCst);
            metrics::worker().froze();
            tracing::warn!("no proof of the lease: pods are frozen until it is back");
        } else if open && frozen {
            runtime.thaw_all();
            self.frozen.store(false, Ordering::SeqCst);
            tracing::info!("the lease is proven: pods go on");
        }
    }
}

fn keep<R: Runtime>(fence: &Weak<Fence>, runtime: &Weak<R>) {
    while let (Some(fence), Some(runtime)) = (fence.upgrade(), runtime.upgrade()) {
        fence.look(&*runtime);
        drop((fence, runtime));
        std::thread::sleep(LOOK);
    }
}
