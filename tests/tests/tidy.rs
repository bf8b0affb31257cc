//! What no compiler checks: the architecture's invariants, the look of files, and that the README
//! keeps up.
//!
//! Reads the sources as text, so its questions are simple ones. Code of unit tests, at the end of a
//! file or in a file of its own, may do what other code may not.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer files are split.
const MOST_LINES: usize = 600;
/// Wider lines do not fit beside each other on a screen.
const MOST_COLUMNS: usize = 100;

/// Modules that cannot fail for an outside reason, and ask nobody for the time.
const PURE: [&str; 5] = [
    "coordinator/src/cron",
    "coordinator/src/job",
    "coordinator/src/admission",
    "worker/src/pod",
    "worker/src/launch",
];

/// What none of them may name.
const IMPURE: [&str; 17] = [
    "async ",
    ".await",
    "tokio",
    "async_nats",
    "common::nats",
    "common::time::now",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "rand::",
    "::new_v4",
    "tracing::",
];

/// Imports point down: what a module may not name of its own crate.
const DOWN: [(&str, &[&str]); 18] = [
    ("coordinator/src/job", &["admission", "store", "registry", "control", "api", "serve"]),
    ("coordinator/src/admission", &["job", "store", "registry", "control", "api", "serve"]),
    (
        "coordinator/src/cron",
        &["job", "admission", "store", "registry", "tend", "control", "api", "serve"],
    ),
    ("coordinator/src/store", &["admission", "registry", "control", "api", "serve"]),
    ("coordinator/src/registry", &["control", "api", "serve"]),
    ("coordinator/src/control", &["admission", "registry", "api", "serve"]),
    ("coordinator/src/tend", &["job", "admission", "store", "control", "api", "serve"]),
    ("coordinator/src/api", &["job", "admission", "store", "control", "serve"]),
    ("worker/src/pod", &["launch", "logs", "runtime", "supervisor", "agent", "serve"]),
    ("worker/src/launch", &["logs", "runtime", "supervisor", "agent", "serve"]),
    ("worker/src/logs", &["pod", "launch", "forward", "runtime", "supervisor", "agent", "serve"]),
    (
        "worker/src/forward",
        &["pod", "launch", "runtime", "supervisor", "agent", "machine", "serve"],
    ),
    ("worker/src/runtime", &["pod", "supervisor", "agent", "serve"]),
    ("worker/src/supervisor", &["pod", "agent", "machine", "serve"]),
    ("worker/src/agent", &["supervisor", "machine", "serve"]),
    ("worker/src/machine", &["serve"]),
    ("cli/src/args", &["command", "client", "output"]),
    ("cli/src/output", &["command", "client"]),
];

/// Directories whose modules the README's code map names one by one.
const MAPPED: [&str; 4] = ["common/src", "coordinator/src", "worker/src", "cli/src"];

/// One source file.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let relative = path.strip_prefix(root).unwrap_or(path);
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Self { path: relative.display().to_string(), text }
    }

    fn is_in(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    }

    fn is_test(&self) -> bool {
        ["/tests/", "/tests.rs", "/benches/"].iter().any(|part| self.path.contains(part))
            || self.path.starts_with("tests/")
    }

    /// Lines of code outside unit tests, with their numbers and without their comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| *line != "#[cfg(test)]");
        let none = usize::from(self.is_test()) * usize::MAX;
        lines.enumerate().skip(none).map(|(index, line)| {
            (index + 1, line.find("//").map_or(line, |comment| &line[..comment]))
        })
    }
}

/// What is wrong, one line each.
#[derive(Default)]
struct Faults(String);

impl Faults {
    fn add(&mut self, path: &str, line: usize, what: &str) {
        writeln!(self.0, "{path}:{line}: {what}").expect("a string takes every line");
    }

    fn none(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package is in the workspace's directory").to_owned()
}

/// Files under `dir` for which `wanted` says so; nothing that is built, fetched or hidden by git.
fn files(dir: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{dir:?}: {error}"));
    for entry in entries {
        let path = entry.expect("a directory can be read to its end").path();
        let name = path.file_name().unwrap_or_default();
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            files(&path, wanted, found);
        } else if wanted(&path) {
            found.push(path);
        }
    }
}

fn with_extensions(extensions: &[&str]) -> Vec<Source> {
    let root = root();
    let wanted = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extensions.contains(&extension.unwrap_or_default())
    };
    let mut found = Vec::new();
    files(&root, &wanted, &mut found);
    found.sort();
    found.iter().map(|path| Source::read(&root, path)).collect()
}

fn sources() -> Vec<Source> {
    let sources = with_extensions(&["rs"]);
    assert!(sources.len() > 100, "the sources were not found");
    sources
}

#[test]
fn pure_modules_ask_nobody() {
    let mut faults = Faults::default();
    for source in sources() {
        if !PURE.iter().any(|module| source.is_in(module)) {
            continue;
        }
        for (number, line) in source.code() {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                faults.add(&source.path, number, &format!("`{word}` in a pure module"));
            }
        }
    }
    faults.none();
}

#[test]
fn imports_point_down() {
    let mut faults = Faults::default();
    for source in sources() {
        for (_, above) in DOWN.iter().filter(|(module, _)| source.is_in(module)) {
            for (number, line) in source.code() {
                for module in *above {
                    let name = format!("crate::{module}");
                    let named = line.match_indices(&name).any(|(at, _)| {
                        let next = line[at + name.len()..].chars().next();
                        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
                    });
                    if named {
                        faults.add(
                            &source.path,
                            number,
                            &format!("names `{name}`, which is above"),
                        );
                    }
                }
            }
        }
    }
    faults.none();
}

#[test]
fn subjects_are_built_in_one_place() {
    let mut faults = Faults::default();
    for source in sources() {
        // Attributes of spans, and metrics, are called `stint.…` too.
        let named_otherwise = ["coordinator/src/trace", "common/src/metrics"];
        // A client that is to need nothing of ours has only what the README says of subjects.
        let foreign = source.is_in("docs/clients");
        if source.path == "common/src/names.rs"
            || foreign
            || named_otherwise.iter().any(|module| source.is_in(module))
        {
            continue;
        }
        for (number, line) in source.code() {
            if line.contains("\"stint.") || line.contains("\"{prefix}.") {
                faults.add(&source.path, number, "a subject is built outside of names.rs");
            }
        }
    }
    faults.none();
}

#[test]
fn files_say_what_they_are_for_and_are_not_long() {
    let mut faults = Faults::default();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            faults.add(&source.path, 1, "does not begin with what it is for");
        }
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            faults.add(&source.path, lines, "too long: split it");
        }
    }
    faults.none();
}

/// Texts in quotes are not broken for width.
#[test]
fn lines_are_not_wide() {
    let mut faults = Faults::default();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            let comment = line.trim_start().starts_with("//");
            if columns > MOST_COLUMNS && (comment || !line.contains('"')) {
                faults.add(&source.path, index + 1, &format!("{columns} columns"));
            }
        }
    }
    faults.none();
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = ["TO DO", "FIX ME", "XX X", "dbg !("].map(|word| word.replace(' ', ""));
    let mut faults = Faults::default();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                faults.add(&source.path, index + 1, word);
            }
        }
    }
    faults.none();
}

/// Paths of the machine that something was written on mean nothing to its reader.
#[test]
fn no_text_names_somebodys_directories() {
    let paths = ["/wo rk/", "/tm p/w/", "/ro ot/"].map(|path| path.replace(' ', ""));
    let mut faults = Faults::default();
    let texts = ["rs", "md", "toml", "yaml", "json", "conf", "service", "env", "sh"];
    for source in with_extensions(&texts) {
        for (index, line) in source.text.lines().enumerate() {
            for path in paths.iter().filter(|path| line.contains(path.as_str())) {
                faults.add(&source.path, index + 1, path);
            }
        }
    }
    faults.none();
}

#[test]
fn the_code_map_names_every_module() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let (_, map) = readme.split_once("Code map\n").expect("the README has a code map");
    let map = map.split("\n## ").next().unwrap_or(map);
    let mut missing = BTreeSet::new();
    for source in sources() {
        for package in MAPPED {
            let Some(inside) = source.path.strip_prefix(package) else { continue };
            let module = inside.trim_start_matches('/').split('/').next().unwrap_or_default();
            let module = module.trim_end_matches(".rs");
            if module != "lib" && module != "main" && !map.contains(&format!("`{module}`")) {
                missing.insert(format!("{package}/{module}"));
            }
        }
    }
    assert!(missing.is_empty(), "the code map of the README does not name {missing:?}");
}
