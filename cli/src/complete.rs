//! Completion of command lines, also with what there is: names of Jobs.
//!
//! Shells call the program again, with `COMPLETE` set, at each completion.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use serde_json::Value;
use stint_common::config::Auth;

use crate::args::Cli;
use crate::client::{Call, Client, Flags, resolve};
use crate::{config_file, paths};

/// Whoever presses a key does not wait longer.
const LIMIT: Duration = Duration::from_millis(800);
/// More names help nobody.
const NAMES: usize = 500;
/// Commands and their arguments that name Jobs.
const JOBS: [(&str, &str); 12] = [
    ("logs", "target"),
    ("explain", "jobs"),
    ("trace", "job"),
    ("wait", "job"),
    ("results", "job"),
    ("rerun", "job"),
    ("suspend", "jobs"),
    ("resume", "jobs"),
    ("events", "about"),
    ("get", "names"),
    ("describe", "targets"),
    ("delete", "targets"),
];

/// Answers a shell that asks for completions, and ends; returns if none does.
pub fn answer_shell() {
    CompleteEnv::with_factory(command).complete();
}

/// The script that makes a shell ask.
///
/// # Errors
///
/// When there is no such shell, or it cannot be written.
pub fn registration(shell: &str) -> std::io::Result<Vec<u8>> {
    let shells = clap_complete::env::Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(|| {
        let known: Vec<&str> = shells.names().collect();
        std::io::Error::other(format!("no shell {shell}: {}", known.join(", ")))
    })?;
    let mut script = Vec::new();
    completer.write_registration("COMPLETE", "stint", "stint", "stint", &mut script)?;
    Ok(script)
}

fn command() -> Command {
    JOBS.into_iter().fold(Cli::command(), |command, (name, argument)| {
        let exists = command
            .find_subcommand(name)
            .is_some_and(|sub| sub.get_arguments().any(|known| known.get_id() == argument));
        if !exists {
            return command;
        }
        command.mut_subcommand(name, |sub| {
            sub.mut_arg(argument, |argument| argument.add(ArgValueCandidates::new(jobs)))
        })
    })
}

/// Names of Jobs; none if they cannot be had at once.
fn jobs() -> Vec<CompletionCandidate> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let found = runtime.block_on(async { tokio::time::timeout(LIMIT, list()).await });
    found.ok().flatten().unwrap_or_default()
}

async fn list() -> Option<Vec<CompletionCandidate>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let file = config_file::load().ok()?;
    let path = |name: &str| variable(name).map(PathBuf::from);
    let creds = path("NATS_CREDS").map(Auth::Creds);
    let password = variable("NATS_PASSWORD").unwrap_or_default();
    let user = variable("NATS_USER").map(|user| Auth::Password(user, password));
    let flags = Flags {
        url: variable("STINT_NATS_URL").or_else(|| variable("NATS_URL")),
        context: variable("NATS_CONTEXT"),
        auth: creds.or(user),
        ca: path("NATS_CA"),
        certificate: path("NATS_CERT").zip(path("NATS_KEY")),
        inbox_prefix: variable("STINT_INBOX_PREFIX"),
    };
    let home = paths::config_home();
    let settings = resolve(flags.or(&file), home.as_deref(), "stint completion").ok()?;
    let client = Client::connect(&settings).await.ok()?;
    let namespace = variable("STINT_NAMESPACE").or(file.namespace);
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let call = Call::new("list", "jobs", &namespace).option("limit", NAMES);
    let answer = client.request(&call).await.ok()?.object;
    let names = answer["items"].as_array()?.iter();
    let names = names.filter_map(|job: &Value| job["metadata"]["name"].as_str());
    Some(names.map(CompletionCandidate::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_that_names_jobs_is_there() {
        let command = Cli::command();
        for (name, argument) in JOBS {
            let sub = command.find_subcommand(name).unwrap_or_else(|| panic!("no {name}"));
            let there = sub.get_arguments().any(|known| known.get_id() == argument);
            assert!(there, "{name} has no {argument}");
        }
        super::command().debug_assert();
    }

    #[test]
    fn shells_are_told_to_ask() {
        for shell in ["bash", "zsh", "fish", "elvish"] {
            let script = String::from_utf8(registration(shell).unwrap()).unwrap();
            assert!(script.contains("COMPLETE") && script.contains("stint"), "{script}");
        }
        assert!(registration("dos").is_err());
    }
}
