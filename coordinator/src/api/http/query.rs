//! What stands behind the question mark, and the headers that say the rest.

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, USER_AGENT};

use crate::api::resources::Verb;
use crate::registry::{Error, Options, is_apply, is_true};

/// Headers that are options, and no query parameters.
const HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];
/// Of a delete these are preconditions, which stand in its body alone.
const PRECONDITIONS: [&str; 2] = ["uid", "resourceVersion"];

/// The parameters of a request. Of one that comes twice, the first counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes the text behind the question mark apart.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set: `watch`, `watch=1`, `watch=True`.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    /// The options of a request.
    ///
    /// # Errors
    ///
    /// 400 for a value that does not parse.
    pub(super) fn options(&self, headers: &HeaderMap, verb: Verb) -> Result<Options, Error> {
        let deletes = matches!(verb, Verb::Delete | Verb::DeleteCollection);
        Options::read(|name| {
            if deletes && PRECONDITIONS.contains(&name) {
                return None;
            }
            if HEADERS.contains(&name) {
                return headers.get(name)?.to_str().ok().map(str::to_owned);
            }
            if name == "fieldManager" && self.get(name).is_none_or(str::is_empty) {
                return user_agent(headers);
            }
            // Kubernetes' default, and clients hand in what only it forgives: Prefect's template
            // of Jobs has `completions` among the fields of the pod. Over NATS it is `Strict`.
            if name == "fieldValidation" && self.get(name).is_none_or(str::is_empty) {
                return Some("Warn".to_owned());
            }
            self.get(name).map(str::to_owned)
        })
    }
}

/// The name of the program that asks: Kubernetes' word for who writes, where nobody says so. Who
/// applies must say so.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if is_apply(content_type) {
        return None;
    }
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    let name: String = text.split('/').next()?.chars().take(128).collect();
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse(Some("labelSelector=a%3Db%2Cc&watch&limit=500&limit=1"));
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert_eq!(query.get("limit"), Some("500"));
        assert!(query.is_set("watch") && !query.is_set("pretty"));
        let flags = [("false", false), ("False", false), ("0", false), ("True", true), ("", true)];
        for (text, set) in flags {
            let query = Query::parse(Some(&format!("watch={text}")));
            assert_eq!(query.is_set("watch"), set, "{text:?}");
        }
    }

    #[test]
    fn preconditions_of_a_delete_are_not_in_its_path() {
        let query = Query::parse(Some("resourceVersion=7&uid=x&limit=2"));
        let read = |verb| query.options(&HeaderMap::new(), verb).unwrap();
        assert_eq!(read(Verb::Delete).resource_version, None);
        assert_eq!(read(Verb::Delete).uid, None);
        assert_eq!(read(Verb::List).resource_version, Some(7));
    }
}
