//! The tree that a Job's spans make, and what each says.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use serde_json::json;
use stint_common::id::{JobUid, PodId};
use stint_common::trace::{accepted_span_id, job_span_id, pod_span_id};
use stint_tests::{Api, job};

use crate::receiver::{Receiver, hex, text, text_in};
use crate::world_with;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SUBMITTER: &str = "00f067aa0ba902b7";
/// The first attempt of index 1 fails; each says whose span it is in.
const SCRIPT: &str = "echo $TRACEPARENT; echo $STINT_JOB_UID >&2; \
    [ $JOB_COMPLETION_INDEX$STINT_ATTEMPT != 10 ] || { echo boom >&2; exit 3; }";

fn nanos_now() -> u64 {
    let now = stint_common::time::now();
    let since = SystemTime::from(now).duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.expect("now is after 1970").as_nanos()).expect("and before 2500")
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no span {name}"));
    assert!(found.all(|other| other.span_id == first.span_id), "several spans {name}");
    first
}

fn pods(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.name == "run pod").collect()
}

fn code(span: &Span) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, |status| status.code())
}

async fn submit(api: &Api, manifest: &serde_json::Value) -> serde_json::Value {
    let traceparent = format!("00-{TRACE}-{SUBMITTER}-01");
    let headers = [("traceparent", traceparent.as_str()), ("tracestate", "vendor=x")];
    api.send("jobs.create", &headers, manifest.to_string()).await.object()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_one_tree_below_its_submitter() {
    let receiver = Receiver::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.endpoint),
        ("STINT_LOG", "stint_coordinator=debug,stint_worker=debug"),
        ("STINT_LOG_FORMAT", "json"),
    ];
    let world = world_with(&variables).await;
    let api = world.api("trace");
    let before = nanos_now();
    let manifest = job("tree").completions(3).indexed().script(SCRIPT).build();
    let created = submit(&api, &manifest).await;
    let uid: JobUid =
        created["metadata"]["uid"].as_str().and_then(|uid| uid.parse().ok()).expect("a uid");
    assert_eq!(api.ended("tree").await.0, "Complete");
    let spans = receiver.job("tree").await;
    let run = one(&spans, "run job");
    assert_eq!(hex(&run.span_id), format!("{:016x}", job_span_id(uid)));
    assert_eq!(hex(&run.parent_span_id), SUBMITTER);
    assert_eq!((run.kind(), code(run)), (SpanKind::Server, StatusCode::Ok));
    assert_eq!((text(run, "stint.succeeded"), text(run, "stint.failed")), ("3".into(), "1".into()));
    let accepted = one(&spans, "job accepted");
    assert_eq!(hex(&accepted.span_id), format!("{:016x}", accepted_span_id(uid)));
    assert_eq!(accepted.start_time_unix_nano, accepted.end_time_unix_nano);
    assert_eq!(spans.first().map(|span| span.name.as_str()), Some("job accepted"));
    let pods = pods(&spans);
    assert_eq!(pods.len(), 4);
    for pod in &pods {
        assert_eq!(pod.parent_span_id, run.span_id);
        assert!(before <= pod.start_time_unix_nano, "a pod starts after the submit");
        assert!(run.start_time_unix_nano <= pod.start_time_unix_nano);
        assert!(pod.end_time_unix_nano <= run.end_time_unix_nano);
        let (slot, attempt) = (text(pod, "stint.slot"), text(pod, "stint.attempt"));
        let id: PodId = format!("{uid}.{slot}.{attempt}").parse().expect("a pod's id");
        assert_eq!(hex(&pod.span_id), format!("{:016x}", pod_span_id(id)));
        assert_eq!(text(pod, "k8s.pod.uid"), id.uid().to_string());
        assert_eq!(text(pod, "k8s.job.completion_index"), text(pod, "stint.slot"));
        assert_eq!(text(pod, "k8s.node.name"), "worker-0");
        // What ran in the pod could go on in its span.
        let log = api.log(&text(pod, "k8s.pod.name"), &[("stream", "Stdout")]).await;
        let expect = format!("00-{TRACE}-{}-01", hex(&pod.span_id));
        assert!(String::from_utf8_lossy(&log).lines().any(|line| line == expect), "{expect}");
    }
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.trace_state, "vendor=x");
    }
    let failed: Vec<&&Span> = pods.iter().filter(|pod| code(pod) == StatusCode::Error).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(text(failed[0], "process.exit.code"), "3");
    let message = &failed[0].status.as_ref().expect("it has one").message;
    assert_eq!(message, "Error: container main exited with code 3");
    let words = text_in(&failed[0].events[0].attributes, "stint.stderr");
    assert_eq!(words, format!("{uid}\nboom\n"));
    assert!(receiver.services().iter().all(|name| name == "stint"));
    assert!(logged(&world.log("coordinator-0"), "a Job has ended", &hex(&run.span_id)));
    assert!(logged(&world.log("worker-0"), "a pod has ended", &hex(&failed[0].span_id)));
}

/// Whether a log says this with the ids of the trace and of this span.
fn logged(log: &str, message: &str, span: &str) -> bool {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut fields = lines.map(|mut line| line["fields"].take());
    fields.any(|it| it["message"] == message && it["trace_id"] == TRACE && it["span_id"] == span)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_job_says_why_and_an_unsampled_one_nothing() {
    let receiver = Receiver::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*format!("{}/v1/traces", receiver.endpoint)),
        ("OTEL_SERVICE_NAME", "mine"),
    ];
    let world = world_with(&variables).await;
    let api = world.api("trace");
    let unsampled = format!("00-{TRACE}-{SUBMITTER}-00");
    let quiet = job("quiet").build().to_string();
    api.send("jobs.create", &[("traceparent", &unsampled)], quiet).await.object();
    assert_eq!(api.ended("quiet").await.0, "Complete");
    let manifest = job("bad").spec(&json!({"backoffLimit": 0})).script("exit 7").build();
    let (reason, failed) = api.failed(&manifest).await;
    let spans = receiver.job("bad").await;
    let run = one(&spans, "run job");
    let uid = failed["metadata"]["uid"].as_str().unwrap_or_default().replace('-', "");
    assert_eq!(hex(&run.trace_id), uid);
    assert!(run.parent_span_id.is_empty(), "nobody submitted it in a span");
    assert_eq!((code(run), text(run, "error.type")), (StatusCode::Error, reason));
    assert_eq!(text(run, "cicd.pipeline.result"), "failure");
    // A Job that is deleted before its end leaves a span too.
    api.create(&job("gone").script("sleep 60").build()).await;
    api.until_job("gone", "a pod is ready", |job| job["status"]["ready"] == 1).await;
    api.send("jobs.delete.gone", &[("propagationPolicy", "Foreground")], "").await.object();
    let spans = receiver.job("gone").await;
    assert_eq!(text(one(&spans, "run job"), "cicd.pipeline.result"), "cancellation");
    assert_eq!(text(pods(&spans)[0], "cicd.pipeline.task.run.result"), "cancellation");
    assert!(receiver.spans().iter().all(|span| text(span, "k8s.job.name") != "quiet"));
    assert!(receiver.services().iter().all(|name| name == "mine"));
}

/// What makes no sense is said, and as if it were not there; no time for an answer is no limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_variables_are_said_and_change_nothing() {
    let receiver = Receiver::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.endpoint),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "squeeze"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_SERVICE_NAME", ""),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let world = world_with(&variables).await;
    world.api("odd").complete(&job("odd").completions(3).build()).await;
    assert_eq!(pods(&receiver.job("odd").await).len(), 3);
    assert!(receiver.services().iter().all(|name| name == "stint"));
    for part in ["coordinator-0", "worker-0"] {
        let log = world.log(part);
        let odd = |name: &str| log.contains(&format!("variable=\"{name}\""));
        for (name, value) in variables {
            let expected =
                ![&*receiver.endpoint, "0", ""].contains(&value) || name.ends_with("INTERVAL");
            assert_eq!(odd(name), expected, "{part}: {name}={value}\n{log}");
        }
        assert!(!log.contains("secret"), "headers are nobody's to read");
    }
    assert!(receiver.metrics().len() < 10, "an interval of nothing sends all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_is_killed_leaves_one_tree() {
    let receiver = Receiver::start().await;
    let world = world_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint)]).await;
    let api = world.api("trace");
    let before = nanos_now();
    // Two pods end before the kill, two while nobody owns the Job.
    let script = "[ $JOB_COMPLETION_INDEX -lt 2 ] || sleep 3";
    api.create(&job("killed").completions(4).indexed().script(script).build()).await;
    let two =
        |job: &serde_json::Value| job["status"]["succeeded"] == 2 && job["status"]["ready"] == 2;
    api.until_job("killed", "two of four are done", two).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.kill("coordinator-0");
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.play("coordinator-0");
    world.await_api().await;
    assert_eq!(api.ended("killed").await.0, "Complete");
    let spans = receiver.job("killed").await;
    let run = one(&spans, "run job");
    one(&spans, "job accepted");
    assert!(before <= run.start_time_unix_nano && run.end_time_unix_nano <= nanos_now());
    let by_id: BTreeMap<_, _> =
        pods(&spans).iter().map(|pod| (pod.span_id.clone(), *pod)).collect();
    assert_eq!(by_id.len(), 4);
    for pod in by_id.values() {
        assert_eq!((&pod.parent_span_id, code(pod)), (&run.span_id, StatusCode::Ok));
        assert!(run.start_time_unix_nano <= pod.start_time_unix_nano);
        assert!(pod.end_time_unix_nano <= run.end_time_unix_nano);
    }
    // The two that had been sent before the kill were not sent again.
    assert_eq!(pods(&spans).len(), 4);
}
