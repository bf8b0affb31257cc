//! A receiver of OTLP over HTTP/1.1, of as few words as will do, and what it received.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
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
        Self { endpoint, received, metrics, connections, task }
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
    connections: Arc<AtomicU64>,
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
        store.take(path, &body);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\
            content-length: 0\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
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
    let value = found.and_then(|attribute| attribute.value.clone());
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
