//! How to reach NATS: the same for servers and clients.

use std::path::PathBuf;

use clap::Args;

/// How to reach NATS.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct NatsArgs {
    /// NATS servers, comma separated [also NATS_URL; default: a context of `nats`, or this
    /// machine].
    #[arg(long, env = "STINT_NATS_URL", value_name = "URL")]
    pub nats: Option<String>,
    /// What `NATS_URL` says; a place for it, so that the environment is read here only.
    #[arg(long, env = "NATS_URL", hide = true)]
    pub nats_url: Option<String>,
    /// Context of the `nats` command.
    #[arg(long, env = "NATS_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Credentials file (JWT and nkey).
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    pub creds: Option<PathBuf>,
    /// User; its password is NATS_PASSWORD in the environment.
    #[arg(long, env = "NATS_USER", value_name = "NAME", conflicts_with = "creds")]
    pub user: Option<String>,
    /// A place for the password, which has no business on a command line.
    #[arg(long, env = "NATS_PASSWORD", hide = true, hide_env_values = true)]
    pub password: Option<String>,
    /// Who has signed the servers' certificate (PEM).
    #[arg(long, env = "NATS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Certificate by which the servers know us (PEM).
    #[arg(long, env = "NATS_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, env = "NATS_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Where answers are received, if permissions are given by it [default: _INBOX].
    #[arg(long, env = "STINT_INBOX_PREFIX", value_name = "SUBJECT")]
    pub inbox_prefix: Option<String>,
}
