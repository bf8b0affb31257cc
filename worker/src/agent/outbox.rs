//! What a round of the agent wants written, and what becomes of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stint_common::id::PodId;
use stint_common::nats::{Committer, Expect, Jet, Outcome, Write};
use stint_common::time::Instant;
use stint_common::wire::PodRecord;

use super::config::Configured;
use super::intake::clock;
use super::shipping::Shipped;
use super::templates::{self, Fetch, Fetched, Name};
use crate::launch::{Host, Values};
use crate::pod::ActionId;
use crate::runtime::RunId;

/// Something that was on its way has arrived.
#[derive(Debug)]
pub(super) enum Done {
    /// Claims, and how long they took.
    Claims(Vec<(PodId, Outcome)>, Duration),
    /// Records of running pods.
    Reports(Vec<(PodId, Outcome)>),
    /// Ends of pods.
    Ends(Vec<(PodId, Outcome)>),
    Template(Name, Fetched),
    /// The files of a pod were read, and variables of those containers that are started first.
    Files(PodId, Configured, Values),
    /// What the variables of a container come from was read.
    Variables(PodId, usize, Configured),
    /// Output of an ended run is in the stream.
    Shipped(PodId, usize, RunId, Shipped),
    /// What stands at the records of pods; `None` where it could not be read.
    Looked(Vec<(PodId, u64, Option<Standing>)>),
    /// Records of pods that are not here: claimed by this life, and without an end.
    Forgotten(Vec<(PodId, u64, PodRecord)>),
    /// A hook's or probe's request or connection is over.
    Acted(PodId, ActionId, Result<(), String>),
    /// The logs of an ended pod are closed.
    LogsClosed(PodId),
    Said,
}

/// What stands at a pod's record, in the eyes of the life that claimed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A record of this life, at this sequence.
    Ours(u64),
    /// The owner ended it.
    Over,
    /// Nothing, or another's.
    NotOurs,
}

/// Something on its way.
pub(super) type OnItsWay = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Writes gathered in a round.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) claims: Vec<(PodId, Write)>,
    pub(super) reports: Vec<(PodId, Write)>,
    pub(super) ends: Vec<(PodId, Write)>,
    /// Answers to work items: reply subject and `+ACK` or `-NAK`.
    pub(super) answers: Vec<(async_nats::Subject, &'static [u8])>,
    pub(super) fetches: Vec<Fetch>,
}

/// Where rounds are carried out.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) jet: Jet,
    pub(super) pods: Committer,
    pub(super) host: Arc<Host>,
}

impl Outbox {
    pub(super) fn write(subject: String, payload: Vec<u8>, expect: u64) -> Write {
        Write { subject, payload: Bytes::from(payload), expect: Expect::Sequence(expect) }
    }

    /// The gathered writes as futures, each a group that is committed together.
    pub(super) fn carry_out(&mut self, post: &Post) -> Vec<OnItsWay> {
        let mut ways: Vec<OnItsWay> = Vec::new();
        // Ends first: they are what others wait for.
        if !self.ends.is_empty() {
            ways.push(written(&post.pods, std::mem::take(&mut self.ends), |done, _| {
                Done::Ends(done)
            }));
        }
        if !self.claims.is_empty() {
            ways.push(written(&post.pods, std::mem::take(&mut self.claims), Done::Claims));
        }
        if !self.reports.is_empty() {
            let reports = std::mem::take(&mut self.reports);
            ways.push(written(&post.pods, reports, |done, _| Done::Reports(done)));
        }
        if !self.answers.is_empty() {
            let (answers, jet) = (std::mem::take(&mut self.answers), post.jet.clone());
            ways.push(Box::pin(async move {
                for (reply, answer) in answers {
                    // An answer that is lost costs a delivery that meets a claim.
                    drop(jet.publish(reply, Bytes::from_static(answer)).await);
                }
                Done::Said
            }));
        }
        for Fetch { name, pause } in std::mem::take(&mut self.fetches) {
            let (jet, host) = (post.jet.clone(), Arc::clone(&post.host));
            ways.push(Box::pin(async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let fetched = templates::fetch(&jet, &host, &name).await;
                Done::Template(name, fetched)
            }));
        }
        ways
    }
}

fn written(
    committer: &Committer,
    group: Vec<(PodId, Write)>,
    done: fn(Vec<(PodId, Outcome)>, Duration) -> Done,
) -> OnItsWay {
    let committer = committer.clone();
    let (pods, writes): (Vec<PodId>, Vec<Write>) = group.into_iter().unzip();
    Box::pin(async move {
        let sent: Instant = clock();
        let outcomes = committer.write_all(writes).await;
        done(pods.into_iter().zip(outcomes).collect(), sent.elapsed())
    })
}
