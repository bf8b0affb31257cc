//! Where Prometheus reads what this worker counts: `GET /metrics`, and nothing else.
//!
//! Nothing can be changed here, and no credentials are asked for: it is for an address that only
//! those reach who may know how busy the worker is.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use stint_common::{metrics, task};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// How long a client may take to say what it wants, and a connection may last.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to accept when the machine has no room for one more connection.
const PAUSE: Duration = Duration::from_millis(100);

/// An address that was taken.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes an address; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// When somebody else has it, or it is not this machine's.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers until `shutdown`.
pub async fn serve(listener: Listener, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(task::spawn(async move {
                converse(stream).await;
                drop(place);
            })),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection for metrics");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream) {
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request))));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics ended badly"),
        Err(_) => tracing::debug!("a connection for metrics lasted too long"),
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let text = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => metrics::render(),
        _ => None,
    };
    let found = text.is_some();
    let mut response = Response::new(Full::from(text.unwrap_or_default()));
    if !found {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
