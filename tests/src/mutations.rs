//! Planted bugs: `tests/mutations/*.yaml`, read and put in place, each behind a switch, so that one
//! build has them all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// Stands in `put` for whether the bug is switched on.
const SWITCH: &str = "$planted";
/// Names the bug that is switched on.
pub const VARIABLE: &str = "STINT_PLANTED";
/// The package that all others know.
const COMMON: &str = "common/src/lib.rs";
/// The switch. Lives in the planted tree only.
const SWITCHES: &str = r#"
extern crate self as stint_common;

/// Which planted bug is switched on.
#[expect(missing_docs, clippy::all, reason = "in a tree with planted bugs only")]
pub mod planted {
    pub fn is(name: &str) -> bool {
        static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        ON.get_or_init(|| std::env::var("STINT_PLANTED").ok()).as_deref() == Some(name)
    }
}
"#;

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
    /// What stands there instead: an expression in place of an expression, or any text with
    /// `$planted` in it.
    pub put: String,
    /// Suites, each of which must fail.
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

/// All of them, as they are in the tree under `root`.
///
/// # Errors
///
/// When a file cannot be read.
pub fn all(root: &Path) -> anyhow::Result<Vec<Mutation>> {
    let folder = root.join("tests/mutations");
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

/// The files of the tree under `root` with all bugs in them, switched off.
///
/// # Errors
///
/// When a bug's text is not there exactly once: the code has moved on, and the bug must follow.
pub fn plant(bugs: &[Mutation], root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let read = |path: &Path| {
        let path = root.join(path);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let mut files = BTreeMap::new();
    for bug in bugs {
        let text = match files.remove(&bug.file) {
            Some(text) => text,
            None => read(&bug.file)?,
        };
        files.insert(bug.file.clone(), bug.plant(&text)?);
    }
    let common = PathBuf::from(COMMON);
    let text = match files.remove(&common) {
        Some(text) => text,
        None => read(&common)?,
    };
    files.insert(common, text + SWITCHES);
    Ok(files)
}

impl Mutation {
    fn plant(&self, text: &str) -> anyhow::Result<String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replacement(), 1)),
            count => bail!(
                "{}: its text is {count} times in {}, not once: {}",
                self.name,
                self.file.display(),
                self.find
            ),
        }
    }

    fn replacement(&self) -> String {
        let is_on = format!("stint_common::planted::is({:?})", self.name);
        if self.put.contains(SWITCH) {
            return self.put.replace(SWITCH, &is_on);
        }
        format!("(if {is_on} {{ {} }} else {{ {} }})", self.put, self.find)
    }
}
