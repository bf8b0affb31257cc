//! The file with users, their tokens and roles; read again when it changes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::roles::{Role, Roles};

/// How often the file is looked at, while somebody asks.
const LOOK: Duration = Duration::from_secs(1);
/// Shorter tokens can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("reading {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It does not say who may do what.
    #[error("{path}: {why}")]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A user of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) name: String,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    token: String,
}

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Known {
    #[serde(default)]
    users: Vec<Listed>,
    roles: Vec<Role>,
}

/// By what one sees that a file has changed.
type Stamp = (Option<SystemTime>, u64);

/// The file.
#[derive(Debug)]
pub struct AccessFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: Arc<Known>,
    stamp: Stamp,
    looked: Instant,
}

impl AccessFile {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or does not say who may do what.
    pub async fn read(path: &Path) -> Result<Self, AccessError> {
        let (known, stamp) = load(path).await?;
        let state = State { known: Arc::new(known), stamp, looked: Instant::now() };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// What it says now. While what it says cannot be understood, what it said before holds.
    pub(super) async fn current(&self) -> Arc<Known> {
        let before = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.looked.elapsed() < LOOK {
                return Arc::clone(&state.known);
            }
            state.looked = Instant::now();
            state.stamp
        };
        let changed = stamp(&self.path).await.is_ok_and(|stamp| stamp != before);
        let loaded = if changed { Some(load(&self.path).await) } else { None };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Some(Ok((known, stamp))) => {
                tracing::info!(path = %self.path.display(), "who may do what was read again");
                state.known = Arc::new(known);
                state.stamp = stamp;
            }
            Some(Err(error)) => {
                tracing::error!(%error, "who may do what stays as it was");
            }
            None => {}
        }
        Arc::clone(&state.known)
    }
}

impl Known {
    fn parse(text: &str) -> Result<Self, String> {
        let known: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        for (at, user) in known.users.iter().enumerate() {
            if user.name.is_empty() {
                return Err(format!("users[{at}].name is empty"));
            }
            if user.token.len() < SHORTEST_TOKEN {
                let name = &user.name;
                return Err(format!(
                    "the token of {name:?} is shorter than {SHORTEST_TOKEN} bytes: \
                     `openssl rand -hex 32` makes a good one"
                ));
            }
            if known.users[..at].iter().any(|other| other.token == user.token) {
                return Err(format!("{:?} has the token of another user", user.name));
            }
        }
        Ok(known)
    }

    /// Whose token this is. All are compared, so that the time taken says nothing.
    pub(super) fn by_token(&self, token: &str) -> Option<&Listed> {
        let mut found = None;
        for user in &self.users {
            if bool::from(user.token.as_bytes().ct_eq(token.as_bytes())) {
                found = Some(user);
            }
        }
        found
    }

    /// What somebody may.
    pub(super) fn roles_of(&self, user: &str, groups: &[String]) -> Roles {
        Roles::of(&self.roles, user, groups)
    }
}

async fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = tokio::fs::metadata(path).await?;
    Ok((metadata.modified().ok(), metadata.len()))
}

async fn load(path: &Path) -> Result<(Known, Stamp), AccessError> {
    let unreadable = |source| AccessError::Read { path: path.to_owned(), source };
    // Before the text: a change in between is seen at the next look.
    let stamp = stamp(path).await.map_err(unreadable)?;
    let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    let known = Known::parse(&text);
    let known = known.map_err(|why| AccessError::Wrong { path: path.to_owned(), why })?;
    Ok((known, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
users:
- name: alice
  groups: [dev]
  token: 0123456789abcdef
roles:
- groups: [dev]
  namespaces: [a]
  resources: [jobs]
  verbs: [get]
";

    #[test]
    fn files_say_who_may_do_what() {
        let known = Known::parse(TEXT).unwrap();
        assert_eq!(known.by_token("0123456789abcdef").map(|it| it.name.as_str()), Some("alice"));
        assert!(known.by_token("0123456789abcdeg").is_none());
        assert!(known.by_token("").is_none());
        let roles = known.roles_of("alice", &["dev".to_owned()]);
        assert_eq!(roles.iter().count(), 1);
    }

    #[test]
    fn wrong_files_are_refused() {
        let refused = |text: &str| Known::parse(text).map(drop).unwrap_err();
        assert!(refused(&TEXT.replace("0123456789abcdef", "short")).contains("shorter than"));
        assert!(refused(&TEXT.replace("roles:", "rolls:")).contains("rolls"));
        let twice = TEXT.replace("roles:", "- {name: bob, token: 0123456789abcdef}\nroles:");
        assert!(refused(&twice).contains("\"bob\" has the token of another user"));
    }
}
