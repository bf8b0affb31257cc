//! A foreign client: asks the service over NATS, as any client in any language would.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::wait::until;

/// A request is answered within this time, or something is broken.
const ANSWER: Duration = Duration::from_secs(10);
/// A Job of a test ends within this time.
const END: Duration = Duration::from_secs(60);

/// The API as seen from one namespace.
#[derive(Clone, Debug)]
pub struct Api {
    /// The connection.
    pub client: Client,
    /// The namespace of every request.
    pub namespace: String,
}

/// An answer: an object, or a `Status` with the service's error headers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// `Nats-Service-Error-Code`, if it is an error.
    pub code: Option<u16>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
}

impl Reply {
    /// The object.
    ///
    /// # Panics
    ///
    /// When the answer is an error.
    pub fn object(self) -> Value {
        assert!(self.code.is_none(), "refused: {}", self.body);
        self.body
    }

    /// The `Status` of an error, after a look at its form: code, headers, body agree.
    ///
    /// # Panics
    ///
    /// When it is no error of this code, or not in form.
    pub fn refused(self, code: u16) -> Value {
        assert_eq!(self.code, Some(code), "{}", self.body);
        assert_eq!(self.body["kind"], "Status", "{}", self.body);
        assert_eq!(self.body["apiVersion"], "v1", "{}", self.body);
        assert_eq!(self.body["status"], "Failure", "{}", self.body);
        assert_eq!(self.body["code"], code, "{}", self.body);
        let text = self.headers.get("Nats-Service-Error").expect("an error has its text");
        assert!(!text.as_str().is_empty());
        self.body
    }
}

impl Api {
    /// The same connection, another namespace.
    #[must_use]
    pub fn elsewhere(&self, namespace: &str) -> Self {
        Self { client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// Sends a request: `what` is `jobs.create`, `pods/log.get.NAME`…
    ///
    /// # Panics
    ///
    /// When no answer comes.
    pub async fn send(
        &self,
        what: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let subject = format!("stint.v1.{}.{what}", self.namespace);
        let message = self.raw(subject.clone(), headers, body.into()).await;
        let message = message.unwrap_or_else(|error| panic!("asking {subject}: {error}"));
        read(&message)
    }

    /// Sends to any subject; the client library's error when nobody answers.
    ///
    /// # Errors
    ///
    /// When nobody answers.
    pub async fn raw(
        &self,
        subject: String,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Message, async_nats::Error> {
        let answer = self.client.request_with_headers(subject, header_map(headers), body);
        Ok(timeout(ANSWER, answer).await??)
    }

    /// Creates a Job.
    pub async fn create(&self, manifest: &Value) -> Value {
        self.send("jobs.create", &[], manifest.to_string()).await.object()
    }

    /// A Job as it stands.
    pub async fn job(&self, name: &str) -> Value {
        self.send(&format!("jobs.get.{name}"), &[], "").await.object()
    }

    /// Merges a patch into a Job.
    pub async fn patch(&self, name: &str, patch: &Value) -> Value {
        self.send(&format!("jobs.patch.{name}"), &[], patch.to_string()).await.object()
    }

    /// Pods of a Job.
    pub async fn pods(&self, job: &str) -> Vec<Value> {
        let selector = format!("batch.kubernetes.io/job-name={job}");
        let list = self.send("pods.list", &[("labelSelector", &selector)], "").await.object();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until a Job is as `look` wants it.
    ///
    /// # Panics
    ///
    /// When it never is.
    pub async fn until_job(&self, name: &str, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{name}: {what}"), END, || async {
            let job = self.job(name).await;
            look(&job).then_some(job)
        })
        .await
    }

    /// A Job as it stands, if anybody answers just now.
    pub async fn try_job(&self, name: &str) -> Option<Value> {
        let subject = format!("stint.v1.{}.jobs.get.{name}", self.namespace);
        let answer = read(&self.raw(subject, &[], Bytes::new()).await.ok()?);
        answer.code.is_none().then_some(answer.body)
    }

    /// Waits until a Job has ended, however often nobody answers meanwhile.
    ///
    /// # Panics
    ///
    /// When it has not after `limit`.
    pub async fn ended_at_last(&self, name: &str, limit: Duration) -> (String, Value) {
        let job = until(&format!("{name} ends"), limit, || async {
            self.try_job(name).await.filter(|job| terminal(job).is_some())
        })
        .await;
        (terminal(&job).unwrap_or_default().to_owned(), job)
    }

    /// Waits until a Job has ended, and says how: `Complete` or `Failed`.
    pub async fn ended(&self, name: &str) -> (String, Value) {
        let job = self.until_job(name, "its end", |job| terminal(job).is_some()).await;
        (terminal(&job).unwrap_or_default().to_owned(), job)
    }

    /// Creates a Job and waits until it is complete.
    ///
    /// # Panics
    ///
    /// When it fails instead.
    pub async fn complete(&self, manifest: &Value) -> Value {
        self.create(manifest).await;
        let name = manifest["metadata"]["name"].as_str().expect("a test's Job has a name");
        let (end, job) = self.ended(name).await;
        assert_eq!(end, "Complete", "{job}");
        job
    }

    /// Creates a Job and waits until it has failed; the `Failed` condition's reason with it.
    ///
    /// # Panics
    ///
    /// When it completes instead.
    pub async fn failed(&self, manifest: &Value) -> (String, Value) {
        self.create(manifest).await;
        let name = manifest["metadata"]["name"].as_str().expect("a test's Job has a name");
        let (end, job) = self.ended(name).await;
        assert_eq!(end, "Failed", "{job}");
        let reason = condition(&job, "Failed").map(|found| found["reason"].clone());
        (reason.and_then(|reason| reason.as_str().map(str::to_owned)).unwrap_or_default(), job)
    }

    /// Opens a stream: a watch, or a log.
    ///
    /// # Panics
    ///
    /// When the connection is gone.
    pub async fn open(&self, what: &str, headers: &[(&str, &str)]) -> Streamed {
        let inbox = self.client.new_inbox();
        let subject = format!("stint.v1.{}.{what}", self.namespace);
        let messages = self.client.subscribe(inbox.clone()).await.expect("can subscribe");
        let asked = self.client.publish_with_reply_and_headers(
            subject,
            inbox,
            header_map(headers),
            Bytes::new(),
        );
        asked.await.expect("can publish");
        Streamed { messages, first: None }
    }

    /// The whole log of a pod's container.
    pub async fn log(&self, pod: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut stream = self.open(&format!("pods/log.get.{pod}"), headers).await;
        let mut text = Vec::new();
        while let Some(chunk) = stream.next(END).await {
            text.extend_from_slice(&chunk);
        }
        text
    }
}

/// Answers that come one after the other.
#[derive(Debug)]
pub struct Streamed {
    messages: Subscriber,
    /// Looked at, and not taken yet.
    first: Option<Message>,
}

impl Streamed {
    /// The next answer, heartbeats left out; `None` at the stream's end.
    ///
    /// # Panics
    ///
    /// When nothing comes within `limit`, or an error does.
    pub async fn next(&mut self, limit: Duration) -> Option<Bytes> {
        loop {
            let message = match self.first.take() {
                Some(first) => first,
                None => {
                    let next = timeout(limit, self.messages.next()).await;
                    next.expect("the stream goes on").expect("the connection stands")
                }
            };
            let reply_code = read_code(&message);
            assert!(reply_code.is_none(), "{}", String::from_utf8_lossy(&message.payload));
            let header =
                |name: &str| message.headers.as_ref().is_some_and(|h| h.get(name).is_some());
            if header("Stint-End") {
                return None;
            }
            if !header("Stint-Heartbeat") {
                return Some(message.payload);
            }
        }
    }

    /// Whether a watch begins, or is told that its revision is too old (410): a coordinator that
    /// began to look later may say so.
    ///
    /// # Panics
    ///
    /// When nothing comes.
    pub async fn is_too_old(&mut self) -> bool {
        let first = timeout(END, self.messages.next()).await;
        let first = first.expect("a watch begins").expect("the connection stands");
        let too_old = read_code(&first) == Some(410);
        self.first = Some(first);
        too_old
    }

    /// The next event of a watch: its type and object.
    ///
    /// # Panics
    ///
    /// When the watch ends, or nothing comes.
    pub async fn event(&mut self) -> (String, Value) {
        let bytes = self.next(END).await.expect("a watch goes on");
        let event: Value = serde_json::from_slice(&bytes).expect("an event is JSON");
        (event["type"].as_str().unwrap_or_default().to_owned(), event["object"].clone())
    }
}

/// The type of a Job's terminal condition.
#[must_use]
pub fn terminal(job: &Value) -> Option<&str> {
    ["Complete", "Failed"].into_iter().find(|kind| condition(job, kind).is_some())
}

/// A condition that is true.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|found| found["type"] == kind && found["status"] == "True")
}

/// A Job's counters: active, succeeded, failed.
#[must_use]
pub fn counters(job: &Value) -> (u64, u64, u64) {
    let count = |name: &str| job["status"][name].as_u64().unwrap_or(0);
    (count("active"), count("succeeded"), count("failed"))
}

/// An object's name.
#[must_use]
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// What a message of the service is.
#[must_use]
pub fn read(message: &Message) -> Reply {
    let body = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
    let headers = message.headers.clone().unwrap_or_default();
    Reply { code: read_code(message), headers, body }
}

fn read_code(message: &Message) -> Option<u16> {
    let headers = message.headers.as_ref()?;
    headers.get("Nats-Service-Error-Code").and_then(|code| code.as_str().parse().ok())
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    map
}
