//! What every binary needs to know to reach JetStream, and to find its own streams there.

use std::fmt;
use std::path::PathBuf;

use crate::names::Names;

/// How to reach NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// Server addresses, comma separated, as in `NATS_URL`.
    pub url: String,
    /// As whom.
    pub auth: Auth,
    /// What is needed beside the address to speak TLS.
    pub tls: Tls,
    /// Under which prefix answers are received, where permissions are given by it; `_INBOX` else.
    pub inbox_prefix: Option<String>,
    /// Names under which Stint's streams and subjects live.
    pub names: Names,
    /// What the connection calls itself in the server's monitoring.
    pub connection_name: String,
}

/// As whom to connect.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// As nobody, or as the URL says.
    #[default]
    None,
    /// A `.creds` file (JWT and nkey), as in `NATS_CREDS`.
    Creds(PathBuf),
    /// A file that holds an nkey's seed.
    Nkey(PathBuf),
    /// User and password.
    Password(String, String),
    /// A token.
    Token(String),
}

/// Passwords and tokens stay out of logs.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Creds(path) => f.debug_tuple("Creds").field(path).finish(),
            Self::Nkey(path) => f.debug_tuple("Nkey").field(path).finish(),
            Self::Password(user, _) => f.debug_tuple("Password").field(user).finish(),
            Self::Token(_) => f.write_str("Token"),
        }
    }
}

/// What is needed beside the address to speak TLS (files in PEM).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who has signed the server's certificate; the machine's authorities without.
    pub ca: Option<PathBuf>,
    /// Our own certificate, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether TLS begins before the server has said anything.
    pub first: bool,
}

impl NatsConfig {
    /// The default port on this machine, without credentials.
    pub const DEFAULT_URL: &'static str = "nats://127.0.0.1:4222";

    /// A connection to `url` with everything else at its default.
    #[must_use]
    pub fn new(url: &str, connection_name: &str) -> Self {
        Self {
            url: url.to_owned(),
            auth: Auth::None,
            tls: Tls::default(),
            inbox_prefix: None,
            names: Names::default(),
            connection_name: connection_name.to_owned(),
        }
    }

    /// The single addresses in `url`.
    #[must_use]
    pub fn servers(&self) -> Vec<&str> {
        self.url.split(',').map(str::trim).filter(|server| !server.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_separated_by_commas() {
        let config = NatsConfig::new("nats://a:1, tls://b:2,", "test");
        assert_eq!(config.servers(), ["nats://a:1", "tls://b:2"]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let auth = [Auth::Password("me".into(), "hush".into()), Auth::Token("hush".into())];
        let shown = format!("{auth:?}");
        assert!(shown.contains("me") && !shown.contains("hush"), "{shown}");
    }
}
