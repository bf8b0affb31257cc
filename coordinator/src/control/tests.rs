//! The owner by itself: news in any order, and its writes on a shelf.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use stint_common::id::{Attempt, Incarnation, JobUid, PodId, Slot};
use stint_common::names::Names;
use stint_common::nats::{Committer, Entry, Outcome, Shelf};
use stint_common::time::Instant;
use stint_common::wire::{
    self, Claim, End, EndedBy, Nudge, Order, OrderKind, Over, PodRecord, PodState, PodWord, Seal,
    VERSION,
};
use uuid::Uuid;

use super::carry::{Done, Round, Writers};
use super::owner::Owner;
use super::retire::WAIT;
use super::run::Keep;
use crate::store::JobRecord;

/// `JSStreamMessageExceedsMaximumErr`.
const TOO_LARGE: (u16, u32) = (400, 10_054);
const WALL: Timestamp = Timestamp::UNIX_EPOCH;

fn uid() -> JobUid {
    JobUid(Uuid::from_u128(7))
}

fn pod(slot: u32) -> PodId {
    PodId { job: uid(), slot: Slot(slot), attempt: Attempt(0) }
}

/// A Job as a client writes it.
fn job(parallelism: u32, nonce: u64) -> JobRecord {
    let object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "pi", "namespace": "default", "uid": uid().to_string()},
        "spec": {"parallelism": parallelism, "completions": 9, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "host", "command": ["true"]}]}}},
    });
    JobRecord { nonce, ..JobRecord::of(&object) }
}

fn subject() -> String {
    Names::default().object("jobs", "default", "pi")
}

fn entry(subject: &str, payload: Bytes, sequence: u64) -> Entry {
    Entry { subject: subject.into(), payload, sequence, time: WALL }
}

fn written(parallelism: u32, sequence: u64) -> Entry {
    entry(&subject(), job(parallelism, sequence).encode(), sequence)
}

fn record(state: PodState) -> PodRecord {
    let life = Incarnation(Uuid::from_u128(3));
    PodRecord {
        v: VERSION,
        writer: life,
        nonce: 1,
        template: "t".to_owned(),
        created_at: WALL,
        index_failures: None,
        claim: Some(Claim { worker: "one".to_owned(), incarnation: life, claimed_at: WALL }),
        state,
        waiting: None,
        address: None,
    }
}

fn succeeded() -> PodRecord {
    record(PodState::Terminated(Box::new(End {
        outcome: wire::Outcome::Succeeded,
        by: EndedBy::Worker,
        reason: String::new(),
        message: String::new(),
        started_at: Some(WALL),
        finished_at: WALL,
        containers: Vec::new(),
        initialized: None,
        conditions: Vec::new(),
    })))
}

fn word(finalizers: &[&str]) -> PodWord {
    PodWord {
        v: VERSION,
        writer: Incarnation(Uuid::nil()),
        nonce: 1,
        labels: [("a".to_owned(), "b".to_owned())].into(),
        annotations: [].into(),
        finalizers: finalizers.iter().map(|name| (*name).to_owned()).collect(),
        managed_fields: None,
        deleted: None,
    }
}

fn stop() -> Order {
    let kind = OrderKind::Stop { grace_seconds: 5, at: WALL, reason: "a test".to_owned() };
    let writer = Incarnation(Uuid::nil());
    Order { v: VERSION, writer, nonce: 1, kind, evicted: false, deleted: true }
}

/// An owner of one Job, whose writes go to a shelf.
struct Play {
    shelf: Shelf,
    names: Names,
    writers: Writers,
    owner: Owner,
    now: Instant,
}

impl Play {
    /// Of a Job with two pods, which are issued.
    async fn begin(keep: Keep) -> Self {
        let (shelf, names, now) = (Shelf::default(), Names::default(), Instant::now());
        let (jet, me) = (shelf.jet(), Incarnation(Uuid::from_u128(2)));
        let writers = Writers {
            objects: Committer::start(jet.clone(), names.objects_stream()),
            work: Committer::start(jet.clone(), names.work_stream()),
            pods: Committer::start(jet.clone(), names.pods_stream()),
            jet,
        };
        let owner = Owner::new(names.clone(), me, None, keep, now);
        let mut play = Self { shelf, names, writers, owner, now };
        let sequence = play.shelf.put(&subject(), &job(2, 1));
        play.owner.take_object(&written(2, sequence), now);
        play.owner.rebuilt = true;
        play.settle().await;
        play
    }

    /// Decides and writes until there is nothing to write.
    async fn settle(&mut self) {
        for _ in 0..8 {
            self.now += Duration::from_secs(1);
            let round = self.owner.decide(Round::default(), WALL, self.now);
            self.carry_out(round).await;
        }
    }

    /// So many seconds go by on both clocks.
    async fn wait_until(&mut self, since: Instant, seconds: u64) {
        self.now = since + Duration::from_secs(seconds);
        let wall = stint_common::time::after(WALL, Duration::from_secs(seconds));
        let round = self.owner.decide(Round::default(), wall, self.now);
        self.carry_out(round).await;
    }

    async fn carry_out(&mut self, round: Round) {
        for way in round.carry_out(&self.writers) {
            let done = way.await;
            let mut next = Round::default();
            self.owner.take_done(done, &mut next, self.now);
        }
    }

    /// What the pods' stream says.
    fn hear(&mut self, subject: &str, what: &impl Serialize) -> u64 {
        let sequence = self.shelf.put(subject, what);
        let (_, payload) = self.shelf.at(subject).unwrap();
        self.owner.take_pods_entry(&entry(subject, payload, sequence), self.now);
        sequence
    }

    /// Two of its pods succeed, which is written down.
    async fn succeed(&mut self) {
        for slot in 0..2 {
            self.hear(&self.names.pod(pod(slot)), &record(PodState::Claimed));
            self.hear(&self.names.pod(pod(slot)), &succeeded());
        }
        self.settle().await;
        let job = &self.owner.jobs[&uid()].job;
        assert!(job.is_over(Slot(0), Attempt(0)) && job.is_over(Slot(1), Attempt(0)));
    }

    /// A step of a round of removals.
    async fn retire(&mut self) {
        let mut round = Round::default();
        self.owner.retire(self.now, &mut round);
        self.carry_out(round).await;
    }

    fn has(&self, subject: &str) -> bool {
        self.shelf.at(subject).is_some()
    }
}

#[test]
fn a_change_that_was_read_during_a_write_is_taken_in_after_it() {
    let now = Instant::now();
    let me = Incarnation(Uuid::from_u128(2));
    let mut owner = Owner::new(Names::default(), me, None, Keep::default(), now);
    owner.take_object(&written(2, 1), now);
    owner.rebuilt = true;
    drop(owner.decide(Round::default(), WALL, now));
    assert!(owner.jobs[&uid()].writing, "what is issued is being written");
    // The write became revision 2, and a client wrote upon it, before its answer came.
    owner.take_object(&written(5, 3), now);
    let outcomes = vec![(uid(), Outcome::Stored(2))];
    owner.take_done(Done::Jobs(outcomes), &mut Round::default(), now);
    let managed = &owner.jobs[&uid()];
    assert_eq!((managed.revision, managed.job.spec().parallelism), (3, 5));
}

#[tokio::test]
async fn an_order_is_waited_for_until_the_pod_has_ended_and_not_after() {
    let mut play = Play::begin(Keep::default()).await;
    let order = |slot| play.names.order(pod(slot));
    let orders = [order(0), order(1)];
    play.hear(&play.names.pod(pod(0)), &record(PodState::Claimed));
    play.hear(&orders[0], &stop());
    assert_eq!(play.owner.stops.waits_for(), 1);
    play.hear(&play.names.pod(pod(0)), &succeeded());
    assert_eq!(play.owner.stops.waits_for(), 0);
    // This one is stored when its pod has ended.
    play.hear(&play.names.pod(pod(1)), &record(PodState::Claimed));
    play.hear(&play.names.pod(pod(1)), &succeeded());
    play.hear(&orders[1], &stop());
    let outcomes = vec![(pod(1), Outcome::Stored(99))];
    play.owner.take_done(Done::Orders(outcomes), &mut Round::default(), play.now);
    assert_eq!(play.owner.stops.waits_for(), 0);
    // And this one when its record is not known any more, and its Job's says that it is over.
    play.settle().await;
    play.owner.kept.forget(uid());
    play.hear(&orders[1], &stop());
    assert_eq!(play.owner.stops.waits_for(), 0);
}

#[tokio::test]
async fn a_claim_of_what_is_over_is_told_to_stop() {
    let mut play = Play::begin(Keep::default()).await;
    play.succeed().await;
    // An old work item came once more, when the record was gone.
    play.hear(&play.names.pod(pod(0)), &record(PodState::Claimed));
    let mut round = Round::default();
    play.owner.stop_what_must(WALL, play.now, &mut round);
    play.carry_out(round).await;
    assert!(play.has(&play.names.order(pod(0))) && !play.has(&play.names.order(pod(1))));
    let said = play.shelf.take_said();
    let (subject, payload) = said.first().expect("its worker is told");
    let nudge: Nudge = serde_json::from_slice(payload).unwrap();
    assert_eq!((subject, nudge.pods[0].pod), (&play.names.nudge("one"), pod(0)));
}

#[tokio::test]
async fn pods_of_a_job_that_is_gone_are_told_to_stop() {
    let mut play = Play::begin(Keep::default()).await;
    play.hear(&play.names.pod(pod(0)), &record(PodState::Claimed));
    play.settle().await;
    let sequence = play.shelf.put_bytes(&subject(), Bytes::new());
    play.owner.take_object(&entry(&subject(), Bytes::new(), sequence), play.now);
    assert!(!play.owner.jobs.contains_key(&uid()));
    let mut round = Round::default();
    play.owner.stop_what_must(WALL, play.now, &mut round);
    play.carry_out(round).await;
    assert!(play.has(&play.names.order(pod(0))));
    let said = play.shelf.take_said();
    let (subject, payload) = said.first().expect("its worker is told");
    let nudge: Nudge = serde_json::from_slice(payload).unwrap();
    assert_eq!((subject, nudge.pods[0].pod), (&play.names.nudge("one"), pod(0)));
}

#[tokio::test]
async fn nobody_is_told_to_stop_by_a_decision_that_was_not_stored() {
    let mut play = Play::begin(Keep::default()).await;
    // It is suspended, and before that is written down for its pods it goes on again.
    let suspended = |suspend: bool, nonce| {
        let (_, stored) = play.shelf.at(&subject()).unwrap();
        let mut record = JobRecord::decode(&stored).unwrap();
        let mut object: serde_json::Value = serde_json::from_str(record.object.get()).unwrap();
        object["spec"]["suspend"] = suspend.into();
        record.object = serde_json::value::to_raw_value(&object).unwrap();
        record.nonce = nonce;
        record.encode()
    };
    let (first, second) = (suspended(true, 50), suspended(false, 51));
    let sequence = play.shelf.put_bytes(&subject(), first.clone());
    play.owner.take_object(&entry(&subject(), first, sequence), play.now);
    play.now += Duration::from_secs(1);
    let round = play.owner.decide(Round::default(), WALL, play.now);
    assert!(play.owner.jobs[&uid()].writing, "that its pods have to stop");
    play.shelf.put_bytes(&subject(), second);
    play.hear(&play.names.pod(pod(0)), &record(PodState::Claimed));
    play.carry_out(round).await;
    let mut round = Round::default();
    play.owner.stop_what_must(WALL, play.now, &mut round);
    play.carry_out(round).await;
    assert!(play.shelf.take_said().is_empty() && !play.has(&play.names.order(pod(0))));
}

#[tokio::test]
async fn what_was_refused_is_not_acted_on_and_written_again() {
    let mut play = Play::begin(Keep::default()).await;
    let stored = |play: &Play| {
        let (_, payload) = play.shelf.at(&subject()).unwrap();
        JobRecord::decode(&payload).unwrap().status.active
    };
    let (_, before) = play.shelf.at(&subject()).unwrap();
    let mut more = JobRecord::decode(&before).unwrap();
    more.object = job(3, 9).object;
    let more = more.encode();
    let sequence = play.shelf.put_bytes(&subject(), more.clone());
    play.owner.take_object(&entry(&subject(), more, sequence), play.now);
    play.shelf.refuse(Some(TOO_LARGE));
    let round = play.owner.decide(Round::default(), WALL, play.now);
    play.carry_out(round).await;
    play.shelf.refuse(None);
    let held = play.now;
    // Shorter than it is held back for.
    play.wait_until(held, 4).await;
    let item = play.names.work(&play.owner.jobs[&uid()].class.0, pod(2));
    assert!(stored(&play) == 2 && !play.has(&item), "it is issued in memory only");
    play.wait_until(held, 6).await;
    play.settle().await;
    assert_eq!(stored(&play), 3);
    assert!(play.has(&item));
}

#[tokio::test]
async fn a_pod_that_is_held_before_its_removal_stays() {
    let mut play = Play::begin(Keep { pods: 0, ..Keep::default() }).await;
    play.succeed().await;
    let (record, word_of) = (play.names.pod(pod(0)), play.names.word(pod(0)));
    let other = play.names.pod(pod(1));
    play.retire().await;
    assert!(play.has(&play.names.seal(uid())), "it is sealed first");
    play.hear(&word_of, &word(&["example.com/hold"]));
    play.now += WAIT;
    play.retire().await;
    assert!(play.has(&record) && play.has(&word_of) && !play.has(&other));
    // Held for good, and looked at no more; until it is let go.
    play.retire().await;
    assert!(play.owner.retirement.is_none());
    play.hear(&word_of, &word(&[]));
    play.retire().await;
    play.now += WAIT;
    play.retire().await;
    assert!(!play.has(&record) && !play.has(&word_of));
}

#[tokio::test]
async fn when_all_that_was_to_go_is_held_the_next_round_begins() {
    let mut play = Play::begin(Keep { pods: 1, ..Keep::default() }).await;
    play.succeed().await;
    play.retire().await;
    for slot in 0..2 {
        play.hear(&play.names.word(pod(slot)), &word(&["example.com/hold"]));
    }
    play.now += WAIT;
    play.retire().await;
    assert!(play.owner.retirement.is_none());
    assert!(play.has(&play.names.pod(pod(0))) && play.has(&play.names.pod(pod(1))));
}

#[tokio::test]
async fn words_and_orders_that_outlived_their_record_go() {
    let mut play = Play::begin(Keep::default()).await;
    play.succeed().await;
    // Who removed the record died before it came to these.
    play.owner.kept.forget(uid());
    let left = [play.names.word(pod(0)), play.names.order(pod(0))];
    play.hear(&left[0], &word(&[]));
    play.hear(&left[1], &stop());
    let running = play.names.word(pod(2));
    play.hear(&running, &word(&[]));
    play.retire().await;
    assert!(left.iter().all(|subject| play.has(subject)), "not before the seal is known");
    play.now += WAIT;
    play.retire().await;
    assert!(!left.iter().any(|subject| play.has(subject)));
    assert!(play.has(&running), "its pod is not over");
}

#[tokio::test]
async fn workers_are_asked_about_claims_that_stay_open() {
    let after = Duration::from_secs(60);
    let mut play = Play::begin(Keep { claims: after, ..Keep::default() }).await;
    play.hear(&play.names.pod(pod(0)), &record(PodState::Claimed));
    play.hear(&play.names.pod(pod(1)), &record(PodState::Claimed));
    let claimed = play.now;
    let mut asked = Vec::new();
    for seconds in [30, 59, 66, 90, 125, 132] {
        play.now = claimed + Duration::from_secs(seconds);
        if seconds == 90 {
            play.hear(&play.names.pod(pod(1)), &succeeded());
        }
        let mut round = Round::default();
        play.owner.ask_about_claims(play.now, &mut round);
        play.carry_out(round).await;
        for (subject, payload) in play.shelf.take_said() {
            assert_eq!(subject, play.names.nudge("one"));
            let nudge: Nudge = serde_json::from_slice(&payload).unwrap();
            let mut slots: Vec<u32> = nudge.claims.iter().map(|pod| pod.slot.0).collect();
            slots.sort_unstable();
            asked.push((seconds, slots));
        }
    }
    assert_eq!(asked, [(66, vec![0, 1]), (132, vec![0])], "once in a while, and what is open");
}

/// Looks at overdue work items of these pods.
async fn mend(play: &mut Play, slots: &[u32]) {
    let overdue: Vec<PodId> = slots.iter().map(|slot| pod(*slot)).collect();
    let mut round = Round::default();
    play.owner.mend(&overdue, &mut round);
    play.carry_out(round).await;
}

fn seal_of(attempts: u32) -> Seal {
    let over = vec![Over { attempts, slots: [0, 1].into_iter().collect() }];
    Seal { v: VERSION, writer: Incarnation(Uuid::nil()), nonce: 9, all: false, over }
}

#[tokio::test]
async fn what_overdue_items_need_is_made_again() {
    let mut play = Play::begin(Keep::default()).await;
    let (template, seal) = (play.names.template(uid(), "t"), play.names.seal(uid()));
    // Nobody awaits a claim of this one.
    mend(&mut play, &[5]).await;
    assert!(!play.has(&template));
    play.owner.jobs.get_mut(&uid()).unwrap().writing = true;
    mend(&mut play, &[0]).await;
    assert!(!play.has(&template), "what is being written is not known to be durable");
    play.owner.jobs.get_mut(&uid()).unwrap().writing = false;
    mend(&mut play, &[0]).await;
    let (_, stored) = play.shelf.at(&template).expect("it is there again");
    assert_eq!(stored, play.owner.jobs[&uid()].template().unwrap());
    assert!(!play.has(&seal), "no seal is written where none is");

    play.shelf.put(&template, &json!("as it was"));
    let too_much = play.shelf.put(&seal, &seal_of(1));
    mend(&mut play, &[0]).await;
    assert_eq!(play.shelf.at(&template).unwrap().1, "\"as it was\"", "it was there");
    let (sequence, stands) = play.shelf.at(&seal).unwrap();
    let stands: Seal = serde_json::from_slice(&stands).unwrap();
    assert!(sequence > too_much && !stands.covers(Slot(0), Attempt(0)), "{stands:?}");
    mend(&mut play, &[0]).await;
    assert_eq!(play.shelf.at(&seal).unwrap().0, sequence, "it is right now");
}

#[tokio::test]
async fn a_seal_that_is_right_by_a_later_record_stays() {
    let mut play = Play::begin(Keep::default()).await;
    let seal = play.names.seal(uid());
    let sequence = play.shelf.put(&seal, &seal_of(1));
    // Another owner has written the record since, and this one has not noticed.
    play.shelf.put(&subject(), &job(2, 77));
    mend(&mut play, &[0, 1]).await;
    assert_eq!(play.shelf.at(&seal).unwrap().0, sequence);
}
