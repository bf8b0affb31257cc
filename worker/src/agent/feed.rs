//! The pulls of one class: how much was asked for, and whether more is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stint_common::names::Names;
use stint_common::nats::WORK_PRIORITY_GROUP;
use stint_common::time::Instant;
use stint_common::wire::Class;

use super::room::Amounts;

/// A pull of which nothing more was heard by then is gone, with what it asked for.
const SILENCE: Duration = Duration::from_secs(25);

/// What was there more than this ago may have been taken by others.
const HOT: Duration = Duration::from_millis(500);

/// After a refusal (no consumer yet, or too many pulls) the next pull waits this long, and twice as
/// long each time,
const FIRST_REFUSED: Duration = Duration::from_millis(5);
/// up to this.
const LONGEST_REFUSED: Duration = Duration::from_secs(1);

/// What an item's class says of its pod.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kind {
    /// The class's name.
    pub(super) name: Arc<str>,
    /// Higher ones go first.
    pub(super) priority: i32,
    /// What the pod takes up.
    pub(super) amounts: Amounts,
    /// It does not say what it takes up, nor whom it prefers.
    pub(super) plain: bool,
    /// It prefers some workers: one that has no room for it hands it on at once, and none takes it
    /// before it has room.
    #[serde(default)]
    pub(super) choosy: bool,
    /// Devices that the pod asks for.
    pub(super) devices: BTreeMap<String, u64>,
}

/// One class that this worker takes work of.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) kind: Arc<Kind>,
    /// Where a pull is sent.
    pub(super) subject: String,
    /// How much less than others this worker is preferred, where the class prefers some.
    pub(super) reluctance: Option<u8>,
    /// Tells the answers to its pulls from those to others'.
    pub(super) token: u64,
    /// Items that may still come.
    pub(super) asked: usize,
    /// When an item came that was not the last.
    more: Option<Instant>,
    /// When it last had its turn among others of its priority.
    pub(super) turn: u64,
    last: Instant,
    /// The class's consumer is not there yet, or refuses: not asked before this.
    hold_until: Option<Instant>,
    /// How often it has refused since it last served.
    refusals: u32,
}

impl Feed {
    pub(super) fn new(
        names: &Names,
        class: &Class,
        cpu_milli: u64,
        token: u64,
        now: Instant,
    ) -> Self {
        let name = class.name();
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            names.work_stream(),
            names.class_consumer(&name)
        );
        let kind = Kind {
            name: Arc::from(name),
            priority: class.priority,
            amounts: Amounts::of(&class.request, cpu_milli),
            plain: class.request.is_default() && class.preferred.is_empty(),
            choosy: !class.preferred.is_empty(),
            devices: class.request.others.clone(),
        };
        Self {
            kind: Arc::new(kind),
            subject,
            reluctance: None,
            token,
            asked: 0,
            more: None,
            turn: 0,
            last: now,
            hold_until: None,
            refusals: 0,
        }
    }

    /// What a pull of so many says.
    pub(super) fn pull(&self, count: usize, expires: Duration) -> String {
        let expires = expires.as_nanos();
        match self.reluctance {
            None => format!(r#"{{"batch":{count},"expires":{expires}}}"#),
            Some(priority) => format!(
                r#"{{"batch":{count},"expires":{expires},"group":"{WORK_PRIORITY_GROUP}","priority":{priority}}}"#
            ),
        }
    }

    /// Whether it makes sense to ask now.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        self.hold_until.is_none_or(|until| until <= now)
    }

    /// So many more were asked for.
    pub(super) fn ask(&mut self, count: usize, now: Instant) {
        self.asked += count;
        self.last = now;
    }

    /// An item came, and so many more wait.
    pub(super) fn came(&mut self, pending: u64, now: Instant) {
        self.asked = self.asked.saturating_sub(1);
        self.answered();
        self.more = (pending > 0).then_some(now);
    }

    /// Whether it is known to have more: others may have taken it since, so not for long.
    pub(super) fn is_hot(&self, now: Instant) -> bool {
        self.more.is_some_and(|at| now.duration_since(at) < HOT)
    }

    /// A pull is over; so much of it was not served, if that was said.
    pub(super) fn over(&mut self, unserved: Option<usize>) {
        self.asked = unserved.map_or(0, |unserved| self.asked.saturating_sub(unserved));
        self.more = None;
    }

    /// Its consumer refuses. A new class's comes a moment after the class.
    pub(super) fn refused(&mut self, now: Instant) {
        let pause = FIRST_REFUSED.saturating_mul(1 << self.refusals.min(16)).min(LONGEST_REFUSED);
        self.refusals = self.refusals.saturating_add(1);
        self.hold_until = Some(now + pause);
    }

    /// Its consumer is there.
    pub(super) fn answered(&mut self) {
        self.refusals = 0;
    }

    /// How long until it may be asked again.
    pub(super) fn held_for(&self, now: Instant) -> Option<Duration> {
        self.hold_until.filter(|until| *until > now).map(|until| until.duration_since(now))
    }

    /// Pulls do not outlive the connection that carried them.
    pub(super) fn forget(&mut self) {
        self.asked = 0;
    }

    /// Pulls that the server has forgotten without a word no longer count.
    pub(super) fn forget_silent(&mut self, now: Instant) {
        if self.asked > 0 && now.duration_since(self.last) > SILENCE {
            self.asked = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_is_asked_again_at_once_and_then_less_and_less_often() {
        let now = Instant::now();
        let mut feed = Feed::new(&Names::default(), &Class::default(), 1000, 1, now);
        assert_eq!((feed.may_ask(now), feed.held_for(now)), (true, None));
        let mut pauses = Vec::new();
        for _ in 0..10 {
            feed.refused(now);
            assert!(!feed.may_ask(now));
            pauses.extend(feed.held_for(now));
        }
        assert!(feed.may_ask(now + LONGEST_REFUSED));
        assert_eq!(
            (pauses[0], pauses[1], pauses[9]),
            (FIRST_REFUSED, 2 * FIRST_REFUSED, LONGEST_REFUSED)
        );
        feed.came(0, now);
        feed.refused(now);
        assert_eq!(feed.held_for(now), Some(FIRST_REFUSED));
    }

    #[test]
    fn a_pull_says_how_much_the_worker_is_preferred_where_it_matters() {
        let mut feed = Feed::new(&Names::default(), &Class::default(), 1000, 1, Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(feed.pull(7, second), r#"{"batch":7,"expires":1000000000}"#);
        feed.reluctance = Some(3);
        let pull: serde_json::Value = serde_json::from_str(&feed.pull(7, second)).unwrap();
        assert_eq!((&pull["group"], &pull["priority"]), (&"stint".into(), &3.into()));
        assert_eq!((&pull["batch"], &pull["expires"]), (&7.into(), &1_000_000_000.into()));
    }
}
