//! A wall clock that can be set, for processes that are started with it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parts::Dress;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shifted_clock.c");
/// What the preloaded library reads.
const VARIABLE: &str = "STINT_TEST_CLOCK";

/// The clock of some processes. The machine's own is left alone.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    path: PathBuf,
    file: File,
}

impl WallClock {
    /// A clock that is right, and lies in `dir` under a name.
    ///
    /// # Panics
    ///
    /// When the compiler that links Rust's programs cannot make a library of it.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        let (library, path) = (dir.join(format!("{name}.so")), dir.join(format!("{name}.clock")));
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, Path::new(SOURCE)])
            .status()
            .expect("there is a C compiler");
        assert!(made.success(), "{SOURCE} cannot be compiled");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let clock = Self { library, path, file: file.expect("a file can be made") };
        clock.set(0);
        clock
    }

    /// How a part is started that goes by it.
    #[must_use]
    pub fn dress(&self) -> Dress {
        let preload = ("LD_PRELOAD".to_owned(), self.library.clone().into_os_string());
        let own = (VARIABLE.to_owned(), self.path.clone().into_os_string());
        Dress { environment: vec![preload, own], ..Dress::default() }
    }

    /// Sets it so many seconds before or behind the machine's.
    ///
    /// # Panics
    ///
    /// When its file is gone.
    pub fn set(&self, seconds: i64) {
        // One write of eight bytes: nobody sees half of it.
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).expect("its file can be written");
    }
}
