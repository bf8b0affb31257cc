//! Planted bugs: `tests/mutations/*.yaml`, read and put in place.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// A bug that somebody could make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// What it is called.
    pub name: String,
    /// What goes wrong with it.
    pub why: String,
    /// Where it is, from the workspace's directory.
    pub file: PathBuf,
    /// Text that is there exactly once.
    pub find: String,
    /// What stands there instead.
    pub put: String,
    /// Suites, at least one of which must fail.
    #[serde(rename = "caught by")]
    pub caught_by: Vec<String>,
}

/// The workspace's directory.
///
/// # Panics
///
/// When the package is in none.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package is in the workspace's directory").to_owned()
}

/// All of them.
///
/// # Errors
///
/// When a file cannot be read.
pub fn all() -> anyhow::Result<Vec<Mutation>> {
    let folder = workspace().join("tests/mutations");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let some: Vec<Mutation> =
            serde_saphyr::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        all.extend(some);
    }
    Ok(all)
}

impl Mutation {
    /// The file under `root` with the bug in it.
    ///
    /// # Errors
    ///
    /// When the text is not there exactly once: the code has moved on, and the bug must follow.
    pub fn plant(&self, root: &Path) -> anyhow::Result<String> {
        let path = root.join(&self.file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: reading {}", self.name, path.display()))?;
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.put, 1)),
            count => bail!(
                "{}: its text is {count} times in {}, not once: {}",
                self.name,
                self.file.display(),
                self.find
            ),
        }
    }
}
