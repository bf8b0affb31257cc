//! What is asked of the API.

use std::fmt;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::Value;
use stint_common::names::Names;

/// One request: `stint.v1.<namespace>.<resource>.<verb>[.<name>]` with options as headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    resource: String,
    verb: &'static str,
    namespace: String,
    name: Option<String>,
    options: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Call {
    /// `verb` on a collection of `namespace` (`_all` spans all).
    #[must_use]
    pub fn new(verb: &'static str, resource: &str, namespace: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            verb,
            namespace: namespace.to_owned(),
            name: None,
            options: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Names one object.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Adds an option, named like Kubernetes' query parameter; empty values say nothing and are
    /// left out.
    #[must_use]
    pub fn option(mut self, name: &'static str, value: impl ToString) -> Self {
        let value = value.to_string();
        self.options.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.options.push((name, value));
        }
        self
    }

    /// Whether an option is set.
    #[must_use]
    pub fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| *known == name)
    }

    /// Gives it a body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Bytes::from(body.to_string());
        self
    }

    /// The same question with another verb.
    #[must_use]
    pub(super) fn verb(mut self, verb: &'static str) -> Self {
        self.verb = verb;
        self
    }

    pub(super) fn subject(&self, names: &Names) -> String {
        names.api(&self.namespace, &self.resource, self.verb, self.name.as_deref())
    }

    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.options {
            headers.insert(*name, value.as_str());
        }
        headers
    }

    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }
}

/// For errors: `getting jobs default/pi`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb, self.resource, self.namespace)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_follow_the_contract() {
        let names = Names::default();
        let list = Call::new("list", "jobs", "_all").option("limit", 5).option("continue", "");
        assert_eq!(list.subject(&names), "stint.v1._all.jobs.list");
        assert_eq!(list.headers().len(), 1);
        let get = Call::new("get", "jobs", "team").name("pi");
        assert_eq!(get.subject(&names), "stint.v1.team.jobs.get.pi");
        assert_eq!(get.to_string(), "get jobs team/pi");
    }

    #[test]
    fn an_option_given_again_replaces() {
        let call = Call::new("watch", "jobs", "x").option("resourceVersion", 1);
        let call = call.option("resourceVersion", 2);
        assert_eq!(call.headers().get("resourceVersion").unwrap().as_str(), "2");
    }
}
