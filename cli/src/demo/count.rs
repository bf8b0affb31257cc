//! Counts one share of the crates under a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What was counted in one crate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrateCount {
    pub(crate) name: String,
    pub(crate) licence: String,
    pub(crate) files: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
}

/// The crates under `root`, by name: folders with a `Cargo.toml`.
pub(crate) fn crates(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut crates = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            crates.push(path);
        }
    }
    crates.sort();
    Ok(crates)
}

/// Counts every `of`-th crate, beginning with the `share`-th.
pub(crate) fn share(root: &Path, share: u32, of: u32) -> io::Result<Vec<CrateCount>> {
    let step = usize::try_from(of.max(1)).unwrap_or(usize::MAX);
    let first = usize::try_from(share).unwrap_or(usize::MAX);
    crates(root)?.iter().skip(first).step_by(step).map(|path| count(path)).collect()
}

fn count(path: &Path) -> io::Result<CrateCount> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let manifest = fs::read(path.join("Cargo.toml"))?;
    let licence = licence(&String::from_utf8_lossy(&manifest));
    let mut total = CrateCount { name, licence, ..CrateCount::default() };
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            // Not through links: what they lead to may be anywhere. Not into build results.
            if kind.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs")
            {
                count_file(&fs::read(path)?, &mut total);
            }
        }
    }
    Ok(total)
}

fn count_file(text: &[u8], total: &mut CrateCount) {
    let length = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    total.files += 1;
    total.lines += length(text.iter().filter(|byte| **byte == b'\n').count());
    total.words += length(words);
}

/// `license = "MIT OR Apache-2.0"` of a manifest.
fn licence(manifest: &str) -> String {
    let fields = manifest.lines().filter_map(|line| line.split_once('='));
    let licence = fields.into_iter().find(|(key, _)| key.trim() == "license");
    match licence.map(|(_, value)| value.trim().trim_matches('"')) {
        Some(licence) if !licence.is_empty() => licence.replace('/', " OR "),
        _ => "(none given)".to_owned(),
    }
}

/// Writes a value as JSON such that a reader finds all of it or nothing.
pub(crate) fn write_whole(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&unfinished, serde_json::to_vec(value)?)?;
    fs::rename(unfinished, path)
}

/// Where a share's result is.
pub(crate) fn share_file(out: &Path, share: u32) -> PathBuf {
    out.join(format!("share-{share}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn tree() -> TempDir {
        let root = TempDir::new().unwrap();
        for (name, licence) in [
            ("a-1.0.0", "license = \"MIT/Apache-2.0\""),
            ("b-2.0.0", ""),
            ("c-3", "license=\"MIT\""),
        ] {
            let source = root.path().join(name).join("src/deep");
            fs::create_dir_all(&source).unwrap();
            fs::write(root.path().join(name).join("Cargo.toml"), format!("[package]\n{licence}\n"))
                .unwrap();
            fs::write(source.join("lib.rs"), "fn main() {}\n\n// two  words\n").unwrap();
            fs::write(source.join("notes.txt"), "not counted\n").unwrap();
        }
        fs::create_dir(root.path().join("no-crate")).unwrap();
        root
    }

    #[test]
    fn files_lines_words_and_licences_are_counted() {
        let counts = share(tree().path(), 0, 1).unwrap();
        assert_eq!(counts.len(), 3);
        let first = &counts[0];
        assert_eq!((first.name.as_str(), first.licence.as_str()), ("a-1.0.0", "MIT OR Apache-2.0"));
        assert_eq!((first.files, first.lines, first.words), (1, 3, 6));
        assert_eq!(
            (counts[1].licence.as_str(), counts[2].licence.as_str()),
            ("(none given)", "MIT")
        );
    }

    #[test]
    fn shares_are_a_partition() {
        let root = tree();
        let names = |share_number| -> Vec<String> {
            let counts = share(root.path(), share_number, 2).unwrap().into_iter();
            counts.map(|count| count.name).collect()
        };
        assert_eq!(
            (names(0), names(1)),
            (vec!["a-1.0.0".into(), "c-3".into()], vec!["b-2.0.0".into()])
        );
    }

    #[test]
    fn a_result_is_there_whole() {
        let root = TempDir::new().unwrap();
        let path = share_file(root.path(), 3);
        write_whole(&path, &vec![CrateCount::default()]).unwrap();
        let back: Vec<CrateCount> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(back, [CrateCount::default()]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
