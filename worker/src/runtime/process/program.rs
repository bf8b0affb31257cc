//! Finds the file that a command names, once per program and not once per pod.
//!
//! `posix_spawn` keeps its fast path only for a program given by path, and the search along `PATH`
//! would cost every pod a few failed system calls.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::{AccessFlags, access};

use crate::launch::LaunchSpec;

/// Programs remembered; past that all are forgotten, which costs one search each.
const REMEMBERED: usize = 1024;

/// Where programs were found.
#[derive(Debug, Default)]
pub(super) struct Programs {
    found: Mutex<HashMap<Key, Arc<Path>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: Arc<str>,
    path: Arc<str>,
}

impl Programs {
    /// The file that `spec` wants executed; `None` when its `PATH` does not lead to one. A name
    /// with a slash is a path already, and is not looked at.
    pub(super) fn find(&self, spec: &LaunchSpec) -> Option<Arc<Path>> {
        let name = spec.argv.first()?;
        if name.contains('/') {
            return Some(Arc::from(Path::new(&*spec.working_dir).join(&**name)));
        }
        let key = key(spec)?;
        if let Some(found) = self.found().get(&key) {
            return Some(found.clone());
        }
        let directories =
            key.path.split(':').map(|entry| Path::new(&*spec.working_dir).join(entry));
        let candidates = directories.map(|directory| directory.join(&**name));
        let program: Arc<Path> =
            candidates.into_iter().find(|path| is_executable(path)).map(Arc::from)?;
        // A relative entry leads elsewhere from another working directory.
        if key.path.split(':').all(|entry| entry.starts_with('/')) {
            self.remember(key, program.clone());
        }
        Some(program)
    }

    /// What was found is not there any more.
    pub(super) fn forget(&self, spec: &LaunchSpec) {
        if let Some(key) = key(spec) {
            self.found().remove(&key);
        }
    }

    fn remember(&self, key: Key, program: Arc<Path>) {
        let mut found = self.found();
        if found.len() >= REMEMBERED {
            found.clear();
        }
        found.insert(key, program);
    }

    fn found(&self) -> MutexGuard<'_, HashMap<Key, Arc<Path>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(spec: &LaunchSpec) -> Option<Key> {
    let path = spec.env.iter().find(|(name, _)| &**name == "PATH");
    let path = path.map_or_else(|| Arc::from(""), |(_, path)| path.clone());
    Some(Key { name: spec.argv.first()?.clone(), path })
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(program: &str, path: &str, working_dir: &str) -> LaunchSpec {
        LaunchSpec {
            argv: vec![Arc::from(program)],
            env: vec![(Arc::from("PATH"), Arc::from(path))],
            working_dir: Arc::from(working_dir),
            setup: None,
        }
    }

    fn check(program: &str, path: &str, expect: Option<&str>) {
        let found = Programs::default().find(&spec(program, path, "/bin"));
        assert_eq!(found.as_deref(), expect.map(Path::new), "{program} in {path}");
    }

    #[test]
    fn names_are_sought_along_the_path_and_paths_taken_as_they_are() {
        check("sh", "/nowhere:/bin", Some("/bin/sh"));
        check("sh", ".", Some("/bin/./sh"));
        check("/no/such", "/bin", Some("/no/such"));
        check("./sh", "", Some("/bin/./sh"));
        check("no-such-program", "/bin", None);
        check("passwd", "/etc", None);
    }

    #[test]
    fn what_was_found_is_remembered_until_forgotten() {
        let programs = Programs::default();
        let spec = spec("sh", "/bin", "/");
        assert_eq!(programs.find(&spec), programs.find(&spec));
        assert_eq!(programs.found().len(), 1);
        programs.forget(&spec);
        assert_eq!(programs.found().len(), 0);
    }
}
