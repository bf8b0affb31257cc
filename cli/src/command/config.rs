//! `stint config view`: what holds, and who says so.

use std::path::Path;

use serde_json::json;
use stint_common::config::Auth;

use super::print::out;
use super::session::flags;
use crate::args::{ConfigArgs, ConfigCommand, ConfigViewArgs, LogArgs, LogFormat, StructuredForm};
use crate::client::{Flags, resolve};
use crate::config_file::{self, ConfigFile};
use crate::exit::{Exit, Expected};
use crate::output::table::Table;
use crate::paths;

/// One value.
struct Held {
    key: &'static str,
    value: String,
    from: String,
}

pub(super) fn run(args: ConfigArgs, log: &LogArgs) -> anyhow::Result<Exit> {
    let ConfigCommand::View(args) = args.command;
    let file = config_file::load().map_err(unusable)?;
    let held = held(&args, log, &file)?;
    out(&match args.output {
        StructuredForm::Table => {
            let rows: Vec<Vec<String>> = held
                .into_iter()
                .map(|held| vec![held.key.to_owned(), held.value, held.from])
                .collect();
            Table::default().render(&["KEY", "VALUE", "FROM"], &rows)
        }
        StructuredForm::Json => {
            let all: Vec<_> = held
                .iter()
                .map(|held| json!({"key": held.key, "value": held.value, "from": held.from}))
                .collect();
            format!("{:#}\n", json!(all))
        }
    })?;
    Ok(Exit::Success)
}

/// A file that cannot be used, as an error of the user's.
pub(super) fn unusable(error: config_file::ConfigError) -> Expected {
    Expected::usage("the configuration file cannot be used").because(error)
}

fn held(args: &ConfigViewArgs, log: &LogArgs, file: &ConfigFile) -> anyhow::Result<Vec<Held>> {
    let typed = flags(args.connect.nats.clone());
    let config_home = paths::config_home();
    let settings = resolve(typed.clone().or(file), config_home.as_deref(), "stint")?;
    let path = config_file::path();
    let place = path.as_deref().map_or_else(|| "the file".to_owned(), show);
    let from = |value: &str, variables: &[&str], in_file: Option<&String>| {
        let variable =
            variables.iter().find(|name| std::env::var(name).is_ok_and(|text| text == value));
        match (variable, in_file) {
            (Some(name), _) => (*name).to_owned(),
            (None, Some(own)) if own == value => place.clone(),
            (None, _) => String::new(),
        }
    };
    let said = |text: String, otherwise: &str| {
        if text.is_empty() { otherwise.to_owned() } else { text }
    };
    let flag = |given: bool, otherwise: &str| {
        if given { "a flag".to_owned() } else { otherwise.to_owned() }
    };
    let url = from(&settings.url, &["STINT_NATS_URL", "NATS_URL"], file.nats.as_ref());
    let url_from = said(url, &flag(typed.url.is_some(), &context_of(&typed, file)));
    let namespace = &args.connect.namespace;
    let of_namespace = from(namespace, &["STINT_NAMESPACE"], file.namespace.as_ref());
    let filter = log.filter.clone().unwrap_or_default();
    let of_filter = from(&filter, &["STINT_LOG"], file.log.as_ref());
    let form = match log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let of_form = from(form, &["STINT_LOG_FORMAT"], file.log_format.as_ref());
    let auth = auth(&settings.auth);
    let typed_as = match &typed.auth {
        Some(Auth::Creds(path)) => show(path),
        Some(Auth::Password(user, _)) => user.clone(),
        _ => String::new(),
    };
    let of_auth = from(&typed_as, &["NATS_CREDS", "NATS_USER"], None);
    let of_auth = match (typed.auth.is_some(), settings.auth == Auth::None) {
        (true, _) => said(of_auth, "a flag"),
        (false, true) => "default".to_owned(),
        (false, false) if file.creds.is_some() => place.clone(),
        (false, false) => context_of(&typed, file),
    };
    let default = "default";
    Ok(vec![
        Held { key: "file", value: place.clone(), from: is_there(path.as_deref()) },
        Held { key: "nats", value: settings.url, from: url_from },
        Held { key: "auth", value: auth, from: of_auth },
        Held {
            key: "namespace",
            value: namespace.clone(),
            from: said(of_namespace, &flag(namespace != default, default)),
        },
        Held {
            key: "log",
            from: said(of_filter, &flag(!filter.is_empty(), default)),
            value: if filter.is_empty() { "warn (servers: info)".to_owned() } else { filter },
        },
        Held {
            key: "log-format",
            value: form.to_owned(),
            from: said(of_form, &flag(form != "text", default)),
        },
    ])
}

/// Which context gives what nobody else says.
fn context_of(typed: &Flags, file: &ConfigFile) -> String {
    let named = typed.context.as_ref().or(file.context.as_ref());
    match (named, paths::config_home()) {
        (Some(name), _) => format!("context {name} of nats"),
        (None, Some(home)) if home.join("nats/context.txt").is_file() => {
            "the selected context of nats".to_owned()
        }
        (None, _) => "default".to_owned(),
    }
}

/// As whom, without what nobody should see.
fn auth(auth: &Auth) -> String {
    match auth {
        Auth::None => "nobody".to_owned(),
        Auth::Creds(path) => format!("creds {}", show(path)),
        Auth::Nkey(path) => format!("nkey {}", show(path)),
        Auth::Password(user, _) => format!("user {user}"),
        Auth::Token(_) => "a token".to_owned(),
    }
}

fn is_there(path: Option<&Path>) -> String {
    let there = path.is_some_and(Path::is_file);
    if there { "read".to_owned() } else { "not there".to_owned() }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
