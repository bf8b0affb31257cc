//! What Stint rests on in a JetStream, asked of the real server and of the simulated one alike: the
//! simulation must not be kinder or harsher than the world.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;
use stint_common::config::NatsConfig;
use stint_common::id::{Attempt, JobUid, PodId, Slot};
use stint_common::names::{DEFAULT_CLASS, Names};
use stint_common::nats::{
    Committer, Expect, Jet, Outcome, StreamLimits, Subscription, Tail, TailEvent,
    WORK_PRIORITY_GROUP, Write, ensure_class_consumer, ensure_streams, parse_delivery,
};
use stint_sim::Rng;
use stint_sim::jetstream::Server;
use stint_sim::net::Net;
use stint_tests::{Shape, World};

const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");
/// The real server may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the same questions over both.
fn over_both<F: Future<Output = ()>>(ask: impl Fn(Jet) -> F) {
    let simulated = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be made");
    simulated.block_on(async {
        let net = Net::start(Server::new(jiff::Timestamp::UNIX_EPOCH, Rng::new(1)), Rng::new(2));
        let port = net.connect();
        let reconnects = port.reconnects();
        let jet = Jet::new(Arc::new(port), Names::default(), true, reconnects);
        set_up(&jet).await;
        ask(jet).await;
    });
    let real = tokio::runtime::Runtime::new().expect("a runtime can be made");
    real.block_on(async {
        let world =
            World::start(STINT, Shape { coordinators: 0, workers: 0, ..Shape::default() }).await;
        let jet = Jet::connect(&NatsConfig::new(&world.url(), "contract")).await;
        let jet = jet.expect("the server answers");
        set_up(&jet).await;
        ask(jet).await;
    });
}

async fn set_up(jet: &Jet) {
    // Twice: whoever comes second finds everything there.
    for _ in 0..2 {
        ensure_streams(jet, &StreamLimits::default()).await.expect("streams can be made");
        ensure_class_consumer(jet, DEFAULT_CLASS, false).await.expect("a consumer can be made");
    }
}

fn pod(number: u32) -> PodId {
    PodId { job: JobUid(uuid::Uuid::from_u128(7)), slot: Slot(number), attempt: Attempt(0) }
}

/// A write without the committer: the server's own answer.
async fn publish(jet: &Jet, subject: &str, expect: Option<u64>, payload: &'static str) -> Value {
    let mut headers = HeaderMap::new();
    if let Some(sequence) = expect {
        headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, sequence.to_string());
    }
    let answer = jet.request(subject.to_owned(), Some(headers), payload.into(), PATIENCE).await;
    let answer = answer.expect("the server answers");
    serde_json::from_slice(&answer.payload).expect("answers are JSON")
}

async fn next(messages: &mut Subscription) -> Message {
    let message = tokio::time::timeout(PATIENCE, messages.next()).await;
    message.expect("something comes").expect("the connection stands")
}

async fn pull(jet: &Jet, inbox: &str, body: &'static str) {
    let names = &jet.names;
    let subject = format!(
        "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
        names.work_stream(),
        names.class_consumer(DEFAULT_CLASS)
    );
    let sent = jet.publish_with_reply(subject, inbox.to_owned(), body.into()).await;
    sent.expect("the connection stands");
}

#[test]
fn a_subject_is_compared_and_set() {
    over_both(|jet| async move {
        let subject = jet.names.pod(pod(0));
        let first = publish(&jet, &subject, Some(0), "first").await["seq"].as_u64().unwrap();
        let refused = publish(&jet, &subject, Some(0), "second").await;
        assert_eq!(
            (refused["error"]["err_code"].as_u64(), &refused["error"]["code"]),
            (Some(10071), &Value::from(400)),
            "{refused}"
        );
        let second = publish(&jet, &subject, Some(first), "third").await["seq"].as_u64().unwrap();
        assert_eq!(second, first + 1);
        let stands = jet.read_last(&jet.names.pods_stream(), &subject).await.unwrap().unwrap();
        assert_eq!((stands.sequence, &stands.payload[..]), (second, &b"third"[..]));
        let third = publish(&jet, &subject, None, "fourth").await["seq"].as_u64().unwrap();
        assert_eq!(third, second + 1);
        let wild = jet.names.pods(Some(pod(0).job));
        let stands = jet.read_last(&jet.names.pods_stream(), &wild).await.unwrap().unwrap();
        assert_eq!((stands.subject, stands.sequence), (subject, third));
        let nothing = jet.read_last(&jet.names.pods_stream(), &jet.names.pod(pod(9))).await;
        assert_eq!(nothing.unwrap(), None);
    });
}

#[test]
fn a_purged_subject_is_empty_again() {
    over_both(|jet| async move {
        let (names, stream) = (jet.names.clone(), jet.names.pods_stream());
        let outcome = |number| names.pod(pod(number));
        let before = publish(&jet, &outcome(0), Some(0), "a").await["seq"].as_u64().unwrap();
        jet.purge(&stream, &names.pods(Some(pod(0).job))).await.unwrap();
        assert_eq!(jet.read_last(&stream, &outcome(0)).await.unwrap(), None);
        let refused = publish(&jet, &outcome(0), Some(before), "b").await;
        assert!(refused["error"].is_object(), "{refused}");
        let after = publish(&jet, &outcome(0), Some(0), "c").await["seq"].as_u64().unwrap();
        assert!(after > before);
    });
}

#[test]
fn a_batch_is_taken_whole_or_not() {
    over_both(|jet| async move {
        if !jet.atomic_batches {
            return;
        }
        let send = |id: &'static str, expects: [u64; 2]| {
            let jet = jet.clone();
            async move {
                let mut answer = Value::Null;
                for (number, expect) in (0_u32..).zip(expects) {
                    let mut headers = HeaderMap::new();
                    headers.insert(header::NATS_BATCH_ID, id);
                    headers.insert(header::NATS_BATCH_SEQUENCE, (number + 1).to_string());
                    headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expect.to_string());
                    let subject = jet.names.pod(pod(number));
                    if number == 0 {
                        jet.publish_with_headers(subject, headers, "x".into()).await.unwrap();
                        continue;
                    }
                    headers.insert(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
                    let done = jet.request(subject, Some(headers), "x".into(), PATIENCE).await;
                    answer = serde_json::from_slice(&done.unwrap().payload).unwrap();
                }
                answer
            }
        };
        let taken = send("one", [0, 0]).await;
        let last = taken["seq"].as_u64().unwrap_or_else(|| panic!("{taken}"));
        let refused = send("two", [last - 1, 0]).await;
        assert!(refused["error"].is_object(), "{refused}");
        let stands = jet.read_last(&jet.names.pods_stream(), &jet.names.pod(pod(0))).await.unwrap();
        assert_eq!(stands.unwrap().sequence, last - 1, "nothing of it was stored");
    });
}

#[test]
fn writes_of_a_committer_know_their_fate() {
    over_both(|jet| async move {
        let committer = Committer::start(jet.clone(), jet.names.pods_stream());
        let write = |number: u32, payload: &'static str, expect| Write {
            subject: jet.names.pod(pod(number)),
            payload: payload.into(),
            expect: Expect::Sequence(expect),
        };
        let won = committer.write(write(0, "mine", 0)).await.stored().expect("nothing stood there");
        // The same bytes are the same write.
        assert_eq!(committer.write(write(0, "mine", 0)).await, Outcome::Stored(won));
        let lost = committer.write(write(0, "yours", 0)).await;
        assert!(matches!(lost, Outcome::Lost(Some(current)) if current.sequence == won));
        assert_eq!(committer.write(write(1, "late", won)).await, Outcome::Lost(None));
        let many: Vec<Write> = (2..200).map(|number| write(number, "many", 0)).collect();
        let outcomes = committer.write_all(many).await;
        assert!(outcomes.iter().all(|outcome| outcome.stored().is_some()), "{outcomes:?}");
        let large =
            Write { payload: Bytes::from(vec![b'x'; jet.max_payload() + 1]), ..write(300, "", 0) };
        assert!(matches!(committer.write(large).await, Outcome::Refused(_)));
    });
}

#[test]
fn a_tail_reads_what_stands_and_then_what_comes() {
    over_both(|jet| async move {
        for number in 0..3 {
            publish(&jet, &jet.names.pod(pod(number)), Some(0), "old").await;
        }
        publish(&jet, &jet.names.pod(pod(0)), None, "newer").await;
        publish(&jet, &jet.names.order(pod(0)), Some(0), "other").await;
        let filters = vec![jet.names.pods(None)];
        let mut tail = Tail::start(jet.clone(), jet.names.pods_stream(), filters);
        let mut read = Vec::new();
        while let Some(TailEvent::Entries(entries)) = tail.next().await {
            read.extend(
                entries.into_iter().map(|entry| (entry.subject.to_string(), entry.payload)),
            );
        }
        let expected: Vec<(String, Bytes)> = [(1, "old"), (2, "old"), (0, "newer")]
            .map(|(number, payload)| (jet.names.pod(pod(number)), payload.into()))
            .to_vec();
        assert_eq!(read, expected);
        let sequence = publish(&jet, &jet.names.pod(pod(5)), Some(0), "news").await;
        let Some(TailEvent::Entries(entries)) = tail.next().await else { panic!("a tail ended") };
        assert_eq!(entries[0].sequence, sequence["seq"].as_u64().unwrap());
    });
}

#[test]
fn items_are_delivered_until_they_are_answered() {
    over_both(|jet| async move {
        let inbox = jet.new_inbox();
        let mut messages = jet.subscribe(inbox.clone()).await.unwrap();
        for number in 0..2 {
            let item = jet.names.work(DEFAULT_CLASS, pod(number));
            assert!(publish(&jet, &item, Some(0), "item").await["seq"].is_u64());
            let again = publish(&jet, &item, Some(0), "item").await;
            assert_eq!(again["error"]["err_code"], 10071, "one item a pod");
        }
        pull(&jet, &inbox, r#"{"batch":2,"expires":5000000000}"#).await;
        let first = next(&mut messages).await;
        let second = next(&mut messages).await;
        assert_eq!(first.subject.as_str(), jet.names.work(DEFAULT_CLASS, pod(0)));
        let reply = |message: &Message| message.reply.clone().expect("it can be answered");
        let delivery = parse_delivery(&reply(&second)).unwrap();
        assert_eq!((delivery.delivered, delivery.consumer_sequence), (1, 2));
        jet.publish(reply(&second), Bytes::from_static(b"-NAK")).await.unwrap();
        jet.publish(reply(&first), Bytes::from_static(b"+ACK")).await.unwrap();
        pull(&jet, &inbox, r#"{"batch":2,"expires":1000000000}"#).await;
        let again = next(&mut messages).await;
        assert_eq!(again.subject, second.subject);
        assert_eq!(parse_delivery(&reply(&again)).unwrap().delivered, 2);
        // Half of the pull is not served: it ends with a word on how much.
        let over = next(&mut messages).await;
        assert_eq!(over.status, Some(StatusCode::TIMEOUT));
        let headers = over.headers.expect("it says how much is left");
        assert_eq!(headers.get("Nats-Pending-Messages").map(|left| left.as_str()), Some("1"));
        let stands = |number| {
            let (jet, subject) = (jet.clone(), jet.names.work(DEFAULT_CLASS, pod(number)));
            async move { jet.read_last(&jet.names.work_stream(), &subject).await.unwrap() }
        };
        assert!(stands(1).await.is_some(), "what is not answered stays");
        jet.publish(reply(&again), Bytes::from_static(b"+TERM")).await.unwrap();
        for number in 0..2 {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while stands(number).await.is_some() {
                assert!(tokio::time::Instant::now() < deadline, "what was answered is gone");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let item = jet.names.work(DEFAULT_CLASS, pod(0));
        assert!(publish(&jet, &item, Some(0), "item").await["seq"].is_u64(), "and may come again");
    });
}

#[test]
fn who_is_preferred_is_served_first() {
    over_both(|jet| async move {
        let names = &jet.names;
        for _ in 0..2 {
            ensure_class_consumer(&jet, "choosy", true).await.expect("a consumer can be made");
        }
        let next_of = names.class_consumer("choosy");
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{next_of}", names.work_stream());
        let mut pulls = BTreeMap::new();
        for priority in [9, 0, 5] {
            let body = format!(
                r#"{{"batch":1,"expires":5000000000,"group":"{WORK_PRIORITY_GROUP}","priority":{priority}}}"#
            );
            let inbox = jet.new_inbox();
            pulls.insert(priority, jet.subscribe(inbox.clone()).await.unwrap());
            jet.publish_with_reply(subject.clone(), inbox, body.into()).await.unwrap();
        }
        for number in 0..3 {
            let item = names.work("choosy", pod(number));
            assert!(publish(&jet, &item, Some(0), "item").await["seq"].is_u64());
        }
        for (number, messages) in pulls.values_mut().enumerate() {
            let message = next(messages).await;
            // Before 2.12 they are served in turns.
            if jet.atomic_batches {
                let item = names.work("choosy", pod(u32::try_from(number).unwrap()));
                assert_eq!(message.subject.as_str(), item);
            }
        }
    });
}

#[test]
fn a_pull_of_a_consumer_that_is_not_there_is_refused() {
    over_both(|jet| async move {
        let inbox = jet.new_inbox();
        let mut messages = jet.subscribe(inbox.clone()).await.unwrap();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.nobody", jet.names.work_stream());
        jet.publish_with_reply(subject, inbox, r#"{"batch":1}"#.into()).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, messages.next()).await;
        match answer.map(|message| message.expect("the connection stands").status) {
            Ok(status) => assert_eq!(status, Some(StatusCode::NO_RESPONDERS)),
            // Servers before 2.11 say nothing: it is noticed when the pull should have expired.
            Err(_) => assert!(!jet.atomic_batches, "a server of 2.12 or newer says so"),
        }
    });
}

#[test]
fn a_pull_that_waits_is_heard_of() {
    over_both(|jet| async move {
        let inbox = jet.new_inbox();
        let mut messages = jet.subscribe(inbox.clone()).await.unwrap();
        let body = r#"{"batch":1,"expires":2000000000,"idle_heartbeat":500000000}"#;
        pull(&jet, &inbox, body).await;
        assert_eq!(next(&mut messages).await.status, Some(StatusCode::IDLE_HEARTBEAT));
    });
}

#[test]
fn subjects_are_listed_however_many_there_are() {
    over_both(|jet| async move {
        let (names, stream) = (&jet.names, jet.names.objects_stream());
        let filter = names.objects(Some("templates"));
        assert_eq!(jet.subjects(&stream, &filter).await.unwrap(), Vec::<String>::new());
        // More than fits the server's largest message.
        let objects = Committer::start(jet.clone(), stream.clone());
        let template = |number| {
            let job = JobUid(uuid::Uuid::from_u128(number));
            names.template(job, "0123456789ab")
        };
        let mut wanted: Vec<String> = (0..20_000).map(template).collect();
        let writes = wanted.iter().map(|subject| Write {
            subject: subject.clone(),
            payload: "x".into(),
            expect: Expect::Any,
        });
        let outcomes = objects.write_all(writes.collect()).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Stored(_))));
        jet.purge(&stream, &wanted.remove(7)).await.unwrap();
        let mut listed = jet.subjects(&stream, &filter).await.unwrap();
        listed.sort_unstable();
        wanted.sort_unstable();
        assert!(listed == wanted, "{} of {} were listed", listed.len(), wanted.len());
    });
}
