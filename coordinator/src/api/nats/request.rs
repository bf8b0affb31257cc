//! One request: what its subject and headers say.

use async_nats::HeaderMap;
use stint_common::names::{ALL_NAMESPACES, Names};

use crate::registry::{Error, Options};

/// The subject of a request, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// `None` for all namespaces.
    pub(super) namespace: Option<String>,
    pub(super) resource: String,
    pub(super) verb: String,
    pub(super) name: Option<String>,
}

/// Reads `<prefix>.v1.<namespace>.<resource>.<verb>[.<name>]`; names may hold dots.
pub(super) fn target(names: &Names, subject: &str) -> Result<Target, Error> {
    let rest = subject.strip_prefix(&names.api_root()).and_then(|rest| rest.strip_prefix('.'));
    let mut tokens = rest.ok_or(Error::NoSuchResource)?.splitn(4, '.');
    let (Some(namespace), Some(resource), Some(verb)) =
        (tokens.next(), tokens.next(), tokens.next())
    else {
        return Err(Error::BadRequest(format!(
            "subject {subject} is too short: it must be {}.<namespace>.<resource>.<verb>[.<name>]",
            names.api_root()
        )));
    };
    Ok(Target {
        namespace: (namespace != ALL_NAMESPACES).then(|| namespace.to_owned()),
        resource: resource.to_owned(),
        verb: verb.to_owned(),
        name: tokens.next().map(str::to_owned),
    })
}

impl Target {
    /// The namespace, where a verb needs one.
    pub(super) fn one_namespace(&self) -> Result<&str, Error> {
        let namespace = self.namespace.as_deref().ok_or_else(|| {
            Error::BadRequest(format!(
                "{} of {} needs one namespace, not all",
                self.verb, self.resource
            ))
        })?;
        let valid = (1..=63).contains(&namespace.len())
            && namespace
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !namespace.starts_with('-')
            && !namespace.ends_with('-');
        if valid {
            Ok(namespace)
        } else {
            Err(Error::BadRequest(format!("{namespace:?} is not a namespace")))
        }
    }

    /// The name, where a verb needs one.
    pub(super) fn one_name(&self) -> Result<&str, Error> {
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        name.ok_or_else(|| {
            Error::BadRequest(format!(
                "{} of {} needs a name at the subject's end",
                self.verb, self.resource
            ))
        })
    }
}

/// The options among the headers; names are matched without regard to case, as HTTP's are.
pub(super) fn options(headers: Option<&HeaderMap>) -> Result<Options, Error> {
    Options::read(|name| header(headers, name))
}

/// A header's first value.
pub(super) fn header(headers: Option<&HeaderMap>, name: &str) -> Option<String> {
    let found =
        headers?.iter().find(|(key, _)| AsRef::<str>::as_ref(*key).eq_ignore_ascii_case(name));
    found.and_then(|(_, values)| values.first()).map(|value| value.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_taken_apart() {
        let names = Names::default();
        let target = |subject: &str| target(&names, subject);
        let get = target("stint.v1.default.jobs.get.my.job").unwrap();
        assert_eq!((get.one_namespace().unwrap(), get.one_name().unwrap()), ("default", "my.job"));
        let list = target("stint.v1._all.jobs.list").unwrap();
        assert_eq!((list.namespace.as_deref(), list.name.as_deref()), (None, None));
        assert!(list.one_namespace().is_err() && list.one_name().is_err());
        assert!(target("stint.v1.default").is_err());
        assert!(target("other.v1.a.b.c").is_err());
        assert!(target("stint.v1.Not_A.jobs.create").unwrap().one_namespace().is_err());
    }

    #[test]
    fn option_headers_have_no_case() {
        let mut headers = HeaderMap::new();
        headers.insert("labelselector", "a=b");
        headers.insert("Limit", "3");
        let options = options(Some(&headers)).unwrap();
        assert_eq!(options.limit, 3);
        assert!(!options.labels.is_everything());
        headers.insert("limit", "many");
        assert!(
            super::options(Some(&headers)).is_err() || header(Some(&headers), "limit").is_some()
        );
    }
}
