//! Submits a Job over NATS, follows it to its end, and prints what its pods wrote. Needs the crates
//! `async-nats`, `futures-util`, `serde_json`, `tokio` and `anyhow`, and nothing of Stint's.
//!
//!     NATS_URL=nats://127.0.0.1:4222 cargo run -p stint-tests --bin submit [NAME [NAMESPACE]]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

/// A stream says something every five seconds.
const SILENCE: Duration = Duration::from_secs(20);

struct Stint {
    client: Client,
    namespace: String,
}

/// An error is a Status, and its code is in a header.
fn failure(answer: &Message) -> anyhow::Result<Option<(u16, String)>> {
    let code = answer.headers.as_ref().and_then(|all| all.get("Nats-Service-Error-Code"));
    let Some(code) = code else { return Ok(None) };
    let status: Value = serde_json::from_slice(&answer.payload)?;
    let message = status["message"].as_str().unwrap_or_default();
    Ok(Some((code.as_str().parse()?, message.to_owned())))
}

fn has(message: &Message, header: &str) -> bool {
    message.headers.as_ref().is_some_and(|all| all.get(header).is_some())
}

impl Stint {
    fn subject(&self, what: &str) -> String {
        format!("stint.v1.{}.{what}", self.namespace)
    }

    async fn ask(&self, what: &str, body: String, headers: HeaderMap) -> anyhow::Result<Message> {
        let asked = self.client.request_with_headers(self.subject(what), headers, body.into());
        Ok(asked.await?)
    }

    /// Begins a watch or a log.
    async fn stream(&self, what: &str, headers: HeaderMap) -> anyhow::Result<Subscriber> {
        let inbox = self.client.new_inbox();
        let messages = self.client.subscribe(inbox.clone()).await?;
        let subject = self.subject(what);
        self.client.publish_with_reply_and_headers(subject, inbox, headers, "".into()).await?;
        Ok(messages)
    }

    /// Watches the Job until it is Complete or has Failed, whatever becomes of single watches.
    async fn outcome(&self, name: &str) -> String {
        loop {
            match self.watch(name).await {
                Ok(Some(end)) => return end,
                Ok(None) => {}
                Err(error) => {
                    eprintln!("the watch begins again: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn watch(&self, name: &str) -> anyhow::Result<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert("fieldSelector", format!("metadata.name={name}"));
        let mut messages = self.stream("jobs.watch", headers).await?;
        while let Some(data) = next(&mut messages).await? {
            let event: Value = serde_json::from_slice(&data.payload)?;
            let status = &event["object"]["status"];
            let count = |key: &str| status[key].as_i64().unwrap_or(0);
            let [active, succeeded, failed] = ["active", "succeeded", "failed"].map(count);
            println!("{} {active} active, {succeeded} succeeded, {failed} failed", event["type"]);
            if event["type"] == "DELETED" {
                return Ok(Some("Deleted".to_owned()));
            }
            for condition in status["conditions"].as_array().into_iter().flatten() {
                let over = condition["type"] == "Complete" || condition["type"] == "Failed";
                if over && condition["status"] == "True" {
                    return Ok(condition["type"].as_str().map(str::to_owned));
                }
            }
        }
        Ok(None)
    }
}

/// The next message of a stream that is not a heartbeat; none at its end.
async fn next(messages: &mut Subscriber) -> anyhow::Result<Option<Message>> {
    loop {
        let heard =
            timeout(SILENCE, messages.next()).await.context("nothing was heard for 20 s")?;
        let message = heard.context("the connection is closed")?;
        if let Some((code, message)) = failure(&message)? {
            bail!("{code}: {message}");
        }
        if has(&message, "Stint-End") {
            return Ok(None);
        }
        if !has(&message, "Stint-Heartbeat") {
            return Ok(Some(message));
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "from-rust".to_owned());
    let namespace = arguments.next().unwrap_or_else(|| "default".to_owned());
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let stint = Stint { client: async_nats::connect(url).await?, namespace };
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "completionMode": "Indexed",
            "completions": 3,
            "parallelism": 3,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{
                "name": "main",
                "image": "host",
                "command": ["sh", "-c", "echo index $JOB_COMPLETION_INDEX of Rust"],
            }]}},
        },
    });
    let answer = stint.ask("jobs.create", job.to_string(), HeaderMap::new()).await?;
    // A name is given once. So who asked, and heard no answer, may just ask again.
    if let Some((code, message)) = failure(&answer)?.filter(|(code, _)| *code != 409) {
        bail!("{code}: {message}");
    }
    let end = stint.outcome(&name).await;
    let mut headers = HeaderMap::new();
    headers.insert("labelSelector", format!("job-name={name}"));
    let answer = stint.ask("pods.list", String::new(), headers).await?;
    let pods: Value = serde_json::from_slice(&answer.payload)?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
        let mut pieces = stint.stream(&format!("pods/log.get.{name}"), HeaderMap::new()).await?;
        while let Some(piece) = next(&mut pieces).await? {
            std::io::stdout().write_all(&piece.payload)?;
        }
    }
    println!("{end}");
    Ok(if end == "Complete" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
