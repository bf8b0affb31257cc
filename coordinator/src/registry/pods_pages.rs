//! Lists of pods that go on: what the first page was made of is kept for the next ones, so that all
//! pages show one moment, and the streams are read once and not once a page.
//!
//! Best effort: another coordinator may be asked for the next page, or the client be slow. Then it
//! is made of what there is by then, and begins behind the pod that the page before ended with.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stint_common::id::PodId;
use stint_common::task;
use stint_common::time::Instant;

use super::convert::StoredJob;
use super::options::Options;
use super::pods::PodNews;
use super::pods_position::PodsPosition;

/// A client asks for the next page within this time.
const KEPT: Duration = Duration::from_secs(60);
/// Lists that go on at once; of more, the oldest are made anew.
const LISTS: usize = 8;
/// Larger ones are not kept: what they are made of takes a kilobyte or two a pod.
const MOST_PODS: usize = 200_000;

/// What a list of pods is made of.
pub(super) struct Snapshot {
    pub(super) jobs: Vec<StoredJob>,
    pub(super) news: BTreeMap<PodId, PodNews>,
    pub(super) position: PodsPosition,
}

/// Lists that go on.
#[derive(Default)]
pub(super) struct PodsPages(Arc<Mutex<VecDeque<Kept>>>);

struct Kept {
    since: Instant,
    /// Which list it is, and behind which pod it goes on.
    next: Next,
    snapshot: Arc<Snapshot>,
}

/// A list, and the pod that its last page ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Next {
    namespace: Option<String>,
    selectors: String,
    after: PodId,
}

impl Next {
    pub(super) fn new(namespace: Option<&str>, options: &Options, after: PodId) -> Self {
        let selectors = format!("{:?} {:?}", options.labels, options.fields);
        Self { namespace: namespace.map(str::to_owned), selectors, after }
    }
}

impl fmt::Debug for PodsPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodsPages").finish_non_exhaustive()
    }
}

impl PodsPages {
    /// What the page before was made of.
    pub(super) fn find(&self, next: &Next) -> Option<Arc<Snapshot>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|kept| kept.next == *next && kept.is_fresh())?;
        Some(Arc::clone(&found.snapshot))
    }

    /// Keeps it for the page that follows.
    pub(super) fn keep(&self, next: Next, snapshot: &Arc<Snapshot>) {
        if snapshot.news.len() > MOST_PODS {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.is_fresh() && !Arc::ptr_eq(&kept.snapshot, snapshot));
        if kept.len() == LISTS {
            kept.pop_front();
        }
        kept.push_back(Kept { since: Instant::now(), next, snapshot: Arc::clone(snapshot) });
        drop(kept);
        let pages = Arc::downgrade(&self.0);
        task::spawn(async move {
            tokio::time::sleep(KEPT).await;
            if let Some(pages) = pages.upgrade() {
                pages.lock().unwrap_or_else(PoisonError::into_inner).retain(Kept::is_fresh);
            }
        });
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < KEPT
    }
}
