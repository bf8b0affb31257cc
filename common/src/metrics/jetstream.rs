//! What JetStream is asked, and how long it takes.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

use super::{SIZES, count, counter, meter, seconds, secs};

/// Instruments of both roles.
#[derive(Debug)]
pub struct JetStream {
    write: Histogram<f64>,
    group: Histogram<u64>,
    conflicts: Counter<u64>,
    unanswered: Counter<u64>,
    refused: Counter<u64>,
    request: Histogram<f64>,
}

/// The process's own.
pub fn jetstream() -> &'static JetStream {
    static ALL: LazyLock<JetStream> = LazyLock::new(JetStream::new);
    &ALL
}

impl JetStream {
    fn new() -> Self {
        let meter = meter();
        let group = meter
            .u64_histogram("stint.jetstream.write.batch.size")
            .with_description("Writes that went out together")
            .with_boundaries(SIZES.to_vec())
            .build();
        Self {
            write: seconds(
                &meter,
                "stint.jetstream.write.duration",
                "How long groups of writes took until their fate was known",
            ),
            group,
            conflicts: counter(
                &meter,
                "stint.jetstream.conflicts",
                "Compare-and-set writes that the server refused because another message stands",
            ),
            unanswered: counter(
                &meter,
                "stint.jetstream.unanswered",
                "Writes without an answer in time, whose fate was read back",
            ),
            refused: counter(
                &meter,
                "stint.jetstream.refused",
                "Writes that the server will never take: too large, stream full or gone",
            ),
            request: seconds(
                &meter,
                "stint.jetstream.request.duration",
                "How long requests to JetStream's API took",
            ),
        }
    }

    /// A stream will be written to: what has not happened to it is seen to be nothing.
    pub fn begin(&self, stream: &str) {
        for counter in [&self.conflicts, &self.unanswered, &self.refused] {
            counter.add(0, &[of(stream)]);
        }
    }

    /// A group of writes to a stream is done.
    pub fn wrote(&self, stream: &str, writes: usize, took: Duration) {
        let stream = [of(stream)];
        self.write.record(secs(took), &stream);
        self.group.record(count(writes), &stream);
    }

    /// Another message stood where a write expected none or an older one.
    pub fn conflict(&self, stream: &str) {
        self.conflicts.add(1, &[of(stream)]);
    }

    /// No answer came to a write.
    pub fn no_answer(&self, stream: &str) {
        self.unanswered.add(1, &[of(stream)]);
    }

    /// A write will never be taken.
    pub fn refused(&self, stream: &str) {
        self.refused.add(1, &[of(stream)]);
    }

    /// A request was answered, or not; by its operation, `STREAM.INFO`.
    pub fn asked(&self, operation: &str, took: Duration) {
        // Without the names of streams and consumers behind.
        let words: Vec<&str> = operation.split('.').take_while(|word| is_fixed(word)).collect();
        self.request.record(secs(took), &[KeyValue::new("operation", words.join("."))]);
    }
}

/// Operations are of these words; names of ours have others.
fn is_fixed(word: &str) -> bool {
    const WORDS: [&str; 14] = [
        "STREAM", "CONSUMER", "INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "MSG", "GET", "NEXT",
        "NAMES", "LIST", "DURABLE", "DIRECT",
    ];
    WORDS.contains(&word)
}

fn of(stream: &str) -> KeyValue {
    KeyValue::new("stream", stream.to_owned())
}
