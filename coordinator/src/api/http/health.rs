//! `/version`, and whether the coordinator is well.

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{self, Body};
use crate::registry::{Error, Registry};

/// The Kubernetes version whose API this is: what clients compare themselves with.
const MINOR: &str = "36";

/// The answer to `/version`.
pub(super) fn version() -> Value {
    json!({
        "major": "1",
        "minor": MINOR,
        "gitVersion": format!("v1.{MINOR}.0+stint-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// The machine's architecture by the name that Kubernetes has for it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The answer to `/healthz`, `/livez`, `/readyz`, and to one check of theirs.
///
/// # Errors
///
/// 404 for a check that there is not.
pub(super) fn check(
    path: &str,
    query: &Query,
    registry: &Registry,
) -> Result<Response<Body>, Error> {
    let (endpoint, one) = path.split_once('/').map_or((path, None), |(at, one)| (at, Some(one)));
    let checks: &[(&str, bool)] = if endpoint == "livez" {
        // Starting again brings no NATS back.
        &[("ping", true)]
    } else {
        &[("ping", true), ("nats", registry.is_connected())]
    };
    let checks: Vec<_> = match one {
        None | Some("") => checks.to_vec(),
        Some(one) => checks.iter().filter(|(name, _)| *name == one).copied().collect(),
    };
    if checks.is_empty() {
        return Err(Error::NoSuchResource);
    }
    let well = checks.iter().all(|(_, well)| *well);
    let mut report: String = checks
        .iter()
        .map(|(name, well)| match well {
            true => format!("[+]{name} ok\n"),
            false => format!("[-]{name} failed: not connected\n"),
        })
        .collect();
    report += &format!("{endpoint} check {}\n", if well { "passed" } else { "failed" });
    Ok(match (well, query.is_set("verbose")) {
        (true, false) => respond::text(StatusCode::OK, "ok".to_owned()),
        (true, true) => respond::text(StatusCode::OK, report),
        (false, _) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, report),
    })
}
