//! The owner by itself: news in any order, without streams.

use jiff::Timestamp;
use serde_json::json;
use stint_common::id::{Incarnation, JobUid};
use stint_common::names::Names;
use stint_common::nats::{Entry, Outcome};
use stint_common::time::Instant;
use stint_common::wire::VERSION;
use uuid::Uuid;

use super::carry::{Done, Round};
use super::owner::Owner;
use super::run::Keep;
use crate::job::{JobStatus, Ledger};
use crate::store::JobRecord;

fn uid() -> JobUid {
    JobUid(Uuid::from_u128(7))
}

/// A Job as a client writes it.
fn written(parallelism: u32, sequence: u64) -> Entry {
    let object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "pi", "namespace": "default", "uid": uid().to_string()},
        "spec": {"parallelism": parallelism, "completions": 9, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "host", "command": ["true"]}]}}},
    });
    let record = JobRecord {
        v: VERSION,
        writer: Incarnation(Uuid::from_u128(1)),
        nonce: sequence,
        object: serde_json::value::to_raw_value(&object).unwrap(),
        template: "t".to_owned(),
        trace: None,
        created_at: None,
        status: JobStatus::default(),
        said: None,
        ledger: Ledger::default(),
        deletion: None,
        gone: false,
    };
    Entry {
        subject: Names::default().object("jobs", "default", "pi").into(),
        payload: record.encode(),
        sequence,
        time: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn a_change_that_was_read_during_a_write_is_taken_in_after_it() {
    let (now, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let me = Incarnation(Uuid::from_u128(2));
    let mut owner = Owner::new(Names::default(), me, None, Keep::default(), now);
    owner.take_object(&written(2, 1), now);
    owner.rebuilt = true;
    drop(owner.decide(Round::default(), wall, now));
    assert!(owner.jobs[&uid()].writing, "what is issued is being written");
    // The write became revision 2, and a client wrote upon it, before its answer came.
    owner.take_object(&written(5, 3), now);
    let outcomes = vec![(uid(), Outcome::Stored(2))];
    owner.take_done(Done::Jobs(outcomes), &mut Round::default(), now);
    let managed = &owner.jobs[&uid()];
    assert_eq!((managed.revision, managed.job.spec().parallelism), (3, 5));
}
