//! Where to connect and as whom: flags, then variables, then a context of the `nats` command, then
//! defaults.

use std::path::{Path, PathBuf};

use stint_common::config::{Auth, NatsConfig, Tls};

use super::Error;
use super::context::Context;
use crate::config_file::ConfigFile;
use crate::paths::expand_home;

/// What the command line and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--nats`, `STINT_NATS_URL` or `NATS_URL`.
    pub url: Option<String>,
    /// `--context` or `NATS_CONTEXT`.
    pub context: Option<String>,
    /// As whom: `--creds`, `NATS_CREDS`, `NATS_USER` with `NATS_PASSWORD`.
    pub auth: Option<Auth>,
    /// `--ca` or `NATS_CA`.
    pub ca: Option<PathBuf>,
    /// `--cert` and `--key`, or `NATS_CERT` and `NATS_KEY`.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// `--inbox-prefix` or `STINT_INBOX_PREFIX`.
    pub inbox_prefix: Option<String>,
}

impl Flags {
    /// What the file says, where neither a server nor a context is named.
    #[must_use]
    pub fn or(self, file: &ConfigFile) -> Self {
        if self.url.is_some() || self.context.is_some() {
            return self;
        }
        let creds = file.creds.as_deref().map(expand_home).map(Auth::Creds);
        Self {
            url: file.nats.clone(),
            context: file.context.clone(),
            auth: self.auth.or(creds),
            ..self
        }
    }
}

/// Puts together what flags and contexts say. `config` is where contexts live.
///
/// # Errors
///
/// When a context is asked for that is not there or cannot be used.
pub fn resolve(
    flags: Flags,
    config: Option<&Path>,
    connection_name: &str,
) -> Result<NatsConfig, Error> {
    // A URL alone means that server, as it is: the credentials of a context that happens to be
    // selected are not shown to another server.
    let wanted = flags.context.is_some() || flags.url.is_none();
    let context = match config {
        Some(config) if wanted => {
            Context::load(config, flags.context.as_deref()).map_err(Error::Context)?
        }
        _ => None,
    }
    .unwrap_or_default();
    let named = |url: &String| !url.is_empty();
    let url = flags.url.filter(named).or_else(|| Some(context.url.clone()).filter(named));
    let url = url.unwrap_or_else(|| NatsConfig::DEFAULT_URL.to_owned());
    let certificate = || {
        (!context.cert.is_empty() && !context.key.is_empty())
            .then(|| (expand_home(&context.cert), expand_home(&context.key)))
    };
    Ok(NatsConfig {
        auth: flags.auth.unwrap_or_else(|| auth(&context)),
        tls: Tls {
            ca: flags.ca.or_else(|| text(&context.ca).map(|path| expand_home(&path))),
            certificate: flags.certificate.or_else(certificate),
            first: context.tls_first,
        },
        inbox_prefix: flags.inbox_prefix.or_else(|| text(&context.inbox_prefix)),
        ..NatsConfig::new(&url, connection_name)
    })
}

fn auth(context: &Context) -> Auth {
    if !context.creds.is_empty() {
        Auth::Creds(expand_home(&context.creds))
    } else if !context.nkey.is_empty() {
        Auth::Nkey(expand_home(&context.nkey))
    } else if !context.user.is_empty() {
        Auth::Password(context.user.clone(), context.password.clone())
    } else if !context.token.is_empty() {
        Auth::Token(context.token.clone())
    } else {
        Auth::None
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use tempfile::TempDir;

    fn contexts() -> TempDir {
        let root = TempDir::new().unwrap();
        let directory = root.path().join("nats/context");
        fs::create_dir_all(&directory).unwrap();
        let text = r#"{"url":"nats://prod","creds":"/c/prod.creds","inbox_prefix":"_MINE"}"#;
        fs::write(directory.join("prod.json"), text).unwrap();
        fs::write(root.path().join("nats/context.txt"), "prod").unwrap();
        root
    }

    fn resolve(flags: Flags) -> NatsConfig {
        super::resolve(flags, Some(contexts().path()), "test").unwrap()
    }

    #[test]
    fn the_selected_context_serves_when_nothing_is_said() {
        let settings = resolve(Flags::default());
        assert_eq!(settings.url, "nats://prod");
        assert_eq!(settings.auth, Auth::Creds("/c/prod.creds".into()));
        assert_eq!(settings.inbox_prefix.as_deref(), Some("_MINE"));
    }

    #[test]
    fn a_url_alone_is_not_shown_the_contexts_credentials() {
        let url = Some("nats://dev".to_owned());
        let settings = resolve(Flags { url: url.clone(), ..Flags::default() });
        assert_eq!((settings.url.as_str(), settings.auth), ("nats://dev", Auth::None));
        let context = Some("prod".to_owned());
        let auth = Some(Auth::Creds("/mine".into()));
        let ca = Some("/ca.pem".into());
        let settings = resolve(Flags { url, context, auth, ca, ..Flags::default() });
        assert_eq!(settings.url, "nats://dev");
        assert_eq!(settings.auth, Auth::Creds("/mine".into()));
        assert_eq!(settings.tls.ca, Some("/ca.pem".into()));
        assert_eq!(settings.inbox_prefix.as_deref(), Some("_MINE"));
    }

    #[test]
    fn without_contexts_there_is_a_default() {
        let settings = super::resolve(Flags::default(), None, "test").unwrap();
        assert_eq!((settings.url.as_str(), settings.auth), (NatsConfig::DEFAULT_URL, Auth::None));
        let flags = Flags { context: Some("none".to_owned()), ..Flags::default() };
        assert!(matches!(
            super::resolve(flags, Some(contexts().path()), "test"),
            Err(Error::Context(_))
        ));
    }
}
