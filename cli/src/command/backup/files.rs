//! A backup on a disk: a directory for each stream, and a word that it is whole, written last. The
//! word lies in a stream's directory: `nats account restore` takes all that lies beside them for
//! streams.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

/// Says that a backup is whole.
const WHOLE: &str = "stint-backup.json";
/// What a stream is like, and its data: names that the `nats` command knows.
const ABOUT: &str = "backup.json";
const DATA: &str = "stream.tar.s2";
/// Data that are not whole.
const PART: &str = "stream.tar.s2.part";

/// A backup that is being made. Secrets are in it: nobody else may read it.
pub(super) struct Made(PathBuf);

impl Made {
    /// Makes the directory, which must be new, or empty.
    pub(super) fn begin(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        if fs::read_dir(directory)?.next().is_some() {
            let why = "it is not empty: a backup needs a directory of its own";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(Self(directory.to_owned()))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    /// Where a stream's data are written to.
    pub(super) fn stream(&self, name: &str) -> io::Result<Taking> {
        let directory = self.0.join(name);
        DirBuilder::new().mode(0o700).create(&directory)?;
        let data = private(&directory.join(PART))?;
        Ok(Taking { directory, data })
    }

    /// Says that it is whole, in this stream's directory.
    pub(super) fn finish(self, stream: &str, about: &Value) -> io::Result<()> {
        let directory = self.0.join(stream);
        write_whole(&directory.join(WHOLE), about)?;
        File::open(directory)?.sync_all()?;
        File::open(self.0)?.sync_all()
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write_whole(path: &Path, value: &Value) -> io::Result<()> {
    let mut file = private(path)?;
    file.write_all(format!("{value:#}\n").as_bytes())?;
    file.sync_all()
}

/// A stream that is being taken out.
pub(super) struct Taking {
    directory: PathBuf,
    data: File,
}

impl Taking {
    pub(super) fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.data.write_all(chunk)
    }

    pub(super) fn finish(self, about: &Value) -> io::Result<()> {
        self.data.sync_all()?;
        write_whole(&self.directory.join(ABOUT), about)?;
        fs::rename(self.directory.join(PART), self.directory.join(DATA))?;
        File::open(&self.directory)?.sync_all()
    }
}

/// A backup that is there.
#[derive(Debug)]
pub(super) struct Backup(Vec<Kept>);

/// A stream of it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    /// `config` and `state`.
    pub(super) about: Value,
    pub(super) path: PathBuf,
    /// How large the data are.
    pub(super) bytes: u64,
}

/// Data as they are read.
pub(super) struct Data(File);

impl Backup {
    /// Looks at a backup, ours or one of the `nats` command's.
    ///
    /// # Errors
    ///
    /// Why nothing can be put back from it.
    pub(super) fn open(
        directory: &Path,
        needed: &[String],
        others: &[String],
    ) -> Result<Self, String> {
        let shown = directory.display();
        if !directory.is_dir() {
            return Err(format!("{shown} is not a directory"));
        }
        let mut streams = Vec::new();
        for name in needed.iter().chain(others) {
            let place = directory.join(name);
            if !place.exists() {
                if needed.contains(name) {
                    return Err(format!("{shown} is no backup of Stint: {name} is not in it"));
                }
                continue;
            }
            streams.push(
                Kept::open(name, &place).map_err(|why| {
                    format!("{}: {why}: the backup is not whole", place.display())
                })?,
            );
        }
        // The other command says nothing in the end; but all its streams are there.
        let ours = needed.iter().any(|name| directory.join(name).join(WHOLE).exists());
        if !ours && others.iter().any(|name| !directory.join(name).exists()) {
            return Err(format!("{shown} has no {WHOLE}: the backup is not whole"));
        }
        Ok(Self(streams))
    }

    /// Its streams, in the order in which they are taken out.
    pub(super) fn streams(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        self.0.iter()
    }
}

impl Kept {
    fn open(name: &str, place: &Path) -> Result<Self, String> {
        let text = fs::read(place.join(ABOUT)).map_err(|error| format!("{ABOUT}: {error}"))?;
        let about: Value =
            serde_json::from_slice(&text).map_err(|error| format!("{ABOUT}: {error}"))?;
        if about["config"]["name"] != name {
            return Err(format!("{ABOUT} is about another stream, {}", about["config"]["name"]));
        }
        let path = place.join(DATA);
        let bytes = fs::metadata(&path).map_err(|error| format!("{DATA}: {error}"))?.len();
        Ok(Self { name: name.to_owned(), about, path, bytes })
    }

    pub(super) fn data(&self) -> io::Result<Data> {
        File::open(&self.path).map(Data)
    }
}

impl Data {
    /// The next so many bytes; `None` at the end.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        let mut chunk = Vec::with_capacity(most);
        let limit = u64::try_from(most).unwrap_or(u64::MAX);
        io::Read::by_ref(&mut self.0).take(limit).read_to_end(&mut chunk)?;
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NEEDED: &str = "JOBS";
    const OTHER: &str = "LOGS";

    fn open(directory: &Path) -> Result<Backup, String> {
        Backup::open(directory, &[NEEDED.to_owned()], &[OTHER.to_owned()])
    }

    fn keep(made: &Made, name: &str, data: &[u8]) {
        let mut taking = made.stream(name).expect("it can be made");
        taking.write(data).expect("it can be written");
        taking.finish(&json!({"config": {"name": name}, "state": {}})).expect("it can be made");
    }

    #[test]
    fn what_was_taken_out_is_found_again() {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let made = Made::begin(&place.path().join("new")).expect("it is new");
        keep(&made, NEEDED, b"0123456789");
        made.finish(NEEDED, &json!({"v": 1})).expect("it can be written");
        let directory = place.path().join("new");
        let backup = open(&directory).expect("it is whole");
        let kept: Vec<&Kept> = backup.streams().collect();
        assert_eq!((kept.len(), kept[0].bytes), (1, 10));
        let mut data = kept[0].data().expect("it is there");
        let mut next = || data.next(4).expect("it can be read").map(|chunk| chunk.to_vec());
        let chunks = [next(), next(), next(), next()];
        let some = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(chunks, [some("0123"), some("4567"), some("89"), None]);
        assert!(Made::begin(&directory).is_err(), "another one is not written into it");
    }

    #[test]
    fn what_is_not_whole_is_not_put_back() {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let why = |directory: &Path| open(directory).expect_err("it is not whole");
        assert!(why(&place.path().join("none")).contains("not a directory"));
        assert!(why(place.path()).contains("JOBS is not in it"));
        let made = Made::begin(&place.path().join("a")).expect("it is new");
        let mut taking = made.stream(NEEDED).expect("it can be made");
        taking.write(b"half").expect("it can be written");
        assert!(why(made.directory()).contains("not whole"));
        let made = Made::begin(&place.path().join("b")).expect("it is new");
        keep(&made, NEEDED, b"all");
        assert!(why(made.directory()).contains(WHOLE), "and the rest was to come");
        // One of the other command's has no such word, and has all streams.
        keep(&made, OTHER, b"all");
        assert_eq!(open(made.directory()).expect("it is whole").streams().count(), 2);
        let about = made.directory().join(NEEDED).join(ABOUT);
        fs::write(about, r#"{"config": {"name": "OTHERS"}}"#).expect("it can be written");
        assert!(why(made.directory()).contains("another stream"));
    }
}
