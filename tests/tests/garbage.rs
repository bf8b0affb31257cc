//! Garbage on every subject: the API answers each with an error in bounded time, and nothing that
//! stands on an inner subject stops coordinator or worker.

use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use stint_tests::api::read;
use stint_tests::{Api, Shape, World, job};

/// The program under test.
const STINT: &str = env!("CARGO_BIN_EXE_stint-under-test");
/// How many requests are made up.
const CASES: u32 = 600;
/// How many of them are under way at once.
const AT_ONCE: usize = 32;

/// A made-up request: subject, options, body.
type Request = (String, Vec<(String, String)>, Vec<u8>);

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "default", "_all", "jobs", "jobs/status", "pods", "pods/log", "nodes", "create", "get",
            "list", "watch", "update", "patch", "delete", "deletecollection", "x", "there",
        ])
        .prop_map(str::to_owned),
        1 => "[!-)+-=?-~]{1,12}".prop_map(|text| text.replace('.', "-")),
        1 => "[a-zé☃]{1,300}",
    ]
}

fn options() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec![
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "resourceVersion",
        "dryRun",
        "propagationPolicy",
        "gracePeriodSeconds",
        "fieldValidation",
        "timeoutSeconds",
        "follow",
        "tailLines",
        "Content-Type",
        "traceparent",
        "container",
        "uid",
    ]);
    let option = (name.prop_map(str::to_owned), "[ -~]{0,40}");
    prop::collection::vec(option, 0..3)
}

/// A JSON value of which a part was replaced by nonsense.
fn nearly_a_job() -> impl Strategy<Value = Vec<u8>> {
    let paths = vec![
        "/spec",
        "/spec/template",
        "/spec/template/spec",
        "/metadata",
        "/metadata/name",
        "/kind",
        "/apiVersion",
        "/spec/template/spec/containers",
        "/spec/template/spec/containers/0",
        "/spec/template/spec/containers/0/command",
        "/spec/template/spec/restartPolicy",
    ];
    let nonsense = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!([])),
        Just(json!([[[[[[[]]]]]]])),
        Just(json!({"a": {"b": 1}})),
        Just(json!([null])),
    ];
    (prop::sample::select(paths), nonsense).prop_map(|(path, nonsense)| {
        // Suspended, so that the few that are Jobs after all run nothing.
        let mut manifest = job("nearly").spec(&json!({"suspend": true})).build();
        if let Some(place) = manifest.pointer_mut(path) {
            *place = nonsense;
        }
        manifest.to_string().into_bytes()
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => nearly_a_job(),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => "[\\[{\",:}\\]a-z0-9 &*!|>%@-]{0,80}".prop_map(String::into_bytes),
        1 => (1_usize..20_000).prop_map(|deep| "[".repeat(deep).into_bytes()),
        1 => (1_usize..4_000).prop_map(|deep| "{\"a\":".repeat(deep).into_bytes()),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let subject = prop_oneof![
        3 => prop::sample::select(vec![
            "default.jobs.create", "default.jobs.update.x", "default.jobs.patch.x",
            "default.jobs.delete.x", "default.jobs.get.x", "default.pods.delete.x",
            "default.pods/log.get.x", "_all.jobs.list", "default.pods.list",
        ])
        .prop_map(str::to_owned),
        2 => prop::collection::vec(token(), 1..6).prop_map(|tokens| tokens.join(".")),
    ];
    (subject, options(), body())
}

/// What has broken such services before.
fn corpus() -> Vec<Request> {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
                g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nkind: Job\n";
    let huge_numbers = job("n").spec(&json!({"completions": 1e308, "parallelism": -1})).build();
    let create = |body: Vec<u8>| ("default.jobs.create".to_owned(), Vec::new(), body);
    vec![
        create(bomb.as_bytes().to_vec()),
        create(huge_numbers.to_string().into_bytes()),
        create(b"{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{}}".to_vec()),
        create(b"\xff\xfe{\0}".to_vec()),
        create(b"--- \n--- \n---".to_vec()),
        create(b"{\"kind\":\"Job\",\"kind\":\"Job\"}".to_vec()),
        create(vec![b'['; 200_000]),
        create("{\"a\":".repeat(100_000).into_bytes()),
        create(b"- ".repeat(50_000)),
        create(vec![b'{'; 900_000]),
        (String::new(), Vec::new(), Vec::new()),
        ("default".to_owned(), Vec::new(), Vec::new()),
        ("default.jobs.get.a.b.c.d.e".to_owned(), Vec::new(), Vec::new()),
    ]
}

/// Sends a request; what the subject's grammar does not allow is not sent.
async fn send(api: &Api, (subject, options, body): Request) {
    let subject = format!("stint.v1.{subject}");
    let sendable = subject
        .split('.')
        .all(|token| !token.is_empty() && !token.contains([' ', '*', '>', '\t', '\r', '\n']));
    if !sendable {
        return;
    }
    let options: Vec<(&str, &str)> =
        options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // `raw` gives up after ten seconds: no answer by then is the failure looked for.
    let answer = api.raw(subject.clone(), &options, Bytes::from(body.clone())).await;
    let shown = || format!("{subject} {options:?} {}", String::from_utf8_lossy(&body));
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", shown()));
    let reply = read(&answer);
    match reply.code {
        // Some of it makes sense after all: a list, a stream, a Job that is suspended.
        None => {}
        Some(code) => {
            assert!((400..500).contains(&code), "{code} for {}: {}", shown(), reply.body);
            drop(reply.refused(code));
        }
    }
}

fn made_up(seed: [u8; 32]) -> Vec<Request> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = request();
    (0..CASES).map(|_| strategy.new_tree(&mut runner).expect("can be made up").current()).collect()
}

async fn still_works(world: &World, name: &str) {
    let api = world.api("default");
    api.complete(&job(name).indexed().completions(5).build()).await;
    assert_eq!(world.ended_by_themselves(), Vec::<String>::new());
}

#[tokio::test]
async fn every_request_is_answered_however_mad() {
    let world = World::start(STINT, Shape::default()).await;
    let api = world.api("default");
    let uuids = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(uuids[0].as_bytes());
    seed[16..].copy_from_slice(uuids[1].as_bytes());
    println!("seed {seed:?}");
    let requests = corpus().into_iter().chain(made_up(seed));
    futures_util::stream::iter(requests)
        .for_each_concurrent(AT_ONCE, |request| send(&api, request))
        .await;
    still_works(&world, "after").await;
}

/// Subjects inside, each with a body that its reader cannot make sense of.
fn inner() -> Vec<(String, Vec<u8>)> {
    let uid = "7f1d8c52-62b5-4c93-9c5f-0f6e8f1c2a33";
    let bodies: [&[u8]; 6] = [b"", b"{", b"null", b"[]", b"{\"v\":99}", b"\xff\xff\xff"];
    let subjects = [
        format!("stint.work.default.0.{uid}.0.0"),
        format!("stint.work.default.0.{uid}.0.1"),
        "stint.work.default.0.nonsense".to_owned(),
        format!("stint.work.default.9.{uid}.99999999999.0"),
        format!("stint.pod.0.{uid}.0.0"),
        format!("stint.pod.7.{uid}.1.0"),
        "stint.pod.x".to_owned(),
        format!("stint.order.0.{uid}.0.0"),
        "stint.order.a.b.c.d".to_owned(),
        "stint.obj.leases._workers.ghost".to_owned(),
        "stint.obj.leases._workers.a.b.c".to_owned(),
        "stint.obj.jobs.default.ghost".to_owned(),
        "stint.obj.jobs.x".to_owned(),
        format!("stint.obj.templates.{uid}.abc"),
        "stint.obj.unheard.of.thing".to_owned(),
        format!("stint.log.default.{uid}.0.0.main"),
        "stint.event.default.Job.x".to_owned(),
        "stint.nudge.worker-0".to_owned(),
    ];
    let pair = |subject: String| bodies.map(|body| (subject.clone(), body.to_vec()));
    subjects.into_iter().flat_map(pair).collect()
}

async fn pollute(world: &World) {
    for (subject, body) in inner() {
        let client = world.client();
        client.publish(subject, Bytes::from(body)).await.expect("can publish");
    }
    world.client().flush().await.expect("can flush");
}

#[tokio::test]
async fn garbage_on_inner_subjects_stops_nobody() {
    let shape = Shape { lease: (4.0, 1.0, 2.0), ..Shape::default() };
    let world = World::start(STINT, shape).await;
    pollute(&world).await;
    still_works(&world, "polluted").await;
    // What starts now reads all of it from the beginning.
    world.kill("coordinator-0");
    world.play("coordinator-0");
    world.kill("worker-0");
    world.play("worker-0");
    world.await_api().await;
    pollute(&world).await;
    still_works(&world, "started-amid-it").await;
    let listed = world.api("_all").send("jobs.list", &[], "").await;
    assert_eq!(listed.object()["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn garbage_in_a_pods_own_place_does_not_stop_its_job() {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    let api = world.api("default");
    let created = api.create(&job("place").indexed().completions(3).build()).await;
    let uid = created["metadata"]["uid"].as_str().unwrap();
    let jet = jetstream::new(world.client().clone());
    let stream = jet.get_stream("STINT_WORK").await.unwrap();
    stint_tests::until("its items are published", Duration::from_secs(10), || async {
        (stream.get_info().await.ok()?.state.messages == 3).then_some(())
    })
    .await;
    // An order that cannot be read, to a pod that nobody has claimed yet.
    let subject = format!("stint.order.0.{uid}.1.0");
    jet.publish(subject, "garbage".into()).await.unwrap().await.unwrap();
    drop(stream);
    world.play("worker-0");
    let (end, done) = api.ended("place").await;
    assert_eq!((end.as_str(), &done["status"]["succeeded"]), ("Complete", &json!(3)), "{done}");
}
