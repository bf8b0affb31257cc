//! Lists of pods that go on: what the first page was made of is kept for the next ones, so that all
//! pages show one moment, and the streams are read once and not once a page.
//!
//! Best effort: another coordinator may be asked for the next page, or the client be slow. Then it
//! is made of what there is by then, and begins behind the pod that the page before ended with.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stint_common::id::PodId;
use stint_common::task;
use stint_common::time::Instant;
use uuid::Uuid;

use super::convert::StoredJob;
use super::options::Options;
use super::pods::PodNews;
use super::pods_position::PodsPosition;

/// A client asks for the next page within this time.
const KEPT: Duration = Duration::from_secs(60);
/// Lists that go on at once; of more, the oldest are made anew.
const LISTS: usize = 8;
/// So many pods are kept for all of them: what a list is made of takes a kilobyte or two a pod.
const MOST_PODS: usize = 200_000;

/// What a list of pods is made of.
pub(super) struct Snapshot {
    /// Which one: it stands in the token of the next page, so that this never goes on in another.
    pub(super) id: Uuid,
    pub(super) jobs: Vec<StoredJob>,
    pub(super) news: BTreeMap<PodId, PodNews>,
    pub(super) position: PodsPosition,
}

/// Lists that go on.
#[derive(Default)]
pub(super) struct PodsPages(Arc<Mutex<Lists>>);

#[derive(Default)]
struct Lists {
    /// The oldest first.
    kept: VecDeque<Kept>,
    /// Somebody will forget those that nobody asks for.
    swept: bool,
}

struct Kept {
    since: Instant,
    /// Whose list it is: a token is no key to what others may see.
    asked: Asked,
    snapshot: Arc<Snapshot>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    namespace: Option<String>,
    selectors: String,
}

impl Asked {
    pub(super) fn new(namespace: Option<&str>, options: &Options) -> Self {
        let selectors = format!("{:?} {:?}", options.labels, options.fields);
        Self { namespace: namespace.map(str::to_owned), selectors }
    }
}

/// `continue`: the list goes on behind this pod, as it was in that snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) after: PodId,
    pub(super) snapshot: Option<Uuid>,
}

impl Display for Token {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.snapshot {
            Some(snapshot) => write!(f, "{}@{}", self.after, snapshot.simple()),
            None => write!(f, "{}", self.after),
        }
    }
}

impl Token {
    /// Reads one; nothing if it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (after, snapshot) = match text.split_once('@') {
            Some((after, snapshot)) => (after, Some(snapshot.parse().ok()?)),
            None => (text, None),
        };
        Some(Self { after: after.parse().ok()?, snapshot })
    }
}

impl fmt::Debug for PodsPages {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodsPages").finish_non_exhaustive()
    }
}

impl PodsPages {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        lock(&self.0)
    }

    /// What the page before was made of.
    pub(super) fn find(&self, snapshot: Uuid, asked: &Asked) -> Option<Arc<Snapshot>> {
        let lists = self.lists();
        let found = lists.kept.iter().find(|it| it.snapshot.id == snapshot && it.is_fresh())?;
        (found.asked == *asked).then(|| Arc::clone(&found.snapshot))
    }

    /// The list is over.
    pub(super) fn forget(&self, snapshot: Uuid) {
        self.lists().kept.retain(|kept| kept.is_fresh() && kept.snapshot.id != snapshot);
    }

    /// Keeps it for the page that follows.
    pub(super) fn keep(&self, asked: Asked, snapshot: &Arc<Snapshot>) {
        self.forget(snapshot.id);
        let mut lists = self.lists();
        let Lists { kept, swept } = &mut *lists;
        kept.push_back(Kept { since: Instant::now(), asked, snapshot: Arc::clone(snapshot) });
        let pods =
            |kept: &VecDeque<Kept>| kept.iter().map(|kept| kept.snapshot.news.len()).sum::<usize>();
        while kept.len() > LISTS || pods(kept) > MOST_PODS {
            kept.pop_front();
        }
        if !std::mem::replace(swept, true) {
            task::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

fn lock(lists: &Mutex<Lists>) -> MutexGuard<'_, Lists> {
    lists.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets lists whose next page nobody asked for, until there is none.
async fn sweep(lists: Weak<Mutex<Lists>>) {
    loop {
        tokio::time::sleep(KEPT).await;
        let Some(lists) = lists.upgrade() else { return };
        let mut lists = lock(&lists);
        lists.kept.retain(Kept::is_fresh);
        if lists.kept.is_empty() {
            lists.swept = false;
            return;
        }
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < KEPT
    }
}
