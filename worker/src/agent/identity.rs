//! Who this worker is: an identity in its data directory, which one process at a time may use.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use stint_common::id::Incarnation;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It cannot be made, read or written.
    #[error("using the data directory {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error("another worker uses the data directory {}; give this one its own with --data", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
}

/// A data directory, locked for as long as this lives.
#[derive(Debug)]
pub struct Home {
    /// The directory.
    pub path: PathBuf,
    /// Drawn once, when the directory was first used.
    pub id: Incarnation,
    _lock: File,
}

impl Home {
    /// Makes the directory if there is none, and locks it.
    ///
    /// # Errors
    ///
    /// When it cannot be used, or another process uses it.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let error = |source| HomeError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(error)?;
        let lock = File::create(path.join("lock")).map_err(error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HomeError::InUse { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(error(source)),
        }
        Ok(Self { path: path.to_owned(), id: identity(path).map_err(error)?, _lock: lock })
    }
}

fn identity(path: &Path) -> std::io::Result<Incarnation> {
    let file = path.join("identity");
    if let Some(id) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) {
        return Ok(id);
    }
    let id = Incarnation::random();
    let draft = path.join("identity.new");
    let mut new = File::create(&draft)?;
    writeln!(new, "{id}")?;
    new.sync_all()?;
    fs::rename(draft, file)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_keeps_its_identity_and_its_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        assert!(matches!(Home::open(dir.path()), Err(HomeError::InUse { .. })));
        let id = home.id;
        drop(home);
        assert_eq!(Home::open(dir.path()).unwrap().id, id);
    }
}
