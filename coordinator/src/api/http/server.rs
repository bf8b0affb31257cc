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
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::front::Front;
use super::patient::Patient;
use super::tls::{Peer, Tls};
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

/// Where the API is offered, how, and to whom.
#[derive(Debug)]
pub struct Offer {
    /// Where.
    pub listener: Listener,
    /// Whether over TLS.
    pub tls: Option<Tls>,
    /// To whom.
    pub access: Access,
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
pub async fn serve(registry: Arc<Registry>, offer: Offer, shutdown: CancellationToken) {
    let Offer { listener, tls, access } = offer;
    let front = Arc::new(Front::new(registry, access, shutdown.clone()));
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
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "an HTTP connection without TCP_NODELAY");
        }
        let stream = Patient::new(stream);
        let (front, watcher, tls) = (Arc::clone(&front), graceful.watcher(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => converse(front, stream, None, watcher).await,
                Some(tls) => match tokio::time::timeout(HEAD, tls.accept(stream)).await {
                    Ok(Ok((stream, peer))) => converse(front, stream, peer, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(LAST, graceful.shutdown()).await.is_err() {
        tracing::warn!("HTTP requests were still under way at the end");
    }
}

/// Answers what comes over one connection.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    front: Arc<Front>,
    stream: S,
    peer: Option<Peer>,
    watcher: Watcher,
) {
    let service = service_fn(move |request| {
        let (front, peer) = (Arc::clone(&front), peer.clone());
        async move { Ok::<_, Infallible>(front.answer(request, peer.as_ref()).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}
