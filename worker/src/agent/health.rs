//! Probes over gRPC, as the kubelet makes them: one call of `grpc.health.v1.Health/Check` on a
//! connection of its own, without TLS.
//!
//! The two messages have a field each, so they are written and read by hand.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use http::{Request, Version};
use tokio::net::TcpStream;

use super::probing::AGENT;
use crate::launch::{Endpoint, HealthCheck};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// The answer's one value that is good.
const SERVING: u64 = 1;
/// What stands before a message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;
/// Answers have a few bytes.
const MOST_BYTES: usize = 4096;

/// Asks for the health of a service; the error says what was wrong with the answer.
pub(super) async fn check(wanted: &HealthCheck) -> Result<(), String> {
    let Endpoint { host, port } = &wanted.endpoint;
    let stream = TcpStream::connect((host.as_str(), *port)).await;
    let stream = stream.map_err(|error| format!("connecting to {host}:{port}: {error}"))?;
    let (client, connection) = h2::client::handshake(stream).await.map_err(|it| it.to_string())?;
    tokio::select! {
        biased;
        answer = ask(client, wanted) => answer,
        ended = connection => match ended {
            Ok(()) => Err("the connection ended without an answer".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    }
}

async fn ask(client: SendRequest<Bytes>, wanted: &HealthCheck) -> Result<(), String> {
    let text = |error: h2::Error| error.to_string();
    let Endpoint { host, port } = &wanted.endpoint;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let request = Request::post(format!("http://{host}:{port}{METHOD}"))
        .version(Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(())
        .map_err(|error| error.to_string())?;
    let mut client = client.ready().await.map_err(text)?;
    let (answer, mut body) = client.send_request(request, false).map_err(text)?;
    body.send_data(question(&wanted.service)?, true).map_err(text)?;
    let answer = answer.await.map_err(text)?;
    if !answer.status().is_success() {
        return Err(format!("it is no gRPC server: HTTP status {}", answer.status().as_u16()));
    }
    failed(answer.headers())?;
    let mut body = answer.into_body();
    let bytes = read(&mut body).await?;
    let trailers = body.trailers().await.map_err(text)?;
    trailers.as_ref().map_or(Ok(()), failed)?;
    match status(&bytes) {
        Some(SERVING) => Ok(()),
        Some(other) => Err(format!("service unhealthy (responded with {other})")),
        None => Err("the answer cannot be read".to_owned()),
    }
}

/// Whether the call itself went wrong.
fn failed(headers: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some(code) => {
            let message = text("grpc-message").unwrap_or_default();
            Err(format!("error: health rpc probe failed: code {code} {message}"))
        }
    }
}

/// `HealthCheckRequest { string service = 1 }`, framed.
fn question(service: &str) -> Result<Bytes, String> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(low_bits(length) | 0x80);
            length >>= 7;
        }
        message.push(low_bits(length));
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).map_err(|error| error.to_string())?;
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.append(&mut message);
    Ok(Bytes::from(framed))
}

fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7F).unwrap_or_default()
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|error| error.to_string())?;
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err("the answer is too long".to_owned());
        }
        // All that is let in fits the first window.
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// `status` of `HealthCheckResponse { ServingStatus status = 1 }`; 0, unknown, where it says none.
fn status(framed: &[u8]) -> Option<u64> {
    let (prefix, mut message) = framed.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    if prefix[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let key = number(&mut message)?;
        match key & 7 {
            0 => {
                let value = number(&mut message)?;
                status = if key >> 3 == 1 { value } else { status };
            }
            2 => {
                let length = usize::try_from(number(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

/// A number of seven bits a byte, the low ones first.
fn number(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio::net::TcpListener;

    use super::*;

    /// A server whose services are called what they answer.
    async fn server() -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        assert_eq!(request.uri().path(), METHOD);
                        let asked = read(&mut request.into_body()).await.unwrap();
                        let asked = String::from_utf8_lossy(&asked[PREFIX..]).into_owned();
                        let mut trailers = HeaderMap::new();
                        let code = if asked.contains("gone") { "5" } else { "0" };
                        trailers.insert("grpc-status", code.parse().unwrap());
                        let answer = Response::new(());
                        let mut body = respond.send_response(answer, false).unwrap();
                        let message = match asked.as_str() {
                            it if it.contains("gone") => Bytes::new(),
                            it if it.contains("ill") => Bytes::from(vec![0, 0, 0, 0, 2, 8, 2]),
                            it if it.contains("odd") => Bytes::from_static(b"what"),
                            _ => Bytes::from(vec![0, 0, 0, 0, 2, 8, 1]),
                        };
                        body.send_data(message, false).unwrap();
                        body.send_trailers(trailers).unwrap();
                    });
                }
            }
        });
        Endpoint { host: "127.0.0.1".to_owned(), port }
    }

    #[tokio::test]
    async fn only_who_serves_is_healthy() {
        let endpoint = server().await;
        let of =
            |service: &str| HealthCheck { endpoint: endpoint.clone(), service: service.to_owned() };
        assert_eq!(check(&of("")).await, Ok(()));
        assert_eq!(check(&of(&"long".repeat(50))).await, Ok(()));
        for (service, why) in [
            ("ill", "service unhealthy (responded with 2)"),
            ("gone", "code 5"),
            ("odd", "cannot be read"),
        ] {
            let answer = check(&of(service)).await.unwrap_err();
            assert!(answer.contains(why), "{service}: {answer}");
        }
    }

    #[tokio::test]
    async fn whatever_else_listens_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wanted = HealthCheck {
            endpoint: Endpoint { host: "127.0.0.1".to_owned(), port },
            service: String::new(),
        };
        let (answer, ()) = tokio::join!(check(&wanted), async {
            drop(listener.accept().await);
            drop(listener);
        });
        assert!(answer.is_err());
        assert!(check(&wanted).await.unwrap_err().contains("connecting to"));
    }
}
