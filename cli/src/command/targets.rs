//! Which objects a command line means: by names, or by what selects them.

use serde_json::Value;

use super::session::Session;
use crate::client::PAGE;
use crate::exit::Expected;
use crate::resource::{ParseError, Resource, parse_targets};

/// How objects are chosen besides by their names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choice<'a> {
    /// Those with these labels.
    pub(super) selector: Option<&'a str>,
    /// All of the type.
    pub(super) all: bool,
}

/// What words and choice mean, before anybody is asked.
pub(super) enum Meant {
    Named(Vec<(Resource, String)>),
    Chosen(Resource),
}

/// Reads the words of a command line.
pub(super) fn meant(words: &[String], choice: Choice<'_>) -> anyhow::Result<Meant> {
    let usage = |error: anyhow::Error| Expected::usage("what is meant").because(error);
    if choice.selector.is_none() && !choice.all {
        let named = parse_targets(words).map_err(|error| usage(error.into()))?;
        return Ok(Meant::Named(named));
    }
    let [kind] = words else {
        let error = anyhow::anyhow!("with --selector or --all only a type is given, and no names");
        return Err(usage(error).into());
    };
    let kind: Result<Resource, ParseError> = Resource::parse(kind);
    Ok(Meant::Chosen(kind.map_err(|error| usage(error.into()))?))
}

/// The objects that are meant.
pub(super) async fn find(
    session: &Session,
    meant: Meant,
    choice: Choice<'_>,
) -> anyhow::Result<Vec<(Resource, String)>> {
    let resource = match meant {
        Meant::Named(named) => return Ok(named),
        Meant::Chosen(resource) => resource,
    };
    let call =
        session.call("list", resource).option("labelSelector", choice.selector.unwrap_or(""));
    let mut found = Vec::new();
    let take = |items: Vec<Value>| {
        let names = items.iter().filter_map(|item| item["metadata"]["name"].as_str());
        found.extend(names.map(|name| (resource, name.to_owned())));
    };
    session.each_page(call, PAGE, usize::MAX, take).await?;
    Ok(found)
}
