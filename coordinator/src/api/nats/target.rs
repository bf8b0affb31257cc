//! What a request's subject and headers say.

use async_nats::HeaderMap;
use stint_common::names::{ALL_NAMESPACES, Names};

use crate::api::instead::no_part;
use crate::api::resources::{ApiResource, Part, Verb, by_plural};
use crate::registry::{Error, Options};

/// The subject of a request, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// `None` for all namespaces.
    pub(super) namespace: Option<String>,
    pub(super) resource: &'static ApiResource,
    pub(super) part: Option<Part>,
    pub(super) verb: Verb,
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
    let (plural, part) =
        resource.split_once('/').map_or((resource, None), |(plural, part)| (plural, Some(part)));
    let resource = by_plural(plural).ok_or(Error::NoSuchResource)?;
    let part = part.map(|part| resource.subresource(part).ok_or_else(|| no_part(resource, part)));
    let unknown_verb =
        || Error::MethodNotAllowed { resource: resource.about, verb: verb.to_owned() };
    Ok(Target {
        namespace: (namespace != ALL_NAMESPACES).then(|| namespace.to_owned()),
        resource,
        part: part.transpose()?.map(|sub| sub.part),
        verb: Verb::named(verb).ok_or_else(unknown_verb)?,
        name: tokens.next().map(str::to_owned),
    })
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
        let get = target("stint.v1.default.jobs/status.get.my.job").unwrap();
        assert_eq!((get.resource.about.kind, get.part), ("Job", Some(Part::Status)));
        assert_eq!(
            (get.namespace.as_deref(), get.name.as_deref()),
            (Some("default"), Some("my.job"))
        );
        let list = target("stint.v1._all.jobs.list").unwrap();
        assert_eq!((list.namespace.as_deref(), list.name.as_deref()), (None, None));
        let code = |subject| target(subject).map(drop).map_err(|error| error.code());
        assert_eq!(code("stint.v1.default"), Err(400));
        assert_eq!(code("other.v1.a.b.c"), Err(404));
        assert_eq!(code("stint.v1.default.cats.get.tom"), Err(404));
        assert_eq!(code("stint.v1.default.jobs/cats.get.tom"), Err(404));
        assert_eq!(code("stint.v1.default.jobs.feed.tom"), Err(405));
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
