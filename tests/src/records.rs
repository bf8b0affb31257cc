//! The durable records, read from the streams as they stand: what counters are held against.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::{self, consumer};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use stint_common::id::{JobUid, PodId};
use stint_common::names::{Names, PodsSubject};
use stint_common::wire::{PodRecord, WorkerLease};

/// A pod's record and where it stands.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which pod.
    pub pod: PodId,
    /// What is recorded of it.
    pub record: PodRecord,
}

/// All records of a Job's pods, in the order of their last writes.
///
/// # Panics
///
/// When the stream cannot be read, or holds what is no record.
pub async fn pods(client: &Client, uid: &str) -> Vec<Recorded> {
    let names = Names::default();
    let uid: JobUid = uid.parse().expect("a Job's uid is one");
    let jet = jetstream::new(client.clone());
    let stream = jet.get_stream(names.pods_stream()).await.expect("the stream is there");
    let config = consumer::pull::Config {
        ack_policy: consumer::AckPolicy::None,
        filter_subject: names.pods(Some(uid)),
        memory_storage: true,
        ..consumer::pull::Config::default()
    };
    let reader = stream.create_consumer(config).await.expect("a consumer can be made");
    let mut records = Vec::new();
    loop {
        let batch = reader.fetch().max_messages(1000).expires(Duration::from_millis(500));
        let mut batch = batch.messages().await.expect("the stream can be read");
        let before = records.len();
        while let Some(message) = batch.next().await {
            let message = message.expect("the stream can be read");
            let Some(PodsSubject::Pod(pod)) = names.parse_pods_subject(&message.subject) else {
                continue;
            };
            let record = serde_json::from_slice(&message.payload).expect("a record can be read");
            records.push(Recorded { pod, record });
        }
        if records.len() == before {
            return records;
        }
    }
}

/// A worker's lease as it stands.
pub async fn lease(client: &Client, worker: &str) -> Option<WorkerLease> {
    let names = Names::default();
    last(client, &names.objects_stream(), &names.worker_lease(worker)).await
}

async fn last<T: DeserializeOwned>(client: &Client, stream: &str, subject: &str) -> Option<T> {
    let stream = jetstream::new(client.clone()).get_stream(stream).await.ok()?;
    let message = stream.get_last_raw_message_by_subject(subject).await.ok()?;
    serde_json::from_slice(&message.payload).ok()
}
