//! Waiting for something to become true: polls, and gives up at a deadline with a word on what was
//! missing.

use std::future::Future;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// What is expected at once may take so long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until `look` gives something.
///
/// # Panics
///
/// When it has not after `limit`; `what` says what was waited for.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks until `look` says yes, with the usual patience.
///
/// # Panics
///
/// When it never does.
pub async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    until(what, PATIENCE, || {
        let yes = look();
        async move { yes.then_some(()) }
    })
    .await;
}
