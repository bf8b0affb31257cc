//! The worker's lease: a compare-and-set chain, each renewal expecting the one before.
//!
//! A renewal's confirmation is the proof, counted from sending it. Another's link in the chain (the
//! owner's word that this worker is lost, or a newer life's hello) ends this life.

use std::sync::Arc;
use std::time::Duration;

use stint_common::metrics;
use stint_common::nats::{Committer, Current, Expect, Jet, Outcome, ReadError, Stored, Write};
use stint_common::wire::{NodeWord, WorkerLease, WorkerState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fence::{Fence, boottime_ms};
use super::writes::word;

/// What is on its way when a worker ends may arrive within this time.
const FAREWELL: Duration = Duration::from_secs(2);
/// Streams that are not there yet are looked for this often.
const NO_STREAM: Duration = Duration::from_secs(1);
const NO_GOODBYE: &str = "could not say goodbye; the lease will run out";

/// Why a worker may not begin.
#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    /// The chain could not be read.
    #[error("reading the lease")]
    Read(#[from] ReadError),
    /// Another worker of this name is alive.
    #[error(
        "a worker named {name} is alive on {hostname}; give this one another name with --name, or wait \
         until the other is recorded as lost"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Where the other runs.
        hostname: String,
    },
    /// It is this life's, which is over.
    #[error("this life of the worker is over: its lease was lost")]
    Over,
    /// The store refuses the lease.
    #[error("the lease was refused: {0}")]
    Refused(String),
}

/// The first link of this life.
#[derive(Debug)]
pub struct Hello {
    lease: WorkerLease,
    revision: u64,
}

/// Keeps a lease.
#[derive(Clone, Debug)]
pub struct Keeper {
    jet: Jet,
    objects: Committer,
    fence: Arc<Fence>,
    renew: Duration,
}

impl Keeper {
    /// A keeper that renews every `renew`.
    #[must_use]
    pub fn new(jet: Jet, objects: Committer, fence: Arc<Fence>, renew: Duration) -> Self {
        Self { jet, objects, fence, renew }
    }

    /// Says hello: the older life's chain ends here. What it left must have been swept before. A
    /// life that goes on with another agent goes on with its chain; one that `has_pods` must.
    ///
    /// # Errors
    ///
    /// When another worker of this name is alive, this life is over, or the store does not take the
    /// lease.
    pub async fn hello(&self, first: WorkerLease, has_pods: bool) -> Result<Hello, HelloError> {
        let subject = self.jet.names.worker_lease(&first.worker);
        loop {
            let mut lease = first.clone();
            let stored = self.first_read(&subject).await?;
            let expect = stored.as_ref().map_or(0, |stored| stored.sequence);
            let before = stored.and_then(|stored| serde_json::from_slice(&stored.payload).ok());
            let before: Option<WorkerLease> = before;
            if let Some(before) = before.as_ref().filter(|before| is_anothers(before, &lease)) {
                let (name, hostname) = (before.worker.clone(), before.hostname.clone());
                return Err(HelloError::NameTaken { name, hostname });
            }
            let at_home = before.as_ref().filter(|before| before.home == lease.home);
            lease.home_since = at_home.map(WorkerLease::settled_at);
            match before.filter(|before| before.incarnation == lease.incarnation) {
                Some(own) if is_living(&own) => {
                    (lease.renewal, lease.started_at) = (own.renewal + 1, own.started_at);
                }
                Some(_) => return Err(HelloError::Over),
                None if has_pods => return Err(HelloError::Over),
                None => {}
            }
            let sent = boottime_ms();
            match self.write(&lease, expect).await {
                Outcome::Stored(revision) => {
                    self.fence.prove(sent, Duration::from_millis(lease.lease_ms));
                    if let Err(error) = self.look_at_node(&lease.worker).await {
                        // Nothing is taken before it is known; soon it is looked up again.
                        tracing::warn!(worker = lease.worker, ?error, "cannot tell if cordoned");
                        self.fence.cordon(true);
                    }
                    return Ok(Hello { lease, revision });
                }
                Outcome::Lost(_) => {}
                Outcome::Refused(reason) => return Err(HelloError::Refused(reason)),
            }
        }
    }

    /// Reads the lease's subject. A worker may be started before the first coordinator, which makes
    /// the streams.
    async fn first_read(&self, subject: &str) -> Result<Option<Stored>, ReadError> {
        let stream = self.jet.names.objects_stream();
        let mut told = false;
        loop {
            match self.jet.read_last(&stream, subject).await {
                Err(error) if error.is_missing_stream() => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(
                            stream,
                            "no coordinator has ever run on this server: waiting for one, which \
                             makes the streams"
                        );
                    }
                    // No event tells of it that a worker's role may hear.
                    tokio::time::sleep(NO_STREAM).await;
                }
                read => return read,
            }
        }
    }

    /// Renews until `stop`, or until another's link stands in the chain. Says whether it was lost.
    pub async fn keep(&self, hello: Hello, stop: CancellationToken) -> bool {
        let Hello { mut lease, mut revision } = hello;
        let mut pause = self.renew;
        let mut said = self.fence.word();
        if *said.borrow() != lease.word {
            // Others want to know that it has been heard.
            said.mark_changed();
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.rest(pause, &lease.worker, &mut said) => {}
            }
            lease.hear(said.borrow_and_update().clone());
            lease.renewal += 1;
            let sent = boottime_ms();
            let given_up = async {
                stop.cancelled().await;
                tokio::time::sleep(FAREWELL).await;
            };
            let outcome = tokio::select! {
                biased;
                outcome = self.write(&lease, revision) => outcome,
                () = given_up => {
                    tracing::warn!(worker = lease.worker, "{NO_GOODBYE}");
                    return false;
                }
            };
            metrics::worker().renewed(word(&outcome));
            match outcome {
                Outcome::Stored(stored) => {
                    revision = stored;
                    self.fence.prove(sent, Duration::from_millis(lease.lease_ms));
                    // What was sent long ago proves little: the next follows at once.
                    let took = u64::try_from(boottime_ms() - sent).unwrap_or(0);
                    pause = self.renew.saturating_sub(Duration::from_millis(took));
                }
                Outcome::Lost(Some(Current { sequence, payload, .. }))
                    if is_own(&lease, &payload) =>
                {
                    // A link that counted as refused came late: it proves nothing, but the chain
                    // goes on behind it.
                    revision = sequence;
                    pause = Duration::ZERO;
                }
                Outcome::Lost(current) => {
                    tracing::error!(
                        worker = lease.worker,
                        ?current,
                        "this life of the worker is over"
                    );
                    return true;
                }
                Outcome::Refused(reason) => {
                    // The next has a number of its own: by its bytes alone is it known when that
                    // was sent which stands.
                    tracing::warn!(worker = lease.worker, reason, "a renewal was refused");
                    pause = self.renew / 4;
                }
            }
        }
        // All ends are written: nobody needs to wait for the lease to run out.
        lease.state = WorkerState::Gone;
        lease.renewal += 1;
        let farewell = self.write(&lease, revision);
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!(worker = lease.worker, "{NO_GOODBYE}");
        }
        false
    }

    /// Pauses between two renewals, and looks meanwhile what clients say of the worker: the nudge
    /// that tells of it may have been lost. No renewal waits for it. Whoever said something waits
    /// for the answer, so that ends the pause.
    async fn rest(&self, pause: Duration, worker: &str, said: &mut watch::Receiver<NodeWord>) {
        let looks = async {
            loop {
                if let Err(error) = self.look_at_node(worker).await {
                    tracing::debug!(worker, ?error, "looking at the Node's record");
                }
                self.fence.nudged().await;
            }
        };
        let rest = async {
            tokio::select! {
                biased;
                _ = said.changed() => {}
                () = looks => {}
            }
        };
        // That the time is over is no error.
        drop(tokio::time::timeout(pause, rest).await);
    }

    /// Hears what clients say of the worker.
    async fn look_at_node(&self, worker: &str) -> Result<(), ReadError> {
        let subject = self.jet.names.node(worker);
        let stored = self.jet.read_last(&self.jet.names.objects_stream(), &subject).await?;
        match stored.map_or(Ok(NodeWord::default()), |stored| NodeWord::read(&stored.payload)) {
            Ok(word) => self.fence.hear(word),
            Err(error) => tracing::error!(subject, %error, "cannot read the Node's record"),
        }
        Ok(())
    }

    async fn write(&self, lease: &WorkerLease, expect: u64) -> Outcome {
        let payload = serde_json::to_vec(lease).expect("a lease has only string keys");
        self.objects
            .write(Write {
                subject: self.jet.names.worker_lease(&lease.worker),
                payload: payload.into(),
                expect: Expect::Sequence(expect),
            })
            .await
    }
}

/// Whether the name belongs to a living worker with another home.
fn is_anothers(before: &WorkerLease, lease: &WorkerLease) -> bool {
    is_living(before) && before.home != lease.home
}

/// Whether a link that stands is one of this life, which goes on.
fn is_own(lease: &WorkerLease, stands: &[u8]) -> bool {
    let stands: Option<WorkerLease> = serde_json::from_slice(stands).ok();
    stands.is_some_and(|stands| stands.incarnation == lease.incarnation && is_living(&stands))
}

fn is_living(lease: &WorkerLease) -> bool {
    matches!(lease.state, WorkerState::Ready | WorkerState::Draining)
}
