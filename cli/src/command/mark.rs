//! `stint label` and `stint annotate`.

use serde_json::{Map, Value, json};

use super::patch::{MERGE, tell};
use super::session::Session;
use super::targets::{Choice, find, meant};
use crate::args::MarkArgs;
use crate::exit::{Exit, Expected};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Label,
    Annotation,
}

impl Mark {
    fn list(self) -> &'static str {
        match self {
            Self::Label => "labels",
            Self::Annotation => "annotations",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Label => "labeled",
            Self::Annotation => "annotated",
        }
    }
}

pub(super) async fn run(args: MarkArgs, mark: Mark) -> anyhow::Result<Exit> {
    let (targets, changes) = split(&args.words)?;
    let choice = Choice { selector: args.selector.as_deref(), all: false };
    let meant = meant(&targets, choice)?;
    let session = Session::open(&args.connect).await?;
    for (resource, name) in find(&session, meant, choice).await? {
        let before = session.get(resource, &name).await?;
        if !args.overwrite {
            spare(&before, mark, &changes)?;
        }
        // What was looked at is what is changed: another's write in between is not lost.
        let revision = &before["metadata"]["resourceVersion"];
        let mut metadata = json!({"resourceVersion": revision});
        metadata[mark.list()] = Value::Object(changes.clone());
        let call = session.call("patch", resource).name(&name).option("Content-Type", MERGE);
        let after = session.request(&call.json(&json!({"metadata": metadata}))).await?;
        tell(resource.qualified(), &before, &after, None, mark.done())?;
    }
    Ok(Exit::Success)
}

/// Words that name objects, and the changes: a value, or null for a key that is taken off.
fn split(words: &[String]) -> Result<(Vec<String>, Map<String, Value>), Expected> {
    let mut targets = Vec::new();
    let mut changes = Map::new();
    for word in words {
        let change = match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) => (key, json!(value)),
            (None, Some(key)) => (key, Value::Null),
            (None, None) => {
                targets.push(word.clone());
                continue;
            }
        };
        let (key, value) = change;
        if key.is_empty() || changes.insert(key.to_owned(), value).is_some() {
            return Err(Expected::usage(format!("`{word}`: a key is missing, or named twice")));
        }
    }
    if changes.is_empty() {
        return Err(Expected::usage(
            "nothing is to be changed: write KEY=VALUE, or KEY- to take one off",
        ));
    }
    Ok((targets, changes))
}

/// Refuses to change values that are there.
fn spare(object: &Value, mark: Mark, changes: &Map<String, Value>) -> Result<(), Expected> {
    let there = &object["metadata"][mark.list()];
    let other = changes.iter().find(|(key, value)| {
        !value.is_null() && !there[key.as_str()].is_null() && there[key.as_str()] != **value
    });
    let Some((key, _)) = other else { return Ok(()) };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let what = format!("{name} has {key}={} already", there[key.as_str()]);
    Err(Expected::usage(what).try_next("--overwrite changes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<(Vec<String>, Map<String, Value>), Expected> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        split(&words)
    }

    #[test]
    fn names_and_changes_are_told_apart() {
        let (targets, changes) = words("job pi a=b c- d=e=f g=").unwrap();
        assert_eq!(targets, ["job", "pi"]);
        let expect = json!({"a": "b", "c": null, "d": "e=f", "g": ""});
        assert_eq!(Value::Object(changes), expect);
        for wrong in ["job pi", "job pi =x", "job pi -", "job pi a=b a-"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_that_are_there_are_spared() {
        let object = json!({"metadata": {"name": "pi", "labels": {"a": "b"}}});
        let check = |text: &str, ok: bool| {
            let (_, changes) = words(text).unwrap();
            assert_eq!(spare(&object, Mark::Label, &changes).is_ok(), ok, "{text}");
        };
        check("job pi a=b", true);
        check("job pi a-", true);
        check("job pi c=d", true);
        check("job pi a=c", false);
    }
}
