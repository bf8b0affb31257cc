//! The service: one endpoint for all subjects, each request in a task of its own.

use std::sync::Arc;

use async_nats::service::{Service, ServiceExt as _};
use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;
use stint_common::names::{SERVICE_ERROR, SERVICE_ERROR_CODE, WARNING};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::request::{Target, header, options, target};
use super::stream::pump;
use crate::registry::error::{JOBS, PODS, Resource};
use crate::registry::{Answer, Error, LogStream, Options, Registry, WatchStream};

/// Requests that are worked on at once; more wait in the subscription.
const AT_ONCE: usize = 512;
/// Watches and followed logs that are open at once; more are refused (429).
const STREAMS_AT_ONCE: usize = 4096;

/// Why the service could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the NATS service")]
pub struct ServiceError(#[source] async_nats::Error);

/// What a request is answered with.
enum Reply {
    Object(Answer),
    Watch(WatchStream),
    Log(LogStream),
}

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
        .metadata(
            [("subjects".to_owned(), format!("{root}.<namespace>.<resource>.<verb>[.<name>]"))]
                .into(),
        )
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
            Ok(Reply::Object(answer)) => self.send(reply, answer).await,
            Ok(Reply::Watch(stream)) => {
                self.stream(reply, stream, |event| event.to_string().into()).await
            }
            Ok(Reply::Log(stream)) => self.stream(reply, stream, |chunk| chunk).await,
            Err(error) => self.refuse(reply, &error).await,
        }
    }

    async fn handle(&self, message: &Message) -> Result<Reply, Error> {
        let target = target(&self.registry.names(), &message.subject)?;
        let headers = message.headers.as_ref();
        let options = body_options(&target, &message.payload, options(headers)?)?;
        let content_type = header(headers, "Content-Type");
        match target.resource.as_str() {
            "jobs" | "jobs/status" => {
                self.jobs(&target, message, content_type.as_deref(), options).await
            }
            "pods" => self.pods(&target, options).await,
            "pods/log" => match target.verb.as_str() {
                "get" => {
                    let (namespace, name) = (target.one_namespace()?, target.one_name()?);
                    Ok(Reply::Log(self.registry.open_log(namespace, name, &options).await?))
                }
                _ => Err(not_allowed(PODS, &target)),
            },
            _ => Err(Error::NoSuchResource),
        }
    }

    async fn jobs(
        &self,
        target: &Target,
        message: &Message,
        content_type: Option<&str>,
        options: Options,
    ) -> Result<Reply, Error> {
        let registry = &self.registry;
        let body = &message.payload[..];
        let status_only = target.resource == "jobs/status";
        let answer = match target.verb.as_str() {
            "get" => {
                let (namespace, name) = (target.one_namespace()?, target.one_name()?);
                plain(registry.get_job(namespace, name).await?)
            }
            "update" if status_only => {
                let (namespace, name) = (target.one_namespace()?, target.one_name()?);
                registry.update_job_status(namespace, name, body, content_type, &options).await?
            }
            "patch" if status_only => {
                let (namespace, name) = (target.one_namespace()?, target.one_name()?);
                registry.patch_job_status(namespace, name, body, content_type, &options).await?
            }
            _ if status_only => return Err(not_allowed(JOBS, target)),
            "create" => {
                registry.create_job(target.one_namespace()?, body, content_type, &options).await?
            }
            "list" => plain(registry.list_jobs(target.namespace.as_deref(), &options).await?),
            "watch" => {
                return Ok(Reply::Watch(
                    registry.watch_jobs(target.namespace.as_deref(), options).await?,
                ));
            }
            "update" => {
                let (namespace, name) = (target.one_namespace()?, target.one_name()?);
                registry.update_job(namespace, name, body, content_type, &options).await?
            }
            "patch" => {
                let (namespace, name) = (target.one_namespace()?, target.one_name()?);
                registry.patch_job(namespace, name, body, content_type, &options).await?
            }
            "delete" => {
                let (namespace, name) = (target.one_namespace()?, target.one_name()?);
                registry.delete_job(namespace, name, &options).await?
            }
            "deletecollection" => registry.delete_jobs(target.one_namespace()?, &options).await?,
            _ => return Err(not_allowed(JOBS, target)),
        };
        Ok(Reply::Object(answer))
    }

    async fn pods(&self, target: &Target, options: Options) -> Result<Reply, Error> {
        let registry = &self.registry;
        let answer = match target.verb.as_str() {
            "get" => plain(registry.get_pod(target.one_namespace()?, target.one_name()?).await?),
            "list" => plain(registry.list_pods(target.namespace.as_deref(), &options).await?),
            "watch" => {
                return Ok(Reply::Watch(
                    registry.watch_pods(target.namespace.as_deref(), options).await?,
                ));
            }
            "delete" => {
                registry.delete_pod(target.one_namespace()?, target.one_name()?, &options).await?
            }
            _ => return Err(not_allowed(PODS, target)),
        };
        Ok(Reply::Object(answer))
    }

    async fn send(&self, reply: Subject, answer: Answer) {
        let body = Bytes::from(answer.object.to_string());
        let limit = self.registry.max_payload();
        if body.len() > limit {
            self.refuse(reply, &too_large(body.len(), limit)).await;
            return;
        }
        let mut headers = HeaderMap::new();
        for warning in &answer.warnings {
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

fn plain(object: Value) -> Answer {
    Answer { object, warnings: Vec::new() }
}

fn not_allowed(resource: Resource, target: &Target) -> Error {
    Error::MethodNotAllowed { resource, verb: target.verb.clone() }
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

/// A delete may carry its options as a `DeleteOptions` body, as over HTTP; headers come first.
fn body_options(target: &Target, body: &[u8], mut options: Options) -> Result<Options, Error> {
    if target.verb == "deletecollection" {
        // Here the header is where the list begins, which is not asked for: no precondition.
        options.resource_version = None;
    }
    let deletes = ["delete", "deletecollection"].contains(&target.verb.as_str());
    if !deletes || body.iter().all(u8::is_ascii_whitespace) {
        return Ok(options);
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        Error::BadRequest(format!("the body of a delete must be DeleteOptions: {error}"))
    })?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let from_body = Options::read(|name| match name {
        "uid" | "resourceVersion" => text(&body["preconditions"][name]),
        "dryRun" => text(&body["dryRun"][0]),
        name => text(&body[name]),
    })?;
    options.propagation = options.propagation.or(from_body.propagation);
    options.grace_seconds = options.grace_seconds.or(from_body.grace_seconds);
    options.uid = options.uid.or(from_body.uid);
    options.resource_version = options.resource_version.or(from_body.resource_version);
    options.dry_run |= from_body.dry_run;
    Ok(options)
}
