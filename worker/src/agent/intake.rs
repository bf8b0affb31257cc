//! Pulling work: from each class that this worker fits, as many items as there is room for.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use stint_common::id::PodId;
use stint_common::metrics;
use stint_common::nats::{
    Entry, Jet, PortError, Reconnects, Subscription, Tail, TailEvent, parse_delivery,
};
use stint_common::time::Instant;
use stint_common::wire::{Class, NodeWord, Offer, WorkItem};
use stint_common::{placing, task};
use tokio::sync::watch;

use super::feed::{Feed, Kind};

/// How long a pull stands. The server forgets it then, and says how much of it was not served.
const EXPIRES: Duration = Duration::from_secs(20);
/// Items asked for at a time.
pub(super) const MOST: usize = 1024;

/// A work item, delivered and not answered.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) pod: PodId,
    pub(super) item: WorkItem,
    pub(super) reply: async_nats::Subject,
    pub(super) at: Instant,
    /// What its class says of it.
    pub(super) kind: Arc<Kind>,
}

/// The pulls of all classes that this worker fits.
pub(super) struct Intake {
    jet: Jet,
    name: String,
    /// What the worker offers by itself, and what clients say of it.
    own: Offer,
    word: watch::Receiver<NodeWord>,
    /// Both together.
    offer: Offer,
    /// All that there are, by name.
    known: HashMap<String, Class>,
    /// Answers come here, with the feed's token behind.
    reply: String,
    inbox: Subscription,
    reconnects: Reconnects,
    classes: Tail,
    feeds: Vec<Feed>,
    tokens: u64,
    turns: u64,
}

/// The definitions of all classes, and what becomes of them.
fn read_classes(jet: &Jet) -> Tail {
    let classes = jet.names.objects(Some("classes"));
    Tail::start(jet.clone(), jet.names.objects_stream(), vec![classes])
}

/// Something about pulls.
pub(super) enum News {
    Item(Pulled),
    /// What was asked for is less than it was, or there is another class: ask if there is room.
    Less,
    /// Other classes fit than before.
    Refit,
}

impl Intake {
    /// The intake of the worker of this name, which offers this by itself, and of which clients
    /// say that.
    ///
    /// # Errors
    ///
    /// When the subscription cannot be made.
    pub(super) async fn start(
        jet: Jet,
        name: &str,
        own: Offer,
        mut word: watch::Receiver<NodeWord>,
        now: Instant,
    ) -> Result<Self, PortError> {
        let reply = jet.new_inbox();
        let inbox = jet.subscribe(format!("{reply}.*")).await?;
        let reconnects = jet.reconnects();
        let classes = read_classes(&jet);
        let offer = word.borrow_and_update().apply_to(&own);
        let mut intake = Self {
            jet,
            name: name.to_owned(),
            own,
            word,
            offer,
            known: HashMap::new(),
            reply,
            inbox,
            reconnects,
            classes,
            feeds: Vec::new(),
            tokens: 0,
            turns: 0,
        };
        intake.add(Class::default(), now);
        Ok(intake)
    }

    /// A class's work is taken from now on, if this worker fits it.
    fn add(&mut self, class: Class, now: Instant) {
        self.fit(&class, now);
        self.known.insert(class.name(), class);
    }

    /// Another word of clients may let other classes fit.
    fn refit(&mut self, now: Instant) {
        self.offer = self.word.borrow_and_update().apply_to(&self.own);
        let known = std::mem::take(&mut self.known);
        let fits = |name: &str| {
            let class = known.get(name);
            class.is_some_and(|class| placing::fits(class, &self.name, &self.offer).is_ok())
        };
        // What their pulls still bring is given back.
        self.feeds.retain(|feed| fits(&feed.kind.name));
        known.values().for_each(|class| self.fit(class, now));
        self.known = known;
    }

    /// Whether items of this kind are for this worker.
    pub(super) fn takes(&self, kind: &Kind) -> bool {
        self.feeds.iter().any(|feed| feed.kind.name == kind.name)
    }

    fn fit(&mut self, class: &Class, now: Instant) {
        let reluctance = || placing::reluctance(class, &self.name, &self.offer);
        let reluctance = (!class.preferred.is_empty()).then(reluctance);
        let taken = self.feeds.iter_mut().find(|feed| *feed.kind.name == *class.name());
        match placing::fits(class, &self.name, &self.offer) {
            Ok(()) => match taken {
                // What it asked for stands as it was asked for.
                Some(feed) => feed.reluctance = reluctance,
                None => {
                    self.tokens += 1;
                    let cpu_milli = self.offer.default_cpu_milli;
                    let mut feed = Feed::new(&self.jet.names, class, cpu_milli, self.tokens, now);
                    feed.reluctance = reluctance;
                    self.feeds.push(feed);
                }
            },
            Err(why) => {
                tracing::debug!(class = class.name(), why = why.0, "not for this worker");
            }
        }
    }

    fn class_news(&mut self, entries: Vec<Entry>, now: Instant) {
        for entry in entries {
            let subject = self.jet.names.parse_object_subject(&entry.subject);
            let Some((_, _, name)) = subject else { continue };
            if entry.payload.is_empty() {
                // Nobody asks for it any more.
                self.feeds.retain(|feed| *feed.kind.name != *name);
                self.known.remove(&name);
                continue;
            }
            match serde_json::from_slice::<Class>(&entry.payload) {
                Ok(class) if class.name() == name => self.add(class, now),
                Ok(_) => {
                    tracing::error!(name, "a class says more than this version understands");
                }
                Err(error) => tracing::error!(name, %error, "a class cannot be read"),
            }
        }
    }

    /// The feeds in the order in which they are asked: by priority, then by turn.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.feeds.len()).collect();
        order.sort_by_key(|index| {
            let feed = &self.feeds[*index];
            (Reverse(feed.kind.priority), feed.turn)
        });
        order
    }

    /// One feed.
    pub(super) fn feed(&self, index: usize) -> &Feed {
        &self.feeds[index]
    }

    /// Whether there is more than one class.
    pub(super) fn is_mixed(&self) -> bool {
        self.feeds.len() > 1
    }

    /// Items that may still come from classes that are known to have more.
    pub(super) fn asked_of_hot(&self, now: Instant) -> usize {
        self.feeds.iter().filter(|feed| feed.is_hot(now)).map(|feed| feed.asked).sum()
    }

    /// How long until one that refused may be asked again.
    pub(super) fn held_for(&self, now: Instant) -> Option<Duration> {
        self.feeds.iter().filter_map(|feed| feed.held_for(now)).min()
    }

    /// Asks a feed for `count` more.
    pub(super) async fn ask(&mut self, index: usize, count: usize, now: Instant) {
        let feed = &mut self.feeds[index];
        let count = count.min(MOST);
        let body = feed.pull(count, EXPIRES);
        let reply = format!("{}.{}", self.reply, feed.token);
        let asked = self.jet.publish_with_reply(feed.subject.clone(), reply, body.into());
        if asked.await.is_ok() {
            feed.ask(count, now);
            self.turns += 1;
            feed.turn = self.turns;
        }
    }

    /// The next news. Safe to cancel.
    pub(super) async fn next(&mut self) -> News {
        tokio::select! {
            biased;
            message = self.inbox.next() => match message {
                Some(message) => self.read(message),
                None => std::future::pending().await,
            },
            event = self.classes.next() => {
                match event {
                    Some(TailEvent::Entries(entries)) => self.class_news(entries, clock()),
                    Some(TailEvent::CaughtUp | TailEvent::Resumed(_)) => {}
                    // Nothing comes from it any more. Classes that are known are still asked for.
                    Some(TailEvent::WentBack) | None => self.classes = read_classes(&self.jet),
                }
                News::Less
            }
            Ok(()) = self.word.changed() => {
                self.refit(clock());
                News::Refit
            }
            () = self.reconnects.changed() => {
                // Pulls do not outlive the connection that carried them.
                self.feeds.iter_mut().for_each(Feed::forget);
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
        self.feeds.iter_mut().for_each(|feed| feed.forget_silent(now));
    }

    fn read(&mut self, message: Message) -> News {
        match message.status {
            None => self.read_item(message),
            Some(StatusCode::IDLE_HEARTBEAT) => News::Less,
            Some(status) => {
                let token = message.subject.rsplit('.').next().and_then(|it| it.parse().ok());
                let feed = self.feeds.iter_mut().find(|feed| Some(feed.token) == token);
                if let Some(feed) = feed {
                    feed.over(unserved(&message));
                    if status == StatusCode::TIMEOUT {
                        feed.answered();
                    } else {
                        tracing::debug!(%status, class = %feed.kind.name, "a pull was refused");
                        feed.refused(clock());
                    }
                }
                News::Less
            }
        }
    }

    fn read_item(&mut self, message: Message) -> News {
        let parsed = self.jet.names.parse_work_subject(&message.subject);
        let item = serde_json::from_slice::<WorkItem>(&message.payload);
        let feed = parsed
            .and_then(|(class, _)| self.feeds.iter_mut().find(|feed| *feed.kind.name == *class));
        match (parsed, item, message.reply) {
            (Some((_, pod)), Ok(item), Some(reply)) => {
                let Some(feed) = feed else {
                    // Of a class that was given up since it was asked for.
                    self.answer(reply, b"-NAK");
                    return News::Less;
                };
                let delivery = parse_delivery(&reply);
                if delivery.is_some_and(|delivery| delivery.delivered > 1) {
                    metrics::worker().redelivered();
                }
                let pending = delivery.map_or(0, |delivery| delivery.pending);
                feed.came(pending, clock());
                let kind = Arc::clone(&feed.kind);
                News::Item(Pulled { pod, item, reply, at: clock(), kind })
            }
            (_, item, reply) => {
                // Nobody will ever understand it: it is taken out of the queue, and said.
                tracing::error!(subject = %message.subject, error = ?item.err(), "a work item cannot be read");
                if let Some(feed) = feed {
                    feed.came(0, clock());
                }
                if let Some(reply) = reply {
                    self.answer(reply, b"+TERM");
                }
                News::Less
            }
        }
    }

    fn answer(&self, reply: async_nats::Subject, answer: &'static [u8]) {
        let jet = self.jet.clone();
        task::spawn(async move {
            // An answer that is lost costs another delivery.
            drop(jet.publish(reply, Bytes::from_static(answer)).await);
        });
    }
}

pub(super) fn clock() -> Instant {
    Instant::now()
}

fn unserved(message: &Message) -> Option<usize> {
    let value = message.headers.as_ref()?.get("Nats-Pending-Messages")?;
    value.as_str().parse().ok()
}
