//! Connection contexts of the `nats` command (ADR-21), so that both tools go to the same place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is none of this name.
    #[error("there is no context {name} at {path}")]
    Unknown {
        /// Its name.
        name: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("reading {path}")]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what a context looks like.
    #[error("parsing {path}")]
    Parse {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It asks for something that we cannot do.
    #[error("the context {name} sets `{field}`, which is not supported here")]
    Unsupported {
        /// Its name.
        name: String,
        /// What it asks for.
        field: &'static str,
    },
}

/// The fields of a context that a core NATS client needs, and those that it must refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) creds: String,
    pub(super) nkey: String,
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) ca: String,
    pub(super) inbox_prefix: String,
    pub(super) tls_first: bool,
    nsc: String,
    socks_proxy: String,
    user_jwt: String,
}

impl Context {
    /// Loads the context `name`, or the one that is selected; `None` when none is.
    pub(super) fn load(config: &Path, name: Option<&str>) -> Result<Option<Self>, ContextError> {
        let directory = config.join("nats");
        let selected = match name {
            Some(name) => name.to_owned(),
            None => match fs::read_to_string(directory.join("context.txt")) {
                Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
                _ => return Ok(None),
            },
        };
        let path = directory.join("context").join(format!("{selected}.json"));
        let text = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                ContextError::Unknown { name: selected.clone(), path: path.clone() }
            }
            _ => ContextError::Read { path: path.clone(), source },
        })?;
        Self::parse(&selected, &path, &text).map(Some)
    }

    fn parse(name: &str, path: &Path, text: &[u8]) -> Result<Self, ContextError> {
        let context: Self = serde_json::from_slice(text)
            .map_err(|source| ContextError::Parse { path: path.to_owned(), source })?;
        let refused = [
            ("nsc", &context.nsc),
            ("socks_proxy", &context.socks_proxy),
            ("user_jwt", &context.user_jwt),
        ];
        match refused.iter().find(|(_, value)| !value.is_empty()) {
            Some((field, _)) => Err(ContextError::Unsupported { name: name.to_owned(), field }),
            None => Ok(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn write(root: &TempDir, name: &str, text: &str) {
        let directory = root.path().join("nats/context");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("{name}.json")), text).unwrap();
    }

    #[test]
    fn the_selected_context_is_loaded() {
        let root = TempDir::new().unwrap();
        assert_eq!(Context::load(root.path(), None).unwrap(), None);
        write(
            &root,
            "prod",
            r#"{"description":"d","url":"nats://a,nats://b","user":"u","color_scheme":""}"#,
        );
        fs::write(root.path().join("nats/context.txt"), "prod\n").unwrap();
        let context = Context::load(root.path(), None).unwrap().unwrap();
        assert_eq!((&*context.url, &*context.user), ("nats://a,nats://b", "u"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let root = TempDir::new().unwrap();
        write(&root, "x", r#"{"nsc":"nsc://op/acc/user"}"#);
        let error = Context::load(root.path(), Some("x")).unwrap_err().to_string();
        assert_eq!(error, "the context x sets `nsc`, which is not supported here");
        let error = Context::load(root.path(), Some("y")).unwrap_err().to_string();
        assert!(error.starts_with("there is no context y at /"), "{error}");
        write(&root, "z", "{");
        assert!(matches!(Context::load(root.path(), Some("z")), Err(ContextError::Parse { .. })));
    }
}
