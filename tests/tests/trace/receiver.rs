//! A receiver of OTLP over HTTP/1.1, of as few words as will do, and what it received.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use stint_tests::until;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

/// A span is sent within this time.
const SENT: Duration = Duration::from_secs(20);

/// Takes every request and says yes.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) endpoint: String,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::listen(None).await
    }

    /// One that speaks TLS alone.
    pub(crate) async fn start_tls(tls: TlsAcceptor) -> Self {
        Self::listen(Some(tls)).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", listener.local_addr().expect("it is bound"));
        let store = Store::default();
        let (received, metrics) = (Arc::clone(&store.spans), Arc::clone(&store.metrics));
        let (logs, heads) = (Arc::clone(&store.logs), Arc::clone(&store.heads));
        let connections = Arc::clone(&store.connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                store.connections.fetch_add(1, Ordering::Relaxed);
                let (store, tls) = (store.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, store).await,
                        Some(tls) => {
                            // Who does not like our certificate ends here.
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, store).await;
                            }
                        }
                    }
                });
            }
        });
        Self { endpoint, received, metrics, logs, heads, connections, task }
    }

    /// How often somebody called, whatever came of it.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// What was received so far, in order, as often as it came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// `service.name` of everything received.
    pub(crate) fn services(&self) -> Vec<String> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let attributes = resources.filter_map(|resource| resource.resource.as_ref());
        attributes.map(|resource| text_in(&resource.attributes, "service.name")).collect()
    }

    /// Names of the metrics that came.
    pub(crate) fn metrics(&self) -> BTreeSet<String> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = metrics.iter().flat_map(|request| &request.resource_metrics);
        let scopes = resources.flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics.iter().map(|metric| metric.name.clone())).collect()
    }

    /// The last value of a counter for one value of an attribute, over all who sent it.
    pub(crate) fn sum(&self, name: &str, key: &str, value: &str) -> i64 {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = metrics.iter().flat_map(|request| &request.resource_metrics);
        let scopes = resources.flat_map(|resource| &resource.scope_metrics);
        let named = scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == name);
        let points = named.filter_map(|metric| match &metric.data {
            Some(Data::Sum(sum)) => Some(&sum.data_points),
            _ => None,
        });
        let points = points.flatten().filter(|point| text_in(&point.attributes, key) == value);
        let values = points.map(|point| match point.value {
            Some(Number::AsInt(number)) => number,
            _ => 0,
        });
        values.max().unwrap_or(0)
    }

    /// What came as logs, in order.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter().flat_map(|request| &request.resource_logs).flat_map(Line::of_resource).collect()
    }

    /// Heads of the requests, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the spans of a Job, up to and with its own.
    pub(crate) async fn job(&self, name: &str) -> Vec<Span> {
        until(&format!("{name} is traced"), SENT, || async {
            let mut spans = self.spans();
            spans.retain(|span| text(span, "k8s.job.name") == name);
            spans.iter().any(|span| span.name == "run job").then_some(spans)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where what came is kept.
#[derive(Clone, Debug, Default)]
struct Store {
    spans: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicU64>,
}

/// A log record, with what its resource says.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) resource: Arc<Vec<KeyValue>>,
    pub(crate) stream: String,
    pub(crate) body: String,
    pub(crate) trace_id: Vec<u8>,
    pub(crate) span_id: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) severity: i32,
    pub(crate) observed: u64,
}

impl Line {
    fn of_resource(logs: &ResourceLogs) -> Vec<Self> {
        let attributes = logs.resource.as_ref().map(|resource| resource.attributes.clone());
        let resource = Arc::new(attributes.unwrap_or_default());
        let records = logs.scope_logs.iter().flat_map(|scope| &scope.log_records);
        let line = |record: &LogRecord| Self {
            resource: Arc::clone(&resource),
            stream: text_in(&record.attributes, "log.iostream"),
            body: text_of(record.body.clone()),
            trace_id: record.trace_id.clone(),
            span_id: record.span_id.clone(),
            flags: record.flags,
            severity: record.severity_number,
            observed: record.observed_time_unix_nano,
        };
        records.map(line).collect()
    }

    /// An attribute of the resource.
    pub(crate) fn of(&self, name: &str) -> String {
        text_in(&self.resource, name)
    }
}

impl Store {
    fn take(&self, path: &str, body: &[u8]) {
        match path {
            "/v1/traces" => {
                let request = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
                self.spans.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            }
            "/v1/metrics" => {
                let request = ExportMetricsServiceRequest::decode(body).expect("it is OTLP");
                self.metrics.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            }
            "/v1/logs" => {
                let request = ExportLogsServiceRequest::decode(body).expect("it is OTLP");
                self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            }
            other => panic!("{other} is no path of OTLP"),
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, store: Store) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let path = head.strip_prefix("post ").and_then(|rest| rest.split_once(" http/1.1\r\n"));
        let (path, _) = path.unwrap_or_else(|| panic!("no POST: {head}"));
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        let is_packed = head.contains("content-encoding: gzip\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse().ok()).expect("a length is given");
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let body = if is_packed { unpack(body).await } else { body };
        let status = if path == "/refuse" {
            "400 Bad Request"
        } else {
            store.take(path, &body);
            "200 OK"
        };
        store.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What others pack (Stint does not), every machine can unpack.
async fn unpack(body: Vec<u8>) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(&body).expect("it can be written to");
    let packed = file.reopen().expect("it is there");
    let unpacked = Command::new("gzip").arg("-dc").stdin(packed).output().await;
    let unpacked = unpacked.expect("there is gzip");
    assert!(unpacked.status.success(), "it is no gzip");
    unpacked.stdout
}

/// A span's attribute as text; empty if it has none of the name.
pub(crate) fn text(span: &Span, name: &str) -> String {
    text_in(&span.attributes, name)
}

/// One of these attributes as text.
pub(crate) fn text_in(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    text_of(found.and_then(|attribute| attribute.value.clone()))
}

fn text_of(value: Option<AnyValue>) -> String {
    match value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        Some(AnyValue { value: Some(Value::BoolValue(yes)) }) => yes.to_string(),
        _ => String::new(),
    }
}

/// An id as `traceparent` writes it.
pub(crate) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
