//! What every binary needs to know to reach JetStream, and to find its own streams there.

use std::path::PathBuf;

use crate::names::Names;

/// How to reach NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// Server addresses, comma separated, as in `NATS_URL`.
    pub url: String,
    /// A `.creds` file (JWT and nkey), as in `NATS_CREDS`.
    pub creds: Option<PathBuf>,
    /// Names under which Stint's streams and subjects live.
    pub names: Names,
    /// What the connection calls itself in the server's monitoring.
    pub connection_name: String,
}

impl NatsConfig {
    /// The default port on this machine, without credentials.
    pub const DEFAULT_URL: &'static str = "nats://127.0.0.1:4222";

    /// A connection to `url` with everything else at its default.
    #[must_use]
    pub fn new(url: &str, connection_name: &str) -> Self {
        Self {
            url: url.to_owned(),
            creds: None,
            names: Names::default(),
            connection_name: connection_name.to_owned(),
        }
    }
}
