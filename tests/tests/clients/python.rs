//! Programs in Python: `nats-py` with nothing of ours, and Kubernetes' own client.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::shared;

/// What the programs need: name and version, as `pip` reads them.
const PACKAGES: [&str; 2] = ["nats-py==2.16.0", "kubernetes==37.0.2"];
/// Fetching and installing takes no longer.
const INSTALL: Duration = Duration::from_secs(240);
/// A program takes no longer.
const LIMIT: Duration = Duration::from_secs(120);

/// The interpreter of an environment with the packages; `None` where it cannot be made.
pub(super) async fn python() -> Option<PathBuf> {
    static PYTHON: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    PYTHON.get_or_init(environment).await.clone()
}

async fn environment() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = place.join("bin").join("python");
    let imports = ["-c", "import nats, kubernetes"];
    if run(&python, &imports).await.is_ok() {
        return Some(python);
    }
    let venv = place.display().to_string();
    let made = run(Path::new("python3"), &["-m", "venv", "--clear", &venv]).await;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let install = [&install[..], &PACKAGES[..]].concat();
    let done = match made {
        Ok(()) => run(&python, &install).await,
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        eprintln!("SKIPPED: there is no Python with {PACKAGES:?}: {error}");
        return None;
    }
    Some(python)
}

async fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(INSTALL, command.output()).await;
    let output = output.map_err(|_| "it takes too long".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// Runs a program of `tests/clients`, which checks what it sees, with an address as its argument.
async fn check(program: &str, arguments: &[&str]) {
    let Some(python) = python().await else { return };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(program);
    let mut command = Command::new(python);
    command.arg(file).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.expect("the program ends");
    let output = output.expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).ends_with("done\n"), "{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_whole_life_over_nats() {
    let (world, _api) = shared("nats-py").await;
    check("life.py", &[&world.url(), "nats-py"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_own_python_client() {
    let (world, _api) = shared("py-client").await;
    let address = format!("http://{}", world.http("coordinator-0").address);
    check("kubernetes_client.py", &[&address, "py-client"]).await;
}
