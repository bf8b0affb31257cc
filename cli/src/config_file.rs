//! `~/.config/stint/config.yaml`: what a user does not want to type again. Flags and variables come
//! before it, contexts of the `nats` command and defaults behind it.
//!
//! ```yaml
//! nats: nats://build.example:4222
//! namespace: team-a
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::paths;

/// Names another file.
pub const VARIABLE: &str = "STINT_CONFIG";

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigFile {
    /// NATS servers, comma separated.
    pub nats: Option<String>,
    /// Credentials file.
    pub creds: Option<String>,
    /// Context of the `nats` command.
    pub context: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Filter of the log.
    pub log: Option<String>,
    /// Form of the log: `text`, `json`.
    pub log_format: Option<String>,
    /// Where the API is offered over HTTP.
    pub http: Option<String>,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("reading {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It says something that is not understood.
    #[error("{path}: {why}")]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Where the file is, if the user has a place for such files.
#[must_use]
pub fn path() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| paths::config_home().map(|home| home.join("stint/config.yaml")))
}

/// Reads it; nothing if there is none. One that the variable names must be there.
///
/// # Errors
///
/// When it cannot be read or understood.
pub fn load() -> Result<ConfigFile, ConfigError> {
    let Some(path) = path() else { return Ok(ConfigFile::default()) };
    let must_be_there = std::env::var_os(VARIABLE).is_some_and(|path| !path.is_empty());
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_be_there => {
            Ok(ConfigFile::default())
        }
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    let only_comments =
        text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
    if only_comments {
        return Ok(ConfigFile::default());
    }
    serde_saphyr::from_str(text)
        .map_err(|error| ConfigError::Wrong { path: path.to_owned(), why: error.to_string() })
}

impl ConfigFile {
    /// The same as defaults of flags, so that flags and variables come before it. How to connect is
    /// not among them: there, contexts stand between.
    #[must_use]
    pub fn apply(&self, command: clap::Command) -> clap::Command {
        let defaults = [
            ("namespace", &self.namespace),
            ("filter", &self.log),
            ("format", &self.log_format),
            ("server", &self.http),
        ];
        let defaults: Vec<(&str, &String)> = defaults
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)))
            .collect();
        apply_to(command, &defaults)
    }
}

fn apply_to(command: clap::Command, defaults: &[(&str, &String)]) -> clap::Command {
    let mut command = command;
    for (name, value) in defaults {
        if command.get_arguments().any(|argument| argument.get_id() == *name) {
            let value: String = (*value).clone();
            command = command.mut_arg(name, |argument| argument.default_value(value));
        }
    }
    let names: Vec<String> = command
        .get_subcommands()
        // Servers are configured by their units.
        .map(|sub| sub.get_name().to_owned())
        .filter(|name| !["worker", "coordinator", "dev"].contains(&name.as_str()))
        .collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| apply_to(sub, defaults));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::{CommandFactory as _, FromArgMatches as _};

    fn read(text: &str) -> Result<ConfigFile, ConfigError> {
        parse(Path::new("c"), text)
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(read("# nothing\n").unwrap(), ConfigFile::default());
        assert_eq!(read("nats: nats://a\n").unwrap().nats.as_deref(), Some("nats://a"));
        assert!(read("nat: x\n").unwrap_err().to_string().contains("nat"));
    }

    #[test]
    fn flags_come_before_the_file() {
        let file = ConfigFile { namespace: Some("team".to_owned()), ..ConfigFile::default() };
        let namespace = |words: &[&str]| {
            let matches = file.apply(Cli::command()).try_get_matches_from(words).unwrap();
            match Cli::from_arg_matches(&matches).unwrap().command {
                Command::Get(args) => args.connect.namespace,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(namespace(&["stint", "get", "jobs"]), "team");
        assert_eq!(namespace(&["stint", "get", "jobs", "-n", "mine"]), "mine");
    }
}
