//! The service: one endpoint for all subjects, each request in a task of its own.

use std::sync::Arc;

use async_nats::service::{Service, ServiceExt as _};
use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use stint_common::metrics;
use stint_common::names::{SERVICE_ERROR, SERVICE_ERROR_CODE, WARNING};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::schema::metadata;
use super::stream::pump;
use super::target::{header, options, target};
use crate::api::request::{self, Reply, Request, carry_out};
use crate::registry::{Error, Registry};

/// Requests that are worked on at once; more wait in the subscription.
const AT_ONCE: usize = 512;
/// Watches and followed logs that are open at once; more are refused (429).
const STREAMS_AT_ONCE: usize = 4096;

/// Why the service could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the NATS service")]
pub struct ServiceError(#[source] async_nats::Error);

/// Serves until `shutdown`; requests under way are answered.
///
/// # Errors
///
/// When the service cannot be started.
pub async fn serve(
    registry: Arc<Registry>,
    client: Client,
    prefix: String,
    shutdown: CancellationToken,
) -> Result<(), ServiceError> {
    let root = registry.names().api_root();
    let service = start(&client, &prefix).await.map_err(ServiceError)?;
    let mut endpoint = service
        .endpoint_builder()
        .name("api")
        .metadata(metadata(&root))
        .add(format!("{root}.>"))
        .await
        .map_err(ServiceError)?;
    let front = Arc::new(Front {
        registry,
        client,
        streams: Arc::new(Semaphore::new(STREAMS_AT_ONCE)),
        tasks: TaskTracker::new(),
    });
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let request = tokio::select! {
            () = shutdown.cancelled() => break,
            request = endpoint.next() => request,
        };
        let Some(request) = request else { break };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let worker = Arc::clone(&front);
        front.tasks.spawn(async move {
            worker.answer(request.message).await;
            drop(place);
        });
    }
    front.tasks.close();
    if let Err(error) = service.stop().await {
        tracing::debug!(%error, "stopping the NATS service");
    }
    Ok(())
}

async fn start(client: &Client, prefix: &str) -> Result<Service, async_nats::Error> {
    let name = prefix.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    client
        .service_builder()
        .description("Kubernetes Jobs without Kubernetes")
        .start(name, env!("CARGO_PKG_VERSION"))
        .await
}

struct Front {
    registry: Arc<Registry>,
    client: Client,
    streams: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Front {
    async fn answer(&self, message: Message) {
        let Some(reply) = message.reply.clone() else {
            tracing::debug!(subject = %message.subject, "a request without a reply subject is not carried out");
            return;
        };
        match self.handle(&message).await {
            Ok(Reply::Object(answer) | Reply::Created(answer)) => {
                self.send(reply, answer.object.to_string(), &answer.warnings).await;
            }
            Ok(Reply::Text(text)) => self.send(reply, text, &[]).await,
            Ok(Reply::Watch(stream)) => {
                self.stream(reply, stream, |event| event.to_string().into()).await
            }
            Ok(Reply::Log(stream)) => self.stream(reply, stream, |chunk| chunk).await,
            Err(error) => {
                let front = request::Front::Nats.name();
                metrics::coordinator().refused(front, error.code());
                self.refuse(reply, &error).await;
            }
        }
    }

    async fn handle(&self, message: &Message) -> Result<Reply, Error> {
        let target = target(&self.registry.names(), &message.subject)?;
        let headers = message.headers.as_ref();
        let content_type = header(headers, "Content-Type");
        let request = Request {
            resource: target.resource,
            part: target.part,
            verb: target.verb,
            namespace: target.namespace.as_deref(),
            name: target.name.as_deref(),
            body: &message.payload,
            content_type: content_type.as_deref(),
            options: options(headers)?,
            as_text: true,
        };
        carry_out(request::Front::Nats, &self.registry, request).await
    }

    async fn send(&self, reply: Subject, text: String, warnings: &[String]) {
        let body = Bytes::from(text);
        let limit = self.registry.max_payload();
        if body.len() > limit {
            self.refuse(reply, &too_large(body.len(), limit)).await;
            return;
        }
        let mut headers = HeaderMap::new();
        for warning in warnings {
            headers.append(WARNING, one_line(warning));
        }
        let sent = if headers.is_empty() {
            self.client.publish(reply, body).await
        } else {
            self.client.publish_with_headers(reply, headers, body).await
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "answering a request");
        }
    }

    async fn refuse(&self, reply: Subject, error: &Error) {
        let mut headers = HeaderMap::new();
        headers.insert(SERVICE_ERROR_CODE, error.code().to_string());
        headers.insert(SERVICE_ERROR, one_line(&error.to_string()));
        let body = Bytes::from(error.to_status().to_string());
        if let Err(error) = self.client.publish_with_headers(reply, headers, body).await {
            tracing::debug!(%error, "refusing a request");
        }
    }

    async fn stream<T: Send + 'static>(
        &self,
        reply: Subject,
        stream: tokio::sync::mpsc::Receiver<T>,
        encode: impl Fn(T) -> Bytes + Send + 'static,
    ) {
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            let message = format!("{STREAMS_AT_ONCE} streams are open on this coordinator");
            self.refuse(reply, &Error::TooManyRequests { message, retry_after_seconds: 1 }).await;
            return;
        };
        let client = self.client.clone();
        self.tasks.spawn(async move {
            pump(client, reply, stream, encode).await;
            drop(place);
        });
    }
}

/// A list that does not fit into one message: the client is told what to do about it.
fn too_large(bytes: usize, limit: usize) -> Error {
    Error::BadRequest(format!(
        "the answer has {bytes} bytes and a NATS message at most {limit}: ask for fewer objects with the \
         header `limit`, or narrow them with `labelSelector`"
    ))
}

/// Headers hold one line.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}
