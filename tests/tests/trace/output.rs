//! Pods' output as a receiver gets it: where it is asked for, a record for each line.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use stint_common::id::{JobUid, PodId};
use stint_common::trace::pod_span_id;
use stint_tests::{job, until};
use tokio::net::TcpListener;

use crate::receiver::{Line, Receiver, hex, text};
use crate::world_with;

/// Output is sent within this time.
const LIMIT: Duration = Duration::from_secs(30);
/// What a Job of twenty pods takes at most, on a busy machine.
const PROMPT: Duration = Duration::from_secs(10);
/// A worker waits three seconds for the last lines; the rest of its end takes less.
const STOPPED: Duration = Duration::from_secs(8);

/// Lines of a Job, once there are so many.
async fn lines(receiver: &Receiver, name: &str, count: usize) -> Vec<Line> {
    until(&format!("{count} lines of {name} came"), LIMIT, || async {
        let mut lines = receiver.lines();
        lines.retain(|line| line.of("k8s.job.name") == name);
        (lines.len() >= count).then_some(lines)
    })
    .await
}

fn bodies<'a>(lines: &'a [Line], stream: &str) -> Vec<&'a str> {
    let of_stream = lines.iter().filter(|line| line.stream == stream);
    of_stream.map(|line| line.body.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_says_whose_it_is() {
    let receiver = Receiver::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.endpoint),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b"),
        ("OTEL_SERVICE_NAME", "mine"),
    ];
    let world = world_with(&variables).await;
    let api = world.api("output");
    let script = "echo one; echo two >&2; printf three";
    api.complete(&job("small").completions(2).indexed().script(script).build()).await;
    let small = lines(&receiver, "small", 6).await;
    let spans = receiver.job("small").await;
    assert_eq!(small.len(), 6);
    for index in 0..2 {
        let of = |line: &&Line| line.of("k8s.job.completion_index") == index.to_string();
        let own: Vec<Line> = small.iter().filter(of).cloned().collect();
        assert_eq!(bodies(&own, "stdout"), ["one", "three"]);
        assert_eq!(bodies(&own, "stderr"), ["two"]);
        let pod = spans
            .iter()
            .filter(|span| span.name == "run pod")
            .find(|span| text(span, "k8s.job.completion_index") == index.to_string())
            .expect("each pod has a span");
        let job = JobUid(own[0].of("k8s.job.uid").parse().expect("it is a uid"));
        let slot = stint_common::id::Slot(index);
        let id = PodId { job, slot, attempt: stint_common::id::Attempt(0) };
        assert_eq!(hex(&pod.span_id), format!("{:016x}", pod_span_id(id)));
        for line in &own {
            assert_eq!((&line.trace_id, &line.span_id), (&pod.trace_id, &pod.span_id));
            assert_eq!(line.flags, 1);
            for name in ["k8s.pod.name", "k8s.pod.uid", "k8s.node.name", "k8s.container.name"] {
                assert_eq!(line.of(name), text(pod, name), "{name}");
            }
            assert_eq!(line.of("k8s.namespace.name"), "output");
            assert_eq!(line.of("k8s.container.restart_count"), "0");
            assert_eq!(line.of("service.name"), "mine");
            assert_eq!(line.severity, 0);
        }
        let times: Vec<u64> = own.iter().map(|line| line.observed).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    }
    let mut worker = world.take("worker-0");
    worker.signal(Signal::SIGTERM);
    assert!(worker.wait(STOPPED).await.expect("it stops in time").success());
    let log = world.log("worker-0");
    assert!(!log.contains("output of pods was not sent"), "{log}");
    assert!(receiver.heads().iter().any(|head| head.contains("x-tenant: a b\r\n")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_late_output_comes_whole_and_in_order() {
    let receiver = Receiver::start().await;
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.endpoint), ("OTEL_LOGS_EXPORTER", "otlp")];
    let world = world_with(&variables).await;
    let api = world.api("output");
    // Some lines are cut by the chunks that output travels in, and one is longer than a record.
    let script = "seq 100000; head -c 100000 /dev/zero | tr '\\0' x; echo; seq 3 >&2";
    api.complete(&job("large").script(script).build()).await;
    let large = lines(&receiver, "large", 100_005).await;
    let out = bodies(&large, "stdout");
    let numbers: Vec<String> = (1..=100_000).map(|number| number.to_string()).collect();
    assert!(out[..100_000] == numbers, "lines are missing, torn, or out of order");
    assert_eq!(out[100_000..].iter().map(|line| line.len()).collect::<Vec<_>>(), [65_536, 34_464]);
    assert_eq!(bodies(&large, "stderr"), ["1", "2", "3"]);
    // Seen while it runs; and each run of a container by itself.
    let script = "echo up; until [ -e again ]; do sleep 0.1; [ -e $HOSTNAME ] && exit 1; done";
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut late = job("late").script(script).build();
    late["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    late["spec"]["template"]["spec"]["containers"][0]["workingDir"] = json!(dir.path());
    let name = api.create(&late).await["metadata"]["name"].clone();
    let first = lines(&receiver, "late", 1).await;
    let pod = first[0].of("k8s.pod.name");
    std::fs::write(dir.path().join(&pod), "").expect("the directory is ours");
    let second = lines(&receiver, "late", 2).await;
    std::fs::write(dir.path().join("again"), "").expect("the directory is ours");
    let restarts: Vec<String> =
        second.iter().map(|line| line.of("k8s.container.restart_count")).collect();
    assert_eq!((restarts, name), (vec!["0".to_owned(), "1".to_owned()], json!("late")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_output_who_did_not_ask_for_it() {
    let receiver = Receiver::start().await;
    let world = world_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint)]).await;
    world.api("output").complete(&job("private").script("echo secret").build()).await;
    receiver.job("private").await;
    assert!(receiver.lines().is_empty());
    assert!(!world.log("worker-0").contains("output"), "{}", world.log("worker-0"));
}

/// The receiver of output is bad, that of metrics is not.
async fn is_harmless(endpoint: &str, talk: &str) {
    let metrics = Receiver::start().await;
    let variables = [
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &*format!("{}/v1/metrics", metrics.endpoint)),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ];
    let world = world_with(&variables).await;
    let api = world.api("harmless");
    for name in ["first", "second"] {
        let start = Instant::now();
        let script = "head -c 20000 /dev/zero | tr '\\0' '\\n'";
        let mut manifest = job(name).completions(20).script(script).build();
        manifest["spec"]["parallelism"] = json!(20);
        api.complete(&manifest).await;
        assert!(start.elapsed() < PROMPT, "{name} took {:?}", start.elapsed());
    }
    until("lost lines are counted", LIMIT, || async {
        let lost = metrics.sum("stint.telemetry.dropped", "signal", "logs");
        (lost > 0).then_some(())
    })
    .await;
    let log = world.log("worker-0");
    assert!(log.contains("lines of output were lost") && log.contains(talk), "{log}");
    let mut worker = world.take("worker-0");
    worker.signal(Signal::SIGTERM);
    let status = worker.wait(STOPPED).await.expect("it stops in time");
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_of_output_that_is_not_there_is_harmless() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    is_harmless(&format!("http://{address}/v1/logs"), "Connection refused").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_of_output_that_never_answers_is_harmless() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    is_harmless(&format!("http://{address}/v1/logs"), "operation timed out").await;
    drop(listener);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_refuses_output_is_harmless() {
    let receiver = Receiver::start().await;
    is_harmless(&format!("{}/refuse", receiver.endpoint), "it answers 400 Bad Request").await;
}
