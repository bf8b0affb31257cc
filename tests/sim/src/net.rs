//! The network between processes and the server: order within a connection, delay, connections that
//! break and come back; and the port over it.
//!
//! ```text
//! process ── SimPort ──▶ queue (by time) ──▶ Server ──▶ queue ──▶ subscription, request
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::Message;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};
use stint_common::nats::{Outgoing, Port, PortError, Reconnects, Subscription};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::jetstream::{Delivery, LinkId, MAX_PAYLOAD, Millis, Server};
use super::rng::Rng;
use super::trace::Trace;

/// How slow the network is.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// Usual delays are up to so many milliseconds.
    pub usual: Millis,
    /// So many of a thousand messages are late.
    pub late: u64,
    /// Those by up to so many milliseconds.
    pub lateness: Millis,
}

impl Default for Delays {
    fn default() -> Self {
        Self { usual: 2, late: 0, lateness: 0 }
    }
}

enum Frame {
    Subscribe(String),
    Unsubscribe(String),
    Publish(Outgoing),
}

enum Event {
    /// In which life of the link it was sent; and whether it arrives though that is over.
    ToServer {
        link: LinkId,
        epoch: u64,
        frame: Frame,
    },
    ToClient {
        link: LinkId,
        epoch: u64,
        delivery: Delivery,
    },
}

struct Due {
    at: Millis,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

struct Link {
    up: bool,
    closed: bool,
    epoch: u64,
    /// What was under way to the server when this life of the link ended may still arrive.
    arrives_late: bool,
    to_server: Millis,
    to_client: Millis,
    listeners: BTreeMap<String, mpsc::UnboundedSender<Message>>,
    requests: BTreeMap<String, oneshot::Sender<Message>>,
    parked: Vec<Outgoing>,
    reconnects: Reconnects,
    inboxes: u64,
}

impl Link {
    /// Who listens at a subject, or at all those of its parent.
    fn listener(&self, subject: &str) -> Option<&mpsc::UnboundedSender<Message>> {
        let parent = || self.listeners.get(&format!("{}.*", subject.rsplit_once('.')?.0));
        self.listeners.get(subject).or_else(parent)
    }
}

/// Everything between processes and server.
pub struct State {
    /// The server.
    pub server: Server,
    /// What happened, for the comparison of two runs.
    pub trace: Trace,
    /// How slow it all is.
    pub delays: Delays,
    queue: BinaryHeap<Reverse<Due>>,
    order: u64,
    links: Vec<Link>,
    start: Instant,
    down: bool,
    rng: Rng,
}

/// The network. Cheap to clone.
#[derive(Clone)]
pub struct Net {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

impl Net {
    /// A network around a server, and the task that drives both.
    #[must_use]
    pub fn start(server: Server, rng: Rng) -> Self {
        let state = State {
            server,
            trace: Trace::default(),
            delays: Delays::default(),
            queue: BinaryHeap::new(),
            order: 0,
            links: Vec::new(),
            start: Instant::now(),
            down: false,
            rng,
        };
        let net = Self { state: Arc::new(Mutex::new(state)), changed: Arc::new(Notify::new()) };
        tokio::spawn(net.clone().drive());
        net
    }

    /// What is between.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection, and what changes when it is made anew.
    pub fn connect(&self) -> SimPort {
        let mut state = self.state();
        let up = !state.down;
        state.links.push(Link {
            up,
            closed: false,
            epoch: 0,
            arrives_late: false,
            to_server: 0,
            to_client: 0,
            listeners: BTreeMap::new(),
            requests: BTreeMap::new(),
            parked: Vec::new(),
            reconnects: Reconnects::default(),
            inboxes: 0,
        });
        SimPort { net: self.clone(), link: state.links.len() - 1 }
    }

    async fn drive(self) {
        loop {
            let next = {
                let mut state = self.state();
                state.run();
                state.next_at().map(|at| state.start + Duration::from_millis(at))
            };
            let changed = self.changed.notified();
            match next {
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// A connection breaks, and stays so until it is mended.
    pub fn cut(&self, link: LinkId) {
        self.state().cut(link);
    }

    /// A connection is made anew.
    pub fn mend(&self, link: LinkId) {
        self.state().mend(link);
        self.changed.notify_one();
    }

    /// A process is gone.
    pub fn close(&self, link: LinkId) {
        let mut state = self.state();
        state.cut(link);
        state.server.drop_link(link);
        state.links[link].closed = true;
    }

    /// The server is killed.
    pub fn crash_server(&self) {
        let mut state = self.state();
        for link in 0..state.links.len() {
            state.cut(link);
            state.links[link].arrives_late = false;
        }
        state.down = true;
        state.server.crash();
    }

    /// The server is there again.
    pub fn start_server(&self) {
        let mut state = self.state();
        state.down = false;
        for link in 0..state.links.len() {
            state.mend(link);
        }
        drop(state);
        self.changed.notify_one();
    }
}

impl State {
    /// Milliseconds since the beginning.
    #[must_use]
    pub fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn next_at(&self) -> Option<Millis> {
        let queued = self.queue.peek().map(|Reverse(due)| due.at);
        let server = if self.down { None } else { self.server.next_timer() };
        queued.into_iter().chain(server).min()
    }

    fn run(&mut self) {
        let now = self.now();
        while let Some(Reverse(due)) = self.queue.peek() {
            if due.at > now {
                break;
            }
            let Some(Reverse(Due { event, .. })) = self.queue.pop() else { break };
            self.happen(event, now);
        }
        if !self.down && self.server.next_timer().is_some_and(|at| at <= now) {
            self.server.tick(now);
            self.send_out(now);
        }
    }

    fn happen(&mut self, event: Event, now: Millis) {
        match event {
            Event::ToServer { link, epoch, frame } => {
                let state = &self.links[link];
                let over = state.epoch != epoch || !state.up;
                if self.down || (over && !(state.arrives_late && state.epoch == epoch + 1)) {
                    return;
                }
                match frame {
                    Frame::Subscribe(subject) if !over => self.server.subscribe(link, &subject),
                    Frame::Unsubscribe(subject) if !over => {
                        self.server.unsubscribe(link, &subject);
                    }
                    Frame::Publish(message) => {
                        self.trace.note(now, link, &message.subject, &message.payload);
                        self.server.take(link, message, now);
                        if over {
                            self.server.drop_link(link);
                        }
                    }
                    Frame::Subscribe(_) | Frame::Unsubscribe(_) => {}
                }
                self.send_out(now);
            }
            Event::ToClient { link, epoch, delivery } => {
                let state = &mut self.links[link];
                if state.epoch != epoch || !state.up {
                    return;
                }
                let Delivery { inbox, message, .. } = delivery;
                if let Some(waiting) = state.requests.remove(&inbox) {
                    drop(waiting.send(message));
                } else if let Some(listener) = state.listener(&inbox) {
                    drop(listener.send(message));
                }
            }
        }
    }

    fn send_out(&mut self, now: Millis) {
        for delivery in self.server.take_deliveries() {
            let link = delivery.link;
            if !self.links[link].up {
                continue;
            }
            let delay = self.delay();
            let state = &mut self.links[link];
            state.to_client = state.to_client.max(now + delay);
            let (at, epoch) = (state.to_client, state.epoch);
            self.push(at, Event::ToClient { link, epoch, delivery });
        }
    }

    fn send(&mut self, link: LinkId, frame: Frame) {
        let now = self.now();
        let delay = self.delay();
        let state = &mut self.links[link];
        if state.closed {
            return;
        }
        if !state.up {
            if let Frame::Publish(message) = frame {
                state.parked.push(message);
            }
            return;
        }
        state.to_server = state.to_server.max(now + delay);
        let (at, epoch) = (state.to_server, state.epoch);
        self.push(at, Event::ToServer { link, epoch, frame });
    }

    fn push(&mut self, at: Millis, event: Event) {
        self.order += 1;
        self.queue.push(Reverse(Due { at, order: self.order, event }));
    }

    fn delay(&mut self) -> Millis {
        let Delays { usual, late, lateness } = self.delays;
        if self.rng.chance(late) { self.rng.below(lateness + 1) } else { self.rng.below(usual + 1) }
    }

    fn cut(&mut self, link: LinkId) {
        let arrives_late = self.rng.chance(500);
        let noticed = self.rng.chance(500);
        let state = &mut self.links[link];
        if !state.up {
            return;
        }
        state.up = false;
        state.epoch += 1;
        state.arrives_late = arrives_late;
        if noticed {
            self.server.drop_link(link);
        }
    }

    fn mend(&mut self, link: LinkId) {
        if self.down || self.links[link].up || self.links[link].closed {
            return;
        }
        self.server.drop_link(link);
        let now = self.now();
        let state = &mut self.links[link];
        state.up = true;
        state.arrives_late = false;
        (state.to_server, state.to_client) = (now, now);
        state.reconnects.happened();
        let subjects: Vec<String> = state.listeners.keys().cloned().collect();
        let parked = std::mem::take(&mut state.parked);
        for subject in subjects {
            self.send(link, Frame::Subscribe(subject));
        }
        for message in parked {
            self.send(link, Frame::Publish(message));
        }
    }
}

/// A process' connection.
#[derive(Clone, Debug)]
pub struct SimPort {
    net: Net,
    link: LinkId,
}

impl SimPort {
    /// Which connection it is.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Changes whenever the connection was made anew.
    #[must_use]
    pub fn reconnects(&self) -> Reconnects {
        self.net.state().links[self.link].reconnects.clone()
    }

    fn send(&self, frame: Frame) {
        self.net.state().send(self.link, frame);
        self.net.changed.notify_one();
    }

    /// Now and then the caller waits a moment: a crash may come in between.
    async fn pause(&self) {
        let pauses = self.net.state().rng.chance(250);
        if pauses {
            tokio::task::yield_now().await;
        }
    }
}

fn check_size(message: &Outgoing) -> Result<(), PortError> {
    if message.payload.len() > MAX_PAYLOAD {
        return Err(PortError::TooLarge("larger than the server's largest message".into()));
    }
    Ok(())
}

impl Port for SimPort {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), PortError>> {
        Box::pin(async move {
            check_size(&message)?;
            self.pause().await;
            self.send(Frame::Publish(message));
            Ok(())
        })
    }

    fn request(
        &self,
        message: Outgoing,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Message, PortError>> {
        Box::pin(async move {
            check_size(&message)?;
            self.pause().await;
            let reply = self.new_inbox();
            let (sender, answer) = oneshot::channel();
            self.net.state().links[self.link].requests.insert(reply.clone(), sender);
            let _asked = Asked { port: self, reply: &reply };
            self.send(Frame::Publish(Outgoing { reply: Some(reply.as_str().into()), ..message }));
            match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(answer)) if answer.status.is_none() => Ok(answer),
                Ok(Ok(_)) => Err(PortError::NoAnswer("no responders".into())),
                Ok(Err(_)) => Err(PortError::NoAnswer("the connection is closed".into())),
                Err(elapsed) => Err(PortError::NoAnswer(elapsed.into())),
            }
        })
    }

    fn subscribe(&self, subject: String) -> BoxFuture<'_, Result<Subscription, PortError>> {
        Box::pin(async move {
            let (sender, receiver) = mpsc::unbounded_channel();
            self.net.state().links[self.link].listeners.insert(subject.clone(), sender);
            self.send(Frame::Subscribe(subject.clone()));
            Ok(Listener { port: self.clone(), subject, receiver }.boxed())
        })
    }

    fn new_inbox(&self) -> String {
        let mut state = self.net.state();
        let link = &mut state.links[self.link];
        link.inboxes += 1;
        format!("_INBOX.{}.{}", self.link, link.inboxes)
    }

    fn is_connected(&self) -> bool {
        self.net.state().links[self.link].up
    }

    fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }
}

/// A request that waits; forgotten when it is dropped.
struct Asked<'a> {
    port: &'a SimPort,
    reply: &'a str,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.port.net.state().links[self.port.link].requests.remove(self.reply);
    }
}

struct Listener {
    port: SimPort,
    subject: String,
    receiver: mpsc::UnboundedReceiver<Message>,
}

impl Stream for Listener {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.receiver.poll_recv(cx)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.port.net.state().links[self.port.link].listeners.remove(&self.subject);
        self.port.send(Frame::Unsubscribe(self.subject.clone()));
    }
}
