//! Real input that is on this machine anyway: the sources that cargo keeps of the crates it built.

use std::fs;
use std::path::{Path, PathBuf};

use super::count::crates;

/// The folder with the most crates: one of cargo's registry folders, else the folder that the demo
/// is started in.
pub(crate) fn root(cargo_home: Option<&Path>, here: &Path) -> Option<PathBuf> {
    let registries = cargo_home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    let registries =
        registries.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let counted = |path: PathBuf| {
        let count = crates(&path).map_or(0, |crates| crates.len());
        (count > 0).then_some((count, path))
    };
    let best = registries.filter_map(counted).max_by_key(|(count, _)| *count);
    best.or_else(|| counted(here.to_owned())).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn put(root: &Path, name: &str) {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::write(root.join(name).join("Cargo.toml"), "").unwrap();
    }

    #[test]
    fn cargos_own_folder_comes_first() {
        let (home, here) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        assert_eq!(root(Some(home.path()), here.path()), None);
        put(here.path(), "member");
        assert_eq!(root(Some(home.path()), here.path()), Some(here.path().to_owned()));
        let registries = home.path().join("registry/src");
        put(&registries.join("one"), "a");
        put(&registries.join("two"), "a");
        put(&registries.join("two"), "b");
        assert_eq!(root(Some(home.path()), here.path()), Some(registries.join("two")));
    }
}
