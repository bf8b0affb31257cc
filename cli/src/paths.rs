//! Where files of a user go (XDG base directories). Reads the environment; nothing else does for
//! paths.

use std::env;
use std::path::PathBuf;

/// `$XDG_CACHE_HOME/stint`, else `~/.cache/stint`: what can be fetched again.
#[must_use]
pub(crate) fn cache_dir() -> Option<PathBuf> {
    base("XDG_CACHE_HOME", ".cache").map(|base| base.join("stint"))
}

/// `$XDG_DATA_HOME/stint`, else `~/.local/share/stint`: what is kept.
#[must_use]
pub(crate) fn data_dir() -> Option<PathBuf> {
    base("XDG_DATA_HOME", ".local/share").map(|base| base.join("stint"))
}

/// `$XDG_CONFIG_HOME`, else `~/.config`.
#[must_use]
pub(crate) fn config_home() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config")
}

/// `$CARGO_HOME`, else `~/.cargo`.
#[must_use]
pub(crate) fn cargo_home() -> Option<PathBuf> {
    base("CARGO_HOME", ".cargo")
}

/// `~/rest` under the user's home; any other path as it is.
#[must_use]
pub(crate) fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), absolute("HOME")) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

fn base(variable: &str, under_home: &str) -> Option<PathBuf> {
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(under_home)))
}

/// The XDG specification says to pass over relative paths.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
