//! Pulling work: asks for as many items as there is room for, keeps count of what was asked for.

use std::time::{Duration, Instant};

use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use stint_common::id::PodId;
use stint_common::names::Names;
use stint_common::nats::Jet;
use stint_common::wire::WorkItem;
use tokio::sync::watch;

/// How long a pull stands. The server forgets it then, and says how much of it was not served.
const EXPIRES: Duration = Duration::from_secs(20);
/// A pull of which nothing more was heard by then is gone, with what it asked for.
const SILENCE: Duration = Duration::from_secs(25);
/// After a refusal (no consumer yet, or too many pulls) the next pull waits this long.
const REFUSED: Duration = Duration::from_millis(200);
/// Items asked for at a time.
pub(super) const MOST: usize = 1024;

/// A work item, delivered and not answered.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) pod: PodId,
    pub(super) item: WorkItem,
    pub(super) reply: async_nats::Subject,
    pub(super) at: Instant,
}

/// The pulls of one class.
pub(super) struct Intake {
    jet: Jet,
    subject: String,
    reply: String,
    inbox: Subscriber,
    reconnects: watch::Receiver<u64>,
    asked: usize,
    last: Instant,
    /// The class's consumer is not there, or refuses: not asked before this.
    hold_until: Option<Instant>,
}

/// Something about pulls.
pub(super) enum News {
    Item(Pulled),
    /// What was asked for is less than it was: ask again if there is room.
    Less,
}

impl Intake {
    /// # Errors
    ///
    /// When the subscription cannot be made.
    pub(super) async fn start(
        jet: Jet,
        class: &str,
        now: Instant,
    ) -> Result<Self, async_nats::Error> {
        let names: &Names = &jet.names;
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            names.work_stream(),
            names.class_consumer(class)
        );
        let reply = jet.client.new_inbox();
        let inbox = jet.client.subscribe(reply.clone()).await?;
        let reconnects = jet.reconnects();
        Ok(Self { jet, subject, reply, inbox, reconnects, asked: 0, last: now, hold_until: None })
    }

    /// Items that may still come.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// Whether it makes sense to ask now.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        self.hold_until.is_none_or(|until| until <= now)
    }

    /// Asks for `count` more.
    pub(super) async fn ask(&mut self, count: usize, now: Instant) {
        let count = count.min(MOST);
        let body = format!(r#"{{"batch":{count},"expires":{}}}"#, EXPIRES.as_nanos());
        let asked = self.jet.client.publish_with_reply(
            self.subject.clone(),
            self.reply.clone(),
            body.into(),
        );
        if asked.await.is_ok() {
            self.asked += count;
            self.last = now;
        }
    }

    /// The next news. Safe to cancel.
    pub(super) async fn next(&mut self) -> News {
        tokio::select! {
            message = self.inbox.next() => match message {
                Some(message) => self.read(message),
                None => std::future::pending().await,
            },
            _ = self.reconnects.changed() => {
                // Pulls do not outlive the connection that carried them.
                self.asked = 0;
                News::Less
            }
        }
    }

    /// News that is there already.
    pub(super) fn try_next(&mut self) -> Option<News> {
        let message = self.inbox.next().now_or_never().flatten()?;
        Some(self.read(message))
    }

    /// Pulls that the server has forgotten without a word no longer count.
    pub(super) fn forget_silent(&mut self, now: Instant) {
        if self.asked > 0 && now.duration_since(self.last) > SILENCE {
            self.asked = 0;
        }
    }

    fn read(&mut self, message: Message) -> News {
        match message.status {
            None => self.asked = self.asked.saturating_sub(1),
            Some(StatusCode::IDLE_HEARTBEAT) => return News::Less,
            Some(status) => {
                let unserved = unserved(&message);
                self.asked = unserved.map_or(0, |unserved| self.asked.saturating_sub(unserved));
                if status != StatusCode::TIMEOUT {
                    tracing::debug!(%status, "a pull was refused");
                    self.hold_until = Some(clock() + REFUSED);
                }
                return News::Less;
            }
        }
        let parsed = self.jet.names.parse_work_subject(&message.subject).map(|(_, pod)| pod);
        let item = serde_json::from_slice::<WorkItem>(&message.payload);
        match (parsed, item, message.reply) {
            (Some(pod), Ok(item), Some(reply)) => {
                News::Item(Pulled { pod, item, reply, at: clock() })
            }
            (_, item, reply) => {
                // Nobody will ever understand it: it is taken out of the queue, and said.
                tracing::error!(subject = %message.subject, error = ?item.err(), "a work item cannot be read");
                if let Some(reply) = reply {
                    let client = self.jet.client.clone();
                    tokio::spawn(async move {
                        client.publish(reply, Bytes::from_static(b"+TERM")).await
                    });
                }
                News::Less
            }
        }
    }
}

pub(super) fn clock() -> Instant {
    Instant::now()
}

fn unserved(message: &Message) -> Option<usize> {
    let value = message.headers.as_ref()?.get("Nats-Pending-Messages")?;
    value.as_str().parse().ok()
}
