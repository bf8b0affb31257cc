//! List, then changes. A stream that is lost is taken up where it stopped; a version that is too
//! old leads to a new list.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::{Call, Client, Error, Frame, PAGE, Stream};

/// How long a watch goes on trying while no coordinator answers; one that fails over needs 5 s.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// The HTTP code of a version that is too old to go on from.
const GONE: u16 = 410;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An object is new, or new in what is watched.
    Added(Value),
    /// An object changed.
    Modified(Value),
    /// An object is gone, or no longer in what is watched.
    Deleted(Value),
    /// Too much was missed: this is everything there is now.
    Relisted(Vec<Value>),
}

/// Changes to what a list showed.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    list: Call,
    version: String,
    stream: Option<Stream>,
    silent_since: Option<Instant>,
}

impl Watch {
    pub(super) async fn start(client: Client, list: Call) -> Result<(Vec<Value>, Self), Error> {
        let (items, version) = list_all(&client, &list).await?;
        let watch = Self { client, list, version, stream: None, silent_since: None };
        Ok((items, watch))
    }

    /// Waits for the next change. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    ///
    /// When the server refuses, or no coordinator answers for minutes.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            match self.try_next().await {
                Ok(Some(event)) => {
                    self.silent_since = None;
                    return Ok(event);
                }
                // A bookmark, or the end of a stream that had a time limit.
                Ok(None) => self.silent_since = None,
                Err(error) if error.code() == Some(GONE) => return self.relist().await,
                Err(error) if error.is_transient() && self.is_patient() => {
                    self.stream = None;
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<Event>, Error> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let call = self.list.clone().verb("watch").option("resourceVersion", &self.version);
                none.insert(self.client.stream(&call.option("allowWatchBookmarks", true)).await?)
            }
        };
        match stream.next().await? {
            Frame::Body(body) => self.take_in(&body),
            Frame::End(reason) => {
                tracing::debug!(reason, "a watch ended: going on");
                self.stream = None;
                Ok(None)
            }
        }
    }

    fn take_in(&mut self, body: &[u8]) -> Result<Option<Event>, Error> {
        let malformed = |source| Error::Malformed { call: self.list.to_string(), source };
        let mut event: Value = serde_json::from_slice(body).map_err(malformed)?;
        let object = event["object"].take();
        if event["type"] == "ERROR" {
            let status = super::Status::read(object.to_string().as_bytes(), "", "");
            return Err(Error::Refused { call: self.list.to_string(), status: Box::new(status) });
        }
        if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
            version.clone_into(&mut self.version);
        }
        Ok(match event["type"].as_str() {
            Some("ADDED") => Some(Event::Added(object)),
            Some("MODIFIED") => Some(Event::Modified(object)),
            Some("DELETED") => Some(Event::Deleted(object)),
            _ => None,
        })
    }

    async fn relist(&mut self) -> Result<Event, Error> {
        self.stream = None;
        let (items, version) = list_all(&self.client, &self.list).await?;
        self.version = version;
        Ok(Event::Relisted(items))
    }

    fn is_patient(&mut self) -> bool {
        self.silent_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE
    }
}

/// All pages of a list, and the version from which it is to be watched: that of the first page,
/// since what is on it may change while the others are asked for.
async fn list_all(client: &Client, list: &Call) -> Result<(Vec<Value>, String), Error> {
    let mut items = Vec::new();
    let list = list.clone().option("limit", PAGE);
    let mut call = list.clone();
    let mut first: Option<String> = None;
    loop {
        let mut page = client.request(&call).await?.object;
        if let Value::Array(more) = page["items"].take() {
            items.extend(more);
        }
        let metadata = &page["metadata"];
        let version = metadata["resourceVersion"].as_str().unwrap_or_default();
        let first = first.get_or_insert_with(|| version.to_owned());
        match metadata["continue"].as_str() {
            Some(token) if !token.is_empty() => call = list.clone().option("continue", token),
            _ => return Ok((items, std::mem::take(first))),
        }
    }
}
