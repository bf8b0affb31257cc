//! What a `nats-server` program says of its version.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use stint_common::nats::MINIMUM_SERVER;

/// A version of nats-server; what follows the three numbers (`-beta.1`) is kept for showing only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: (u64, u64, u64),
    text: String,
}

impl Version {
    /// Reads what `nats-server --version` prints: `nats-server: v2.15.1`.
    #[must_use]
    pub fn parse_output(output: &str) -> Option<Self> {
        output.split_whitespace().find_map(Self::parse)
    }

    /// Reads `v2.15.1`, `2.12.0-beta.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let core = text.split(['-', '+']).next()?;
        let mut parts = core.split('.').map(|part| part.parse::<u64>().ok());
        let numbers = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then(|| Self { numbers, text: text.to_owned() })
    }

    /// Whether it keeps what it acknowledged when it is killed.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.numbers >= MINIMUM_SERVER
    }

    /// Major, minor, patch.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64, u64) {
        self.numbers
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Runs `program --version`. `Err` says in words why there is no answer.
pub(crate) fn ask(program: &Path) -> Result<Version, String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Version::parse_output(&text).ok_or_else(|| format!("`--version` prints {:?}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_words_are_read() {
        let version = Version::parse_output("nats-server: v2.15.1\n").unwrap();
        assert_eq!(version.numbers(), (2, 15, 1));
        assert_eq!(version.to_string(), "2.15.1");
        let beta = Version::parse_output("nats-server: v2.12.0-beta.1").unwrap();
        assert_eq!((beta.numbers(), beta.to_string()), ((2, 12, 0), "2.12.0-beta.1".to_owned()));
    }

    #[test]
    fn other_words_are_not_a_version() {
        for text in ["", "nats-server", "v2.15", "2.15.1.4", "version 2.x.1", "usage: 1.2"] {
            assert_eq!(Version::parse_output(text), None, "{text}");
        }
    }

    #[test]
    fn fit_begins_at_the_minimum() {
        let fit = |text| Version::parse(text).unwrap().is_fit();
        assert!(!fit("2.10.22") && !fit("2.9.99") && !fit("1.4.1"));
        assert!(fit("2.10.23") && fit("2.11.0") && fit("3.0.0"));
    }
}
