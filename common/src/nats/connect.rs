//! Connecting: refuses servers that lose acknowledged data, finds out what the server can do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use tokio::time::Instant;

use super::{Jet, Reconnects};
use crate::config::{Auth, NatsConfig};

/// Older servers can lose a whole stream when they are killed (nats-server issue 6888).
pub const MINIMUM_SERVER: (u64, u64, u64) = (2, 10, 23);
/// Servers that take only smaller messages are refused: chunks of output have half of this.
pub const MINIMUM_PAYLOAD: usize = 128 << 10;
/// The first server with atomic batches (ADR-50).
const ATOMIC_BATCH_SERVER: (u64, u64, u64) = (2, 12, 0);
/// Dead TCP connections are noticed after two missed pings.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Longest pause between two attempts to reconnect; a restarted server is back within a second.
const RECONNECT_CAP: Duration = Duration::from_millis(500);
/// A server that is started at the same time listens within this.
const STARTING: Duration = Duration::from_secs(10);
/// Messages that one subscription may hold before NATS calls it slow; far above every window of
/// ours.
const SUBSCRIPTION_CAPACITY: usize = 262_144;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers, or it refuses us.
    #[error("connecting to NATS at {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Who we are cannot be said.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The server is older than [`MINIMUM_SERVER`].
    #[error(
        "nats-server {version} at {url} is too old: versions before 2.10.23 can lose a whole stream \
         when they are killed (nats-server issue 6888); run 2.10.23 or newer"
    )]
    TooOld {
        /// Where.
        url: String,
        /// What it says of itself.
        version: String,
    },
    /// The server's messages are too small.
    #[error(
        "nats-server at {url} takes messages of at most {max_payload} bytes, and {MINIMUM_PAYLOAD} \
         are needed; raise `max_payload` in its configuration"
    )]
    SmallMessages {
        /// Where.
        url: String,
        /// Its `max_payload`.
        max_payload: usize,
    },
    /// The server runs without JetStream.
    #[error(
        "nats-server at {url} runs without JetStream; start it with `-js` or a `jetstream` block"
    )]
    NoJetStream {
        /// Where.
        url: String,
    },
}

/// A file that says who we are cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("reading NATS credentials from {path}")]
pub struct CredentialsError {
    /// Which file.
    pub path: String,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// Connects, and stays connected: the connection mends itself for as long as it lives. Gives core
/// NATS beside JetStream, for a front end.
///
/// # Errors
///
/// When the first connection fails, or the server is too old or has no JetStream.
pub async fn connect(config: &NatsConfig) -> Result<(Client, Jet), ConnectError> {
    let reconnects = Reconnects::default();
    let count = reconnects.clone();
    let options = options(config)?.event_callback(move |event| {
        if matches!(event, Event::Connected) {
            count.happened();
        }
        let text = event.to_string();
        async move { tracing::debug!(event = text, "nats connection") }
    });
    let client = options
        .connect(config.servers())
        .await
        .map_err(|source| ConnectError::Connect { url: config.url.clone(), source })?;
    let info = client.server_info();
    let version = parse_version(&info.version);
    if version < MINIMUM_SERVER {
        return Err(ConnectError::TooOld { url: config.url.clone(), version: info.version });
    }
    if info.max_payload < MINIMUM_PAYLOAD {
        let max_payload = info.max_payload;
        return Err(ConnectError::SmallMessages { url: config.url.clone(), max_payload });
    }
    if !info.jetstream {
        return Err(ConnectError::NoJetStream { url: config.url.clone() });
    }
    let port = Arc::new(client.clone());
    let atomic_batches = version >= ATOMIC_BATCH_SERVER;
    Ok((client, Jet::new(port, config.names.clone(), atomic_batches, reconnects)))
}

/// As [`connect`], for processes that are started beside a server: one that does not listen yet is
/// waited for a while.
///
/// # Errors
///
/// As [`connect`], after that while; at once when waiting would change nothing.
pub async fn connect_at_start(config: &NatsConfig) -> Result<(Client, Jet), ConnectError> {
    let until = Instant::now() + STARTING;
    let mut waits = false;
    loop {
        let error = match connect(config).await {
            Err(error) if error.may_pass() && Instant::now() < until => error,
            outcome => return outcome,
        };
        if !std::mem::replace(&mut waits, true) {
            let seconds = STARTING.as_secs();
            let error: &dyn std::error::Error = &error;
            tracing::warn!(url = config.url, error, "NATS is waited for, for {seconds} s");
        }
        tokio::time::sleep(RECONNECT_CAP).await;
    }
}

impl ConnectError {
    /// Whether a server may only not be there yet.
    fn may_pass(&self) -> bool {
        let Self::Connect { source, .. } = self else { return false };
        matches!(source.kind(), ConnectErrorKind::Io | ConnectErrorKind::TimedOut)
    }
}

impl Jet {
    /// Connects to JetStream.
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub async fn connect(config: &NatsConfig) -> Result<Self, ConnectError> {
        connect(config).await.map(|(_, jet)| jet)
    }
}

fn options(config: &NatsConfig) -> Result<ConnectOptions, ConnectError> {
    Ok(as_whom(config)?
        .max_reconnects(None)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(|attempts| {
            let steps = u32::try_from(attempts).unwrap_or(u32::MAX);
            Duration::from_millis(20).saturating_mul(steps).min(RECONNECT_CAP)
        }))
}

/// What every connection of ours needs, a client's too: its name, who it is, TLS, where it gets its
/// answers.
///
/// # Errors
///
/// When a file that says who we are cannot be read, or is not what it should be.
pub fn as_whom(config: &NatsConfig) -> Result<ConnectOptions, CredentialsError> {
    let mut options =
        ConnectOptions::new().name(&config.connection_name).ping_interval(PING_INTERVAL);
    options = match &config.auth {
        Auth::None => options,
        Auth::Creds(path) => options
            .credentials(&read(path)?)
            .map_err(|source| CredentialsError { path: path.display().to_string(), source })?,
        Auth::Nkey(path) => options.nkey(read(path)?.trim().to_owned()),
        Auth::Password(user, password) => options.user_and_password(user.clone(), password.clone()),
        Auth::Token(token) => options.token(token.clone()),
    };
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    if let Some(ca) = &config.tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &config.tls.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(if config.tls.first { options.tls_first() } else { options })
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    std::fs::read_to_string(path)
        .map_err(|source| CredentialsError { path: path.display().to_string(), source })
}

/// `2.15.1` or `2.12.0-beta.1` as numbers; what cannot be read counts as 0.
fn parse_version(text: &str) -> (u64, u64, u64) {
    let mut parts = text.trim_start_matches('v').split(['.', '-', '+']);
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("2.10.22") < MINIMUM_SERVER);
        assert!(parse_version("2.9.99") < MINIMUM_SERVER);
        assert!(parse_version("v2.10.23") >= MINIMUM_SERVER);
        assert!(parse_version("2.12.0-beta.1") >= ATOMIC_BATCH_SERVER);
        assert!(parse_version("what") < MINIMUM_SERVER);
    }
}
