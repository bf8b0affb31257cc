//! `DeleteOptions`: a delete may say what it wants beside its path, or in a body.

use serde_json::Value;

use super::resources::Verb;
use crate::registry::{Error, Options};

/// Adds what the body of a delete says; what was said beside it comes first.
pub(super) fn with_body(verb: Verb, body: &[u8], mut options: Options) -> Result<Options, Error> {
    if verb == Verb::DeleteCollection {
        // Here it is where the list begins, which is not asked for: no precondition.
        options.resource_version = None;
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(options);
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        Error::BadRequest(format!("the body of a delete must be DeleteOptions: {error}"))
    })?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let from_body = Options::read(|name| match name {
        "uid" | "resourceVersion" => text(&body["preconditions"][name]),
        "dryRun" => text(&body["dryRun"][0]),
        name => text(&body[name]),
    })?;
    options.propagation = options.propagation.or(from_body.propagation);
    options.grace_seconds = options.grace_seconds.or(from_body.grace_seconds);
    options.uid = options.uid.or(from_body.uid);
    options.resource_version = options.resource_version.or(from_body.resource_version);
    options.dry_run |= from_body.dry_run;
    Ok(options)
}
