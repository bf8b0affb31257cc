//! A foreign client of the API over HTTP: requests as bytes on a connection, answers as they come.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A request is answered within this time, or something is broken.
const ANSWER: Duration = Duration::from_secs(20);

/// Where the API is.
#[derive(Clone, Debug)]
pub struct Http {
    /// `127.0.0.1:PORT`.
    pub address: String,
}

/// An answer that has come whole.
#[derive(Clone, Debug)]
pub struct HttpReply {
    /// The code.
    pub code: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The bytes.
    pub bytes: Bytes,
}

impl HttpReply {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// The object of an answer with this code.
    ///
    /// # Panics
    ///
    /// When it has another.
    #[must_use]
    pub fn object(&self, code: u16) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.code, code, "{text}");
        self.body()
    }

    /// The `Status` of an error, after a look at its form: code and body agree.
    ///
    /// # Panics
    ///
    /// When it is no error of this code, or not in form.
    #[must_use]
    pub fn refused(&self, code: u16) -> Value {
        let status = self.object(code);
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(status["kind"], "Status", "{status}");
        assert_eq!(status["apiVersion"], "v1", "{status}");
        assert_eq!(status["status"], "Failure", "{status}");
        assert_eq!(status["code"], code, "{status}");
        assert!(status["message"].as_str().is_some_and(|text| !text.is_empty()), "{status}");
        status
    }

    /// All values of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    }
}

impl Http {
    async fn connection(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(&self.address).await.expect("the API listens");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP is spoken");
        // It ends with the answer, or when the answer is dropped.
        tokio::spawn(async move { drop(connection.await) });
        sender
    }

    async fn start(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (SendRequest<Full<Bytes>>, Response<Incoming>) {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", &self.address);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("the test's request is one");
        let mut connection = self.connection().await;
        let answer = timeout(ANSWER, connection.send_request(request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} {path} is not answered"));
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        (connection, answer)
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpReply {
        let (_connection, answer) = self.start(method, path, headers, body.into()).await;
        let (head, body) = answer.into_parts();
        let body = timeout(ANSWER, body.collect()).await;
        let body = body.unwrap_or_else(|_| panic!("{method} {path}: the answer has no end"));
        let bytes = body.expect("the answer comes whole").to_bytes();
        HttpReply { code: head.status.as_u16(), headers: head.headers, bytes }
    }

    /// Gets an object.
    pub async fn get(&self, path: &str) -> HttpReply {
        self.send("GET", path, &[], "").await
    }

    /// Sends JSON.
    pub async fn json(&self, method: &str, path: &str, body: &Value) -> HttpReply {
        let headers = [("content-type", "application/json")];
        self.send(method, path, &headers, body.to_string()).await
    }

    /// Opens a stream: a watch, or a log.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub async fn open(&self, path: &str, headers: &[(&str, &str)]) -> HttpStream {
        let (connection, answer) = self.start("GET", path, headers, Bytes::new()).await;
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        HttpStream { body: answer.into_body(), buffer: Vec::new(), _connection: connection }
    }
}

/// An answer that comes line by line.
#[derive(Debug)]
pub struct HttpStream {
    body: Incoming,
    buffer: Vec<u8>,
    _connection: SendRequest<Full<Bytes>>,
}

impl HttpStream {
    /// The next line; `None` at the end.
    ///
    /// # Panics
    ///
    /// When nothing comes within `limit`.
    pub async fn line(&mut self, limit: Duration) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let frame = timeout(limit, self.body.frame()).await.expect("the stream goes on");
            let Some(frame) = frame else {
                let rest = std::mem::take(&mut self.buffer);
                return (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned());
            };
            let frame = frame.expect("the stream is not broken off");
            if let Some(bytes) = frame.data_ref() {
                self.buffer.extend_from_slice(bytes);
            }
        }
    }

    /// The next event of a watch: its type and object.
    ///
    /// # Panics
    ///
    /// When the watch ends, or nothing comes.
    pub async fn event(&mut self) -> (String, Value) {
        let line = self.line(Duration::from_secs(60)).await.expect("a watch goes on");
        let event: Value = serde_json::from_str(&line).expect("an event is JSON");
        (event["type"].as_str().unwrap_or_default().to_owned(), event["object"].clone())
    }
}
