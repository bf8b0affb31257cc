//! What happens to pods, in one order: fed from the Jobs' records and from the pods' stream, and
//! kept for a while, so that a watch can go on from where another ended.
//!
//! ```text
//! replica (Jobs) ──┐
//!                  ├──▶ account ──▶ log of changes ──▶ any number of watches, each at its own pace
//! pods' stream ────┘
//! ```
//!
//! There is one for all watches of a coordinator. It begins when somebody first asks for pods, and
//! ends when nobody has for a while. Who falls out of the log is told so (410), and not waited for.

mod account;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stint_common::nats::{ALL, Jet, Tail, TailEvent};
use stint_common::task;
use tokio::sync::watch;

use super::pods_position::PodsPosition;
use crate::store::{Replica, WatchError};
use account::Account;
pub(super) use account::PodChange;

/// A feed that nobody has asked for so long ends.
const IDLE: Duration = Duration::from_secs(30);
/// Looked for this often.
const LOOK: Duration = Duration::from_secs(5);
/// Changes that a watch takes at a time.
const BATCH: usize = 256;

/// The feed. Shared behind an `Arc`.
pub(super) struct PodsFeed {
    account: Mutex<Account>,
    /// How many changes there have been.
    count: watch::Sender<u64>,
    asked: Mutex<Instant>,
}

/// Where a watch is in the log.
pub(super) struct PodsCursor {
    feed: Arc<PodsFeed>,
    next: u64,
    /// What the watch knows already.
    pub(super) position: PodsPosition,
    count: watch::Receiver<u64>,
}

impl PodsFeed {
    /// Reads what there is, then keeps following it until nobody asks any more.
    pub(super) async fn start(jet: Jet, replica: Arc<Replica>) -> Arc<Self> {
        let (account, tail) = read_all(&jet, &replica).await;
        let feed = Arc::new(Self {
            account: Mutex::new(account),
            count: watch::Sender::new(0),
            asked: Mutex::new(Instant::now()),
        });
        task::spawn(follow(Arc::clone(&feed), replica, tail));
        feed
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is interested.
    pub(super) fn touch(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_idle(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.elapsed() > IDLE && self.count.receiver_count() == 0
    }

    /// Whether it has ended, so that another must be started.
    pub(super) fn is_over(&self) -> bool {
        self.account().over
    }

    /// Goes on from a position.
    ///
    /// # Errors
    ///
    /// 410 when what has happened since then is not all known.
    pub(super) fn follow_from(
        self: &Arc<Self>,
        position: PodsPosition,
    ) -> Result<PodsCursor, WatchError> {
        let account = self.account();
        if account.over || position.is_behind(account.horizon) {
            return Err(WatchError::Expired(position.pods));
        }
        let (next, count) = (account.first(), self.count.subscribe());
        drop(account);
        Ok(PodsCursor { feed: Arc::clone(self), next, position, count })
    }
}

impl PodsCursor {
    /// The next changes, oldest first; waits for them. Safe to cancel.
    ///
    /// # Errors
    ///
    /// When the log no longer reaches back to where this watch is.
    pub(super) async fn next(&mut self) -> Result<Vec<Arc<PodChange>>, WatchError> {
        loop {
            {
                let account = self.feed.account();
                let changes = account.after(self.next, BATCH);
                let changes = changes.ok_or(WatchError::Expired(self.position.pods))?;
                if changes.is_empty() {
                    // All is known that the account knows.
                    self.position = self.position.join(account.at);
                } else {
                    self.next += u64::try_from(changes.len()).unwrap_or(0);
                    let position = self.position;
                    let news =
                        changes.into_iter().filter(|it| !position.knows(it.cause, it.slot()));
                    let news: Vec<Arc<PodChange>> = news.collect();
                    if !news.is_empty() {
                        return Ok(news);
                    }
                    continue;
                }
            }
            self.count.changed().await.map_err(|_| WatchError::Closed)?;
        }
    }
}

/// Keeps a feed up to date.
async fn follow(feed: Arc<PodsFeed>, replica: Arc<Replica>, mut tail: Tail) {
    let mut applied = replica.changes();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut entries = Vec::new();
        let mut over = false;
        tokio::select! {
            event = tail.next() => match event {
                Some(TailEvent::Entries(some)) => entries = some,
                Some(TailEvent::CaughtUp | TailEvent::Resumed(_)) => {}
                Some(TailEvent::WentBack) | None => over = true,
            },
            changed = applied.changed() => over = changed.is_err(),
            _ = looks.tick() => {
                feed.account().sweep();
                over = feed.is_idle();
            }
        }
        let count = {
            let mut account = feed.account();
            account.take_jobs();
            account.take_entries(&entries);
            account.over |= over;
            account.end()
        };
        feed.count.send_replace(count);
        if feed.is_over() {
            return;
        }
    }
}

/// Reads everything that there is now, and who reads on.
async fn read_all(jet: &Jet, replica: &Arc<Replica>) -> (Account, Tail) {
    let names = jet.names.clone();
    loop {
        let filters = vec![ALL.to_owned()];
        let mut account = Account::begin(names.clone(), replica);
        let mut tail = Tail::start(jet.clone(), names.pods_stream(), filters);
        loop {
            match tail.next().await {
                Some(TailEvent::Entries(entries)) => account.take_entries(&entries),
                Some(TailEvent::CaughtUp) => {
                    account.take_jobs();
                    account.open();
                    return (account, tail);
                }
                Some(TailEvent::Resumed(_)) => {}
                Some(TailEvent::WentBack) => break,
                None => {
                    account.over = true;
                    return (account, tail);
                }
            }
        }
    }
}
