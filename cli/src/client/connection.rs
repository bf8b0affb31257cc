//! Where to connect and as whom: flags, then variables, then a context of the `nats` command, then
//! defaults.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::ConnectOptions;
use stint_common::config::NatsConfig;

use super::Error;
use super::context::Context;
use crate::config_file::ConfigFile;
use crate::paths::expand_home;

/// Longest wait for a server to take the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Dead connections are noticed after two missed pings.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// What the command line and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--nats`, `STINT_NATS_URL` or `NATS_URL`.
    pub url: Option<String>,
    /// `--creds` or `NATS_CREDS`.
    pub creds: Option<PathBuf>,
    /// `--context` or `NATS_CONTEXT`.
    pub context: Option<String>,
}

impl Flags {
    /// What the file says, where neither a server nor a context is named.
    #[must_use]
    pub fn or(self, file: &ConfigFile) -> Self {
        if self.url.is_some() || self.context.is_some() {
            return self;
        }
        let creds = self.creds.or_else(|| file.creds.as_deref().map(expand_home));
        Self { url: file.nats.clone(), context: file.context.clone(), creds }
    }
}

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Servers, comma separated.
    pub url: String,
    /// As whom.
    pub auth: Auth,
    /// Under which prefix answers are received.
    pub inbox_prefix: Option<String>,
    tls: Tls,
}

/// As whom to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// As nobody, or as the URL says.
    None,
    /// A `.creds` file.
    Creds(PathBuf),
    /// A file that holds an nkey's seed.
    Nkey(PathBuf),
    /// User and password.
    Password(String, String),
    /// A token.
    Token(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tls {
    ca: Option<PathBuf>,
    certificate: Option<(PathBuf, PathBuf)>,
    first: bool,
}

impl Settings {
    /// Puts together what flags and contexts say. `config` is where contexts live.
    ///
    /// # Errors
    ///
    /// When a context is asked for that is not there or cannot be used.
    pub fn resolve(flags: Flags, config: Option<&Path>) -> Result<Self, Error> {
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
        Ok(Self {
            url: url.unwrap_or_else(|| NatsConfig::DEFAULT_URL.to_owned()),
            auth: flags.creds.map_or_else(|| auth(&context), Auth::Creds),
            inbox_prefix: path_text(&context.inbox_prefix),
            tls: Tls {
                ca: path_text(&context.ca).map(|path| expand_home(&path)),
                certificate: (!context.cert.is_empty() && !context.key.is_empty())
                    .then(|| (expand_home(&context.cert), expand_home(&context.key))),
                first: context.tls_first,
            },
        })
    }

    pub(super) fn options(&self) -> Result<ConnectOptions, Error> {
        let mut options = ConnectOptions::new()
            .name("stint")
            .connection_timeout(CONNECT_LIMIT)
            .ping_interval(PING_INTERVAL);
        options = match &self.auth {
            Auth::None => options,
            Auth::Creds(path) => {
                let source_error = |source| Error::Credentials { path: show(path), source };
                options.credentials(&read(path)?).map_err(source_error)?
            }
            Auth::Nkey(path) => options.nkey(read(path)?.trim().to_owned()),
            Auth::Password(user, password) => {
                options.user_and_password(user.clone(), password.clone())
            }
            Auth::Token(token) => options.token(token.clone()),
        };
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        if let Some(ca) = &self.tls.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &self.tls.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(if self.tls.first { options.tls_first() } else { options })
    }
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

fn path_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Credentials { path: show(path), source })
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
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

    fn resolve(flags: Flags) -> Settings {
        Settings::resolve(flags, Some(contexts().path())).unwrap()
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
        let settings = resolve(Flags { url, context, creds: Some("/mine".into()) });
        assert_eq!(settings.url, "nats://dev");
        assert_eq!(settings.auth, Auth::Creds("/mine".into()));
        assert_eq!(settings.inbox_prefix.as_deref(), Some("_MINE"));
    }

    #[test]
    fn without_contexts_there_is_a_default() {
        let settings = Settings::resolve(Flags::default(), None).unwrap();
        assert_eq!((settings.url.as_str(), settings.auth), (NatsConfig::DEFAULT_URL, Auth::None));
        let flags = Flags { context: Some("none".to_owned()), ..Flags::default() };
        assert!(matches!(
            Settings::resolve(flags, Some(contexts().path())),
            Err(Error::Context(_))
        ));
    }
}
