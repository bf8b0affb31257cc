//! What nats-server's monitoring port says of JetStream: the one place that tells its settings.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The port answers at once, or not at all.
const LIMIT: Duration = Duration::from_secs(5);
/// No answer is longer.
const MOST: u64 = 1 << 20;

/// `/jsz?config=true`.
pub(super) async fn read(url: &str) -> Result<Value, String> {
    let asked = tokio::time::timeout(LIMIT, ask(url)).await;
    asked.map_err(|_| format!("no answer within {} s", LIMIT.as_secs()))?
}

async fn ask(url: &str) -> Result<Value, String> {
    let host = url.strip_prefix("http://").ok_or("write http://HOST:PORT")?.trim_end_matches('/');
    let mut stream = TcpStream::connect(host).await.map_err(|error| error.to_string())?;
    // One answer and an end: all that is needed of HTTP is in version 1.0.
    let request = format!("GET /jsz?config=true HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        return Err(status.to_owned());
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}
