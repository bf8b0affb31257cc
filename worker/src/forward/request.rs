//! Lines become a request: a resource for each run, as the semantic conventions have it, and a
//! record for each line.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::tap::{Origin, Source};
use crate::logs::StreamName;

/// A request is sent when it has grown to this size: far below what receivers take (4 MiB and
/// more).
const FULL: usize = 1024 * 1024;
/// About what a record adds to its line.
const RECORD: usize = 100;
/// About what a resource takes.
const RESOURCE: usize = 600;

/// A request in the making.
#[derive(Debug)]
pub(super) struct Request {
    /// What is said of the worker itself.
    base: Vec<KeyValue>,
    runs: Vec<ResourceLogs>,
    places: HashMap<*const Source, usize>,
    /// The sources whose addresses are keys above: none may go, and its address to another.
    held: Vec<Arc<Source>>,
    records: u64,
    size: usize,
}

impl Request {
    pub(super) fn new(base: Vec<KeyValue>) -> Self {
        let (runs, places, held) = (Vec::new(), HashMap::new(), Vec::new());
        Self { base, runs, places, held, records: 0, size: 0 }
    }

    pub(super) fn add(&mut self, source: &Arc<Source>, stream: StreamName, at: u64, line: &[u8]) {
        let place = match self.places.get(&Arc::as_ptr(source)) {
            Some(place) => *place,
            None => self.begin(source),
        };
        let origin = &source.origin;
        let record = LogRecord {
            observed_time_unix_nano: at,
            body: Some(text(String::from_utf8_lossy(line).into_owned())),
            attributes: vec![attribute("log.iostream", text(word(stream)))],
            flags: u32::from(origin.flags),
            trace_id: origin.trace_id.to_be_bytes().to_vec(),
            span_id: origin.span_id.to_be_bytes().to_vec(),
            ..LogRecord::default()
        };
        self.records += 1;
        self.size += line.len() + RECORD;
        self.runs[place].scope_logs[0].log_records.push(record);
    }

    fn begin(&mut self, source: &Arc<Source>) -> usize {
        let place = self.runs.len();
        let mut attributes = self.base.clone();
        attributes.extend(describe(&source.origin));
        let scope = InstrumentationScope { name: "stint".to_owned(), ..Default::default() };
        self.runs.push(ResourceLogs {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_logs: vec![ScopeLogs { scope: Some(scope), ..Default::default() }],
            schema_url: String::new(),
        });
        self.places.insert(Arc::as_ptr(source), place);
        self.held.push(Arc::clone(source));
        self.size += RESOURCE;
        place
    }

    pub(super) fn is_full(&self) -> bool {
        self.size >= FULL
    }

    /// The request as it is sent and how many records it has; the next one begins empty.
    pub(super) fn take(&mut self) -> Option<(Vec<u8>, u64)> {
        if self.records == 0 {
            return None;
        }
        let resource_logs = std::mem::take(&mut self.runs);
        self.places.clear();
        self.held.clear();
        self.size = 0;
        let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        Some((body, std::mem::take(&mut self.records)))
    }
}

fn describe(origin: &Origin) -> impl Iterator<Item = KeyValue> {
    let index =
        origin.index.map(|index| attribute("k8s.job.completion_index", number(i64::from(index))));
    [
        attribute("k8s.namespace.name", text(&*origin.namespace)),
        attribute("k8s.job.name", text(&*origin.job_name)),
        attribute("k8s.job.uid", text(&*origin.job_uid)),
        attribute("k8s.pod.name", text(&*origin.pod_name)),
        attribute("k8s.pod.uid", text(&*origin.pod_uid)),
        attribute("k8s.container.name", text(&*origin.container)),
        attribute("k8s.container.restart_count", number(i64::from(origin.restarts))),
        attribute("k8s.node.name", text(&*origin.node)),
    ]
    .into_iter()
    .chain(index)
}

const fn word(stream: StreamName) -> &'static str {
    match stream {
        StreamName::Stdout => "stdout",
        StreamName::Stderr => "stderr",
    }
}

pub(super) fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

pub(super) fn text(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

fn number(number: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(number)) }
}
