//! What a worker takes, runs and says.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::{counter, meter, seconds, secs, zero};

/// Instruments of workers.
#[derive(Debug)]
pub struct Worker {
    claims: Counter<u64>,
    redelivered: Counter<u64>,
    given_back: Counter<u64>,
    ended: Counter<u64>,
    start: Histogram<f64>,
    log_bytes: Counter<u64>,
    log_bytes_dropped: Counter<u64>,
    start_failures: Counter<u64>,
    renewals: Counter<u64>,
    freezes: Counter<u64>,
    telemetry_dropped: Counter<u64>,
}

/// The process's own.
pub fn worker() -> &'static Worker {
    static ALL: LazyLock<Worker> = LazyLock::new(Worker::new);
    &ALL
}

impl Worker {
    fn new() -> Self {
        let meter = &meter();
        let all = Self {
            claims: counter(meter, "stint.worker.claims", "Claims, by what became of them"),
            redelivered: zero(
                meter,
                "stint.worker.redelivered",
                "Work items that were delivered before",
            ),
            given_back: zero(
                meter,
                "stint.worker.given.back",
                "Work items that went back to the queue, there being no room",
            ),
            ended: counter(meter, "stint.worker.pods.ended", "Pods that ended here, by outcome"),
            start: seconds(
                meter,
                "stint.worker.start.duration",
                "From a pod's claim to its first process",
            ),
            log_bytes: bytes(meter, "stint.worker.log", "What containers wrote"),
            log_bytes_dropped: bytes(
                meter,
                "stint.worker.log.dropped",
                "Output that a cap kept out of the log",
            ),
            start_failures: zero(
                meter,
                "stint.worker.start.retries",
                "Starts that the machine had no room for, and that were tried again",
            ),
            renewals: counter(meter, "stint.worker.lease.renewals", "Renewals, by outcome"),
            freezes: zero(
                meter,
                "stint.worker.freezes",
                "How often pods were stopped where they stood for want of the lease's proof",
            ),
            telemetry_dropped: counter(
                meter,
                "stint.telemetry.dropped",
                "Lines of output that were lost on their way to a receiver of telemetry",
            ),
        };
        all.lines_dropped(0);
        for outcome in ["stored", "lost", "refused"] {
            all.renewals.add(0, &[KeyValue::new("outcome", outcome)]);
        }
        all
    }

    /// What became of a claim: `stored`, `lost`, `refused`.
    pub fn claimed(&self, outcome: &'static str) {
        self.claims.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// An item that was delivered before has come again.
    pub fn redelivered(&self) {
        self.redelivered.add(1, &[]);
    }

    /// An item went back to the queue.
    pub fn gave_back(&self) {
        self.given_back.add(1, &[]);
    }

    /// A pod of this worker has ended, `waited` after its claim having started.
    pub fn ended(&self, outcome: &'static str, waited: Option<Duration>) {
        self.ended.add(1, &[KeyValue::new("outcome", outcome)]);
        if let Some(waited) = waited {
            self.start.record(secs(waited), &[]);
        }
    }

    /// What a container wrote, and what of it is in no log.
    pub fn wrote(&self, bytes: u64, dropped: u64) {
        self.log_bytes.add(bytes, &[]);
        self.log_bytes_dropped.add(dropped, &[]);
    }

    /// There was no room to start something.
    pub fn no_room(&self) {
        self.start_failures.add(1, &[]);
    }

    /// What became of a renewal: `stored`, `lost`, `refused`.
    pub fn renewed(&self, outcome: &'static str) {
        self.renewals.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// Lines of pods' output were lost on their way to a receiver of telemetry.
    pub fn lines_dropped(&self, lines: u64) {
        self.telemetry_dropped.add(lines, &[KeyValue::new("signal", "logs")]);
    }

    /// Pods stand still.
    pub fn froze(&self) {
        self.freezes.add(1, &[]);
    }
}

fn bytes(meter: &Meter, name: &'static str, about: &'static str) -> Counter<u64> {
    let counter = meter.u64_counter(name).with_unit("By").with_description(about).build();
    counter.add(0, &[]);
    counter
}
