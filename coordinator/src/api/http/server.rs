//! Connections: accepted while there is room, answered, ended in order.
//!
//! A client that does not send is cut off after a while, and so is one that does not take what is
//! sent to it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::front::Front;
use super::patient::Patient;
use crate::registry::Registry;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 8192;
/// How long a client may take to say what it wants.
const HEAD: Duration = Duration::from_secs(30);
/// How long requests under way have at the end.
const LAST: Duration = Duration::from_secs(5);
/// Between two attempts to accept, when the machine has no room for one more connection: nothing
/// tells when it has.
const PAUSE: Duration = Duration::from_millis(50);

/// A place where the API can be asked.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Nobody can be listened to there.
#[derive(Debug, thiserror::Error)]
#[error("listening for HTTP on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

impl Listener {
    /// Takes an address; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// When somebody else has it, or it is not this machine's.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let refused = |source| BindError { address, source };
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self { socket, address })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves until `shutdown`; requests under way are answered, streams end.
pub async fn serve(registry: Arc<Registry>, listener: Listener, shutdown: CancellationToken) {
    let front = Arc::new(Front::new(registry, shutdown.clone()));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.socket.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting an HTTP connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let connection = connection(Arc::clone(&front), stream, &graceful);
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(LAST, graceful.shutdown()).await.is_err() {
        tracing::warn!("HTTP requests were still under way at the end");
    }
}

fn connection(
    front: Arc<Front>,
    stream: TcpStream,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "an HTTP connection without TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD));
    let connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
    let connection = graceful.watch(connection.into_owned());
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended badly");
        }
    }
}
