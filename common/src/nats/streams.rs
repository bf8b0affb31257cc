//! The streams and consumers: few, fixed, created once and checked at every start.

use std::time::Duration;

use async_nats::jetstream::consumer::{
    self, AckPolicy, IntoConsumerConfig as _, PriorityPolicy, pull,
};
use async_nats::jetstream::stream::{Compression, Config, RetentionPolicy, StorageType};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AskError, Jet, Refusal};

/// How long a delivered work item may stay unanswered: what a worker pulled, and did not live to
/// claim, comes again after that. A claim takes milliseconds; an item that comes twice is harmless.
const WORK_ACK_WAIT: Duration = Duration::from_secs(5);
/// Cap of delivered, unanswered items of one class: above every window that the owner publishes.
const WORK_MAX_ACK_PENDING: i64 = 65_536;
/// Cap of open pulls of one class; the default of 512 would silently starve the 513th worker.
const WORK_MAX_WAITING: i64 = 16_384;
/// The server has not so much storage as a stream may grow to (`JSStorageResourcesExceededErr`).
const NO_ROOM: u32 = 10_047;
/// No server of a cluster can take a stream (`JSClusterNoPeersErrF`), and the text says why.
const NO_PEERS: u32 = 10_005;
/// A stream that may not even grow to this is of no use.
const LEAST_BYTES: i64 = 16 << 20;

/// How much history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Replicas of each stream.
    pub replicas: usize,
    /// Output older than this goes.
    pub log_age: Duration,
    /// The oldest output goes when there is more.
    pub log_bytes: i64,
    /// Events older than this go.
    pub event_age: Duration,
    /// The oldest Events go when there is more.
    pub event_bytes: i64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            replicas: 1,
            log_age: Duration::from_secs(7 * 24 * 3600),
            log_bytes: 10 << 30,
            event_age: Duration::from_secs(24 * 3600),
            event_bytes: 1 << 30,
        }
    }
}

/// Why a stream or consumer is not there.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// A stream could not be created or looked up.
    #[error("setting up stream {name}")]
    Stream {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: AskError,
    },
    /// A consumer could not be created.
    #[error("setting up consumer {name}")]
    Consumer {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: AskError,
    },
}

/// Creates the streams that are missing; leaves those that exist, but for batches being allowed.
///
/// # Errors
///
/// When JetStream refuses or does not answer; may be called again.
pub async fn ensure_streams(jet: &Jet, limits: &StreamLimits) -> Result<(), SetUpError> {
    for config in configs(jet, limits) {
        ensure_stream(jet, config).await?;
    }
    Ok(())
}

/// What became of streams that somebody removed while Stint runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Made anew, empty.
    pub made: Vec<String>,
    /// Not made anew: what they held is known to nobody else, and to go on from nothing would make
    /// it look as if nothing had been.
    pub lost: Vec<String>,
}

/// Makes streams anew that were removed, if what they held is told again by itself (work items) or
/// was to go in time (output, Events). Costs one request while all are there.
///
/// # Errors
///
/// When JetStream refuses or does not answer; may be called again.
pub async fn restore_streams(jet: &Jet, limits: &StreamLimits) -> Result<Restored, SetUpError> {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        streams: Option<Vec<String>>,
    }

    let ours = json!({"subject": format!("{}.>", jet.names.prefix())});
    let there = jet.ask::<Names>("STREAM.NAMES", &ours).await;
    let there = there.map_err(|source| SetUpError::Stream { name: "names".to_owned(), source })?;
    let there = there.streams.unwrap_or_default();
    let truth = [jet.names.objects_stream(), jet.names.pods_stream()];
    let mut restored = Restored::default();
    for config in configs(jet, limits) {
        let name = config.name.clone();
        if there.contains(&name) {
            continue;
        }
        if truth.contains(&name) {
            restored.lost.push(name);
            continue;
        }
        ensure_stream(jet, config).await?;
        restored.made.push(name);
    }
    Ok(restored)
}

#[derive(Deserialize)]
struct StreamInfo {
    config: Config,
}

async fn ensure_stream(jet: &Jet, config: Config) -> Result<(), SetUpError> {
    let name = config.name.clone();
    let done = match stream_info(jet, &name).await {
        Ok(existing) if existing.allow_atomic_publish == config.allow_atomic_publish => Ok(()),
        Ok(existing) => {
            let allow_atomic_publish = config.allow_atomic_publish;
            let changed = Config { allow_atomic_publish, ..existing };
            jet.ask::<Value>(&format!("STREAM.UPDATE.{name}"), &json!(changed)).await.map(drop)
        }
        Err(error) if error.is_refusal(404) => create_stream(jet, config).await,
        Err(error) => Err(error),
    };
    done.map_err(|source| SetUpError::Stream { name, source })
}

async fn stream_info(jet: &Jet, name: &str) -> Result<Config, AskError> {
    let info = jet.ask::<StreamInfo>(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    Ok(info.config)
}

/// The server puts by what a stream may grow to, and has three quarters of what is free on its
/// disk. Where that is not enough the stream gets a quarter of what was asked for, and so on:
/// output goes earlier, and what is left is for Jobs.
async fn create_stream(jet: &Jet, mut config: Config) -> Result<(), AskError> {
    let name = config.name.clone();
    loop {
        match jet.ask::<Value>(&format!("STREAM.CREATE.{name}"), &json!(config)).await {
            Ok(_) => return Ok(()),
            Err(AskError::Refused(refusal))
                if lacks_room(&refusal) && config.max_bytes / 4 >= LEAST_BYTES =>
            {
                let (asked, bytes) = (config.max_bytes, config.max_bytes / 4);
                tracing::warn!(stream = %name, asked, bytes, "the server has no room for so much");
                config.max_bytes = bytes;
            }
            // Another coordinator was faster; its configuration is the same.
            Err(error) if error.is_refusal(400) => return stream_info(jet, &name).await.map(drop),
            Err(error) => return Err(error),
        }
    }
}

/// Whether less would be taken. A server of a cluster that is only away is waited for.
fn lacks_room(refusal: &Refusal) -> bool {
    let no_peers = refusal.err_code == NO_PEERS && refusal.description.contains("storage");
    refusal.err_code == NO_ROOM || no_peers
}

fn configs(jet: &Jet, limits: &StreamLimits) -> Vec<Config> {
    let names = &jet.names;
    let base = Config {
        storage: StorageType::File,
        num_replicas: limits.replicas,
        allow_atomic_publish: jet.atomic_batches,
        ..Config::default()
    };
    vec![
        Config {
            name: names.objects_stream(),
            subjects: vec![names.objects(None)],
            max_messages_per_subject: 1,
            description: Some(
                "Jobs and other objects, templates, leases; the sequence is the resourceVersion"
                    .into(),
            ),
            ..base.clone()
        },
        Config {
            name: names.work_stream(),
            subjects: vec![names.work_of_class(None)],
            retention: RetentionPolicy::WorkQueue,
            max_messages_per_subject: 1,
            description: Some("Pods to be run".into()),
            ..base.clone()
        },
        Config {
            name: names.pods_stream(),
            subjects: vec![names.pods(None), names.orders(None)],
            max_messages_per_subject: 1,
            description: Some("Pods' lives after pending, and orders to them".into()),
            ..base.clone()
        },
        Config {
            name: names.logs_stream(),
            subjects: vec![names.logs(None)],
            max_age: limits.log_age,
            max_bytes: limits.log_bytes,
            compression: Some(Compression::S2),
            description: Some("Output of pods, in chunks".into()),
            ..base.clone()
        },
        Config {
            name: names.events_stream(),
            subjects: vec![names.events()],
            max_age: limits.event_age,
            max_bytes: limits.event_bytes,
            max_messages_per_subject: 1,
            description: Some("Kubernetes Events".into()),
            ..base
        },
    ]
}

/// The group of all pulls of a prioritized consumer: nats-server wants one to be named.
pub const WORK_PRIORITY_GROUP: &str = "stint";

/// Creates the consumer of a class if it is missing; a prioritized one serves pulls that say a
/// lower `priority` first, where nats-server can (2.12 and newer). It is never changed: a refused
/// change can destroy a consumer's state (nats-server issue 8491).
///
/// # Errors
///
/// When JetStream refuses or does not answer; may be called again.
pub async fn ensure_class_consumer(
    jet: &Jet,
    class: &str,
    prioritized: bool,
) -> Result<(), SetUpError> {
    let (stream, name) = (jet.names.work_stream(), jet.names.class_consumer(class));
    let info = format!("CONSUMER.INFO.{stream}.{name}");
    if jet.ask::<Value>(&info, &Value::Null).await.is_ok() {
        return Ok(());
    }
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: jet.names.work_of_class(Some(class)),
        ack_policy: AckPolicy::Explicit,
        ack_wait: WORK_ACK_WAIT,
        max_deliver: -1,
        max_ack_pending: WORK_MAX_ACK_PENDING,
        max_waiting: WORK_MAX_WAITING,
        ..pull::Config::default()
    };
    let mut config = config.into_consumer_config();
    if prioritized {
        config.priority_policy = PriorityPolicy::Prioritized;
        config.priority_groups = vec![WORK_PRIORITY_GROUP.to_owned()];
    }
    let subject = format!("CONSUMER.CREATE.{stream}.{name}");
    let create = async |config: &consumer::Config| {
        let body = json!({"stream_name": stream, "config": config, "action": "create"});
        jet.ask::<Value>(&subject, &body).await
    };
    let mut created = create(&config).await;
    if prioritized && matches!(&created, Err(source) if source.is_refusal(400)) {
        // Before 2.12 there is no such policy: then all workers are served in turns.
        config.priority_policy = PriorityPolicy::None;
        config.priority_groups = Vec::new();
        created = create(&config).await;
    }
    created.map(drop).map_err(|source| SetUpError::Consumer { name, source })
}

/// Deletes the consumer of a class; that it is gone already is as good.
///
/// # Errors
///
/// When JetStream refuses or does not answer; may be called again.
pub async fn drop_class_consumer(jet: &Jet, class: &str) -> Result<(), SetUpError> {
    let (stream, name) = (jet.names.work_stream(), jet.names.class_consumer(class));
    let deleted = jet.ask::<Value>(&format!("CONSUMER.DELETE.{stream}.{name}"), &Value::Null).await;
    match deleted {
        Err(source) if !source.is_refusal(404) => Err(SetUpError::Consumer { name, source }),
        Ok(_) | Err(_) => Ok(()),
    }
}
