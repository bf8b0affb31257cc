//! A collector that nobody here wrote stands between Stint and the receiver: what comes out of it
//! is what it understood.
//!
//! It is Rotel, an OpenTelemetry collector of few megabytes, from Python's index with its hash
//! pinned. Where it cannot be had or does not run, the test says so and looks at nothing.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use stint_tests::{job, until};
use tokio::net::TcpStream;

use crate::receiver::{Receiver, text, text_in};
use crate::world_with;

const REQUIREMENT: &str = "rotel==0.0.1a15 \
    --hash=sha256:2f4117e58410c933e0dc042a268ef738dab2e3a5d63b5831209acdac2a6ddcb7\n";
/// What comes in goes out within this time.
const LIMIT: Duration = Duration::from_secs(30);

/// A running collector, ended when dropped.
struct Collector {
    child: Child,
    endpoint: String,
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where the collector's program is, fetched once.
fn program() -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rotel-0.0.1a15");
    let program = dir.join("rotel/rotel-agent");
    if program.is_file() {
        return Ok(program);
    }
    let fail = |error: std::io::Error| error.to_string();
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(fail)?;
    let requirements = scratch.path().join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(fail)?;
    let target = scratch.path().join("rotel");
    // The program is no extension of Python: its version does not matter.
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary", ":all:", "--require-hashes"])
        .args(["--implementation", "cp", "--python-version", "311", "--abi", "cp311"])
        .args(["--platform", "manylinux_2_34_x86_64", "--target"])
        .arg(&target)
        .arg("-r")
        .arg(&requirements)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    // Another test may have been faster.
    drop(fs::rename(&target, &dir));
    if program.is_file() { Ok(program) } else { Err("the package holds no program".to_owned()) }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    listener.local_addr().expect("it is bound").to_string()
}

async fn start(receiver: &str, dir: &Path) -> Result<Collector, String> {
    let program =
        tokio::task::spawn_blocking(program).await.map_err(|error| error.to_string())??;
    let [http, grpc] = [free_address(), free_address()];
    let log = fs::File::create(dir.join("rotel.log")).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(["start", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc])
        .args(["--exporter", "otlp", "--otlp-exporter-endpoint", receiver])
        .args(["--otlp-exporter-protocol", "http"])
        .args(["--otlp-exporter-traces-compression", "none"])
        .args(["--otlp-exporter-metrics-compression", "none"])
        .args(["--otlp-exporter-logs-compression", "none"])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    for _ in 0..100 {
        if let Ok(Some(status)) = child.try_wait() {
            let said = fs::read_to_string(dir.join("rotel.log")).unwrap_or_default();
            return Err(format!("it does not run here ({status}): {said}"));
        }
        if TcpStream::connect(&http).await.is_ok() {
            return Ok(Collector { child, endpoint: format!("http://{http}") });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(Collector { child, endpoint: String::new() });
    Err("it does not listen".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_collector_understands_what_is_sent() {
    let receiver = Receiver::start().await;
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let collector = match start(&receiver.endpoint, dir.path()).await {
        Ok(collector) => collector,
        Err(why) => {
            eprintln!("skipped: no foreign collector: {why}");
            return;
        }
    };
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ];
    let world = world_with(&variables).await;
    let api = world.api("foreign");
    let script = "[ $JOB_COMPLETION_INDEX != 1 ] || { echo last words >&2; exit 3; }";
    let mut manifest = job("foreign").completions(3).indexed().script(script).build();
    manifest["spec"]["backoffLimit"] = serde_json::json!(0);
    let (reason, _) = api.failed(&manifest).await;
    let spans = receiver.job("foreign").await;
    let run = spans.iter().find(|span| span.name == "run job").expect("it was waited for");
    assert_eq!(text(run, "error.type"), reason);
    assert!(spans.iter().any(|span| span.name == "job accepted"));
    let failed = spans
        .iter()
        .filter(|span| span.name == "run pod")
        .find(|span| span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error));
    let failed = failed.expect("a failed pod's span");
    assert_eq!(failed.parent_span_id, run.span_id);
    assert_eq!(text_in(&failed.events[0].attributes, "stint.stderr"), "last words\n");
    let line = until("output came through", LIMIT, || async {
        receiver.lines().into_iter().find(|line| line.body == "last words")
    })
    .await;
    assert_eq!((&line.trace_id, &line.span_id), (&failed.trace_id, &failed.span_id));
    assert_eq!((&*line.stream, &*line.of("k8s.job.name")), ("stderr", "foreign"));
    assert!(receiver.services().iter().all(|name| name == "stint"));
    until("metrics of both roles came through", LIMIT, || async {
        let names = receiver.metrics();
        let both = [
            "stint.pods.ended",
            "stint.pods.queue.wait",
            "stint.queue.items",
            "stint.worker.claims",
            "stint.jetstream.write.duration",
        ];
        both.iter().all(|name| names.contains(*name)).then_some(())
    })
    .await;
}
