//! What the owner decides and counts, and what the API answers.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

use super::{count, counter, meter, seconds, secs, zero};

/// Instruments of coordinators.
#[derive(Debug)]
pub struct Coordinator {
    claimed: Counter<u64>,
    ended: Counter<u64>,
    queue_wait: Histogram<f64>,
    run_time: Histogram<f64>,
    finished: Counter<u64>,
    published: Counter<u64>,
    published_again: Counter<u64>,
    workers_lost: Counter<u64>,
    round: Histogram<f64>,
    rebuild: Histogram<f64>,
    request: Histogram<f64>,
    refused: Counter<u64>,
    telemetry_dropped: Counter<u64>,
}

/// The process's own.
pub fn coordinator() -> &'static Coordinator {
    static ALL: LazyLock<Coordinator> = LazyLock::new(Coordinator::new);
    &ALL
}

impl Coordinator {
    fn new() -> Self {
        let meter = &meter();
        let all = Self {
            claimed: zero(meter, "stint.pods.claimed", "Pods that a worker has claimed"),
            ended: counter(meter, "stint.pods.ended", "Pods that have ended, by outcome"),
            queue_wait: seconds(
                meter,
                "stint.pods.queue.wait",
                "From the publishing of a pod's work item to its claim",
            ),
            run_time: seconds(
                meter,
                "stint.pods.run.time",
                "From a pod's first process to its end",
            ),
            finished: counter(meter, "stint.jobs.finished", "Jobs that have ended, by condition"),
            published: zero(meter, "stint.queue.published", "Work items that were published"),
            published_again: zero(
                meter,
                "stint.queue.published.again",
                "Work items that nobody had claimed for too long",
            ),
            workers_lost: zero(meter, "stint.workers.lost", "Workers that were recorded as lost"),
            round: seconds(
                meter,
                "stint.owner.round.duration",
                "What one round of the owner's decisions takes",
            ),
            rebuild: seconds(
                meter,
                "stint.owner.rebuild.duration",
                "How long a new owner reads the streams before it decides",
            ),
            request: seconds(
                meter,
                "stint.api.request.duration",
                "From a request to its answer; of streams to their beginning",
            ),
            refused: counter(
                meter,
                "stint.api.refused",
                "Requests that were refused, by the answer's code",
            ),
            telemetry_dropped: counter(
                meter,
                "stint.telemetry.dropped",
                "Spans that were lost: the queue full, the receiver away",
            ),
        };
        all.telemetry_dropped("traces", 0);
        all
    }

    /// A worker has claimed a pod, after its item had waited so long.
    pub fn claimed(&self, waited: Duration) {
        self.claimed.add(1, &[]);
        self.queue_wait.record(secs(waited), &[]);
    }

    /// A pod has ended; `run_time` is absent if no process of it was started.
    pub fn ended(&self, outcome: &'static str, reason: &str, run_time: Option<Duration>) {
        let outcome = KeyValue::new("outcome", outcome);
        if let Some(run_time) = run_time {
            self.run_time.record(secs(run_time), std::slice::from_ref(&outcome));
        }
        self.ended.add(1, &[outcome, KeyValue::new("reason", reason.to_owned())]);
    }

    /// A Job has its terminal condition.
    pub fn finished(&self, condition: &str, reason: &str) {
        let of = |key: &'static str, text: &str| KeyValue::new(key, text.to_owned());
        self.finished.add(1, &[of("condition", condition), of("reason", reason)]);
    }

    /// Work items go out.
    pub fn published(&self, items: usize) {
        self.published.add(count(items), &[]);
    }

    /// An item goes out once more.
    pub fn published_again(&self) {
        self.published_again.add(1, &[]);
    }

    /// A worker is recorded as lost.
    pub fn worker_lost(&self) {
        self.workers_lost.add(1, &[]);
    }

    /// A round of decisions.
    pub fn round(&self, took: Duration) {
        self.round.record(secs(took), &[]);
    }

    /// A new owner has read the streams.
    pub fn rebuilt(&self, took: Duration) {
        self.rebuild.record(secs(took), &[]);
    }

    /// A request that was understood is answered.
    pub fn answered(&self, asked: Asked<'_>, took: Duration) {
        let Asked { front, resource, verb, code } = asked;
        let attributes = [
            KeyValue::new("front", front),
            KeyValue::new("resource", resource.to_owned()),
            KeyValue::new("verb", verb),
            KeyValue::new("code", i64::from(code)),
        ];
        self.request.record(secs(took), &attributes);
    }

    /// A request was answered with an error.
    pub fn refused(&self, front: &'static str, code: u16) {
        let attributes = [KeyValue::new("front", front), KeyValue::new("code", i64::from(code))];
        self.refused.add(1, &attributes);
    }

    /// Telemetry was lost.
    pub fn telemetry_dropped(&self, signal: &'static str, records: u64) {
        self.telemetry_dropped.add(records, &[KeyValue::new("signal", signal)]);
    }
}

/// A request, as far as it is told apart.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `http` or `nats`.
    pub front: &'static str,
    /// `jobs`, `pods/log`.
    pub resource: &'a str,
    /// `get`.
    pub verb: &'static str,
    /// The answer's HTTP code.
    pub code: u16,
}
