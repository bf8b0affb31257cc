//! Leadership: one coordinator reconciles, the holder of a short lease; the others stand by.
//!
//! The lease is a compare-and-set chain. A standby takes over when it has seen the same link for a
//! whole lease, by its own clock. A deposed owner cannot harm: every write of a Job is
//! compare-and-set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stint_common::id::Incarnation;
use stint_common::nats::{Committer, Expect, Jet, Outcome, Unconfirmed, Write};
use stint_common::time::Instant;
use stint_common::wire::{OwnerLease, VERSION};
use tokio_util::sync::CancellationToken;

/// How long the lease lasts after a renewal.
const LEASE: Duration = Duration::from_millis(2500);
/// How often it is renewed.
const RENEW: Duration = Duration::from_millis(700);
/// How often a standby looks.
const LOOK: Duration = Duration::from_millis(400);

/// One coordinator's part in the election.
#[derive(Clone, Debug)]
pub struct Candidate {
    jet: Jet,
    objects: Committer,
    incarnation: Incarnation,
    /// The number of the last link: no two have the same bytes, so that by what stands it is known
    /// when it was sent.
    links: Arc<AtomicU64>,
}

/// A lease that is held.
#[derive(Debug)]
pub struct Held {
    revision: u64,
    /// When the link that stands was sent.
    proven: Instant,
}

impl Held {
    /// Where the lease stands in the stream: who has read that far knows all that was stored before
    /// it was taken.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

impl Candidate {
    /// A candidate; `incarnation` names it in the lease.
    #[must_use]
    pub fn new(jet: Jet, objects: Committer, incarnation: Incarnation) -> Self {
        Self { jet, objects, incarnation, links: Arc::default() }
    }

    /// Stands by until the lease is free or has run out, and takes it. `None` at shutdown.
    pub async fn acquire(&self, shutdown: &CancellationToken) -> Option<Held> {
        let mut seen: Option<(u64, Instant)> = None;
        loop {
            let names = &self.jet.names;
            match self.jet.read_last(&names.objects_stream(), &names.owner_lease()).await {
                Ok(stored) => {
                    let revision = stored.as_ref().map_or(0, |stored| stored.sequence);
                    let lease = stored.and_then(|stored| {
                        serde_json::from_slice::<OwnerLease>(&stored.payload).ok()
                    });
                    let since = match seen {
                        Some((before, since)) if before == revision => since,
                        _ => Instant::now(),
                    };
                    seen = Some((revision, since));
                    let free = lease.as_ref().is_none_or(|lease| {
                        lease.released || since.elapsed() >= Duration::from_millis(lease.lease_ms)
                    });
                    if free && let Some(held) = self.take(revision).await {
                        return Some(held);
                    }
                }
                Err(error) => tracing::debug!(?error, "looking at the owner's lease"),
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn take(&self, revision: u64) -> Option<Held> {
        let proven = Instant::now();
        let outcome = self.write(revision, false, LEASE).await.ok()?;
        outcome.stored().map(|revision| Held { revision, proven })
    }

    /// Renews until that fails, or `stop` is cancelled; then gives the lease up in order.
    /// Returns when the lease is no longer held.
    pub async fn hold(&self, mut held: Held, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // Best effort: else the next owner waits for the lease to run out.
                    drop(self.write(held.revision, true, RENEW).await);
                    return;
                }
                () = tokio::time::sleep(RENEW) => {}
            }
            let sent = Instant::now();
            let left = LEASE.saturating_sub(held.proven.elapsed());
            match self.write(held.revision, false, left).await {
                Ok(Outcome::Stored(revision)) => held = Held { revision, proven: sent },
                Ok(outcome) => {
                    tracing::warn!(?outcome, "lost the owner's lease");
                    return;
                }
                Err(Unconfirmed { trouble, .. }) => {
                    let server_says = trouble.unwrap_or_default();
                    tracing::warn!(
                        server_says,
                        "the owner's lease ran out before a renewal was confirmed"
                    );
                    return;
                }
            }
        }
    }

    async fn write(
        &self,
        expect: u64,
        released: bool,
        within: Duration,
    ) -> Result<Outcome, Unconfirmed> {
        let lease = OwnerLease {
            v: VERSION,
            incarnation: self.incarnation,
            renewal: self.links.fetch_add(1, Ordering::Relaxed),
            lease_ms: u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX),
            released,
        };
        let payload = serde_json::to_vec(&lease).expect("a lease has only string keys");
        let write = Write {
            subject: self.jet.names.owner_lease(),
            payload: payload.into(),
            expect: Expect::Sequence(expect),
        };
        self.objects.write_within(write, within).await
    }
}
