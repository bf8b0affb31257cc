//! What a path means.

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::query::Query;
use crate::api::instead::no_part;
use crate::api::resources::{ApiResource, Part, Verb, groups, of_group};
use crate::registry::Error;

/// A path, understood.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// `/`: which paths there are.
    Paths,
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`, and parts of them.
    Health(String),
    /// `/metrics`.
    Metrics,
    /// `/ui`: where the page for people is.
    ToPage,
    /// `/ui/FILE`.
    Page(String),
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/GROUP`.
    Group(&'static str),
    /// `/api/v1`, `/apis/GROUP/VERSION`.
    GroupVersion(&'static str, &'static str),
    /// `/openapi/v2`.
    OpenApi2,
    /// `/openapi/v3`: where its parts are.
    OpenApi3Index,
    /// `/openapi/v3/PART`.
    OpenApi3(String),
    /// Objects.
    Objects(Target),
}

/// Which objects.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Of what kind.
    pub(super) resource: &'static ApiResource,
    /// Which part of them.
    pub(super) part: Option<Part>,
    /// In which namespace; `None` for all, and for what is in none.
    pub(super) namespace: Option<String>,
    /// Which one; `None` for all.
    pub(super) name: Option<String>,
}

impl Route {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// 404 when nothing is there, 400 when it is no text.
    pub(super) fn read(path: &str) -> Result<Self, Error> {
        let segments = segments(path)?;
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [] => Ok(Self::Paths),
            ["ui"] if path.ends_with('/') => Ok(Self::Page(String::new())),
            ["ui"] => Ok(Self::ToPage),
            ["ui", file] => Ok(Self::Page((*file).to_owned())),
            ["version"] => Ok(Self::Version),
            ["metrics"] => Ok(Self::Metrics),
            ["healthz" | "livez" | "readyz", ..] => Ok(Self::Health(parts.join("/"))),
            ["openapi", "v2"] => Ok(Self::OpenApi2),
            ["openapi", "v3"] => Ok(Self::OpenApi3Index),
            ["openapi", "v3", rest @ ..] => Ok(Self::OpenApi3(rest.join("/"))),
            ["api"] => Ok(Self::CoreVersions),
            ["apis"] => Ok(Self::Groups),
            ["apis", group] => served(|own, _| own == *group).map(|(group, _)| Self::Group(group)),
            ["api", version, rest @ ..] => Self::inside("", version, rest),
            ["apis", group, version, rest @ ..] if !group.is_empty() => {
                Self::inside(group, version, rest)
            }
            _ => Err(Error::NoSuchResource),
        }
    }

    fn inside(group: &str, version: &str, rest: &[&str]) -> Result<Self, Error> {
        let (group, version) = served(|own, of| own == group && of == version)?;
        if rest.is_empty() {
            return Ok(Self::GroupVersion(group, version));
        }
        let (namespace, rest) = match rest {
            // `namespaces/NAME` alone is the namespace itself, and so are its own parts.
            ["namespaces", namespace, plural, rest @ ..] if !NAMESPACE_PARTS.contains(plural) => {
                (Some(*namespace), [&[*plural], rest].concat())
            }
            rest => (None, rest.to_vec()),
        };
        let (plural, name, part) = match rest.as_slice() {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(*name), None),
            [plural, name, part] => (plural, Some(*name), Some(*part)),
            _ => return Err(Error::NoSuchResource),
        };
        let resource = of_group(group, version)
            .find(|resource| resource.about.plural == *plural)
            .filter(|resource| namespace.is_none() || resource.namespaced)
            .ok_or(Error::NoSuchResource)?;
        if resource.namespaced && namespace.is_none() && name.is_some() {
            return Err(Error::NoSuchResource);
        }
        let part =
            part.map(|part| resource.subresource(part).ok_or_else(|| no_part(resource, part)));
        Ok(Self::Objects(Target {
            resource,
            part: part.transpose()?.map(|sub| sub.part),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        }))
    }
}

/// What a namespace has beside its objects.
const NAMESPACE_PARTS: [&str; 2] = ["status", "finalize"];

impl Target {
    /// What a method does here.
    ///
    /// # Errors
    ///
    /// 405 when it does nothing.
    pub(super) fn verb(&self, method: &Method, query: &Query) -> Result<Verb, Error> {
        let one = self.name.is_some();
        Ok(match (method.as_str(), one) {
            ("GET", true) => Verb::Get,
            ("GET", false) if query.is_set("watch") => Verb::Watch,
            ("GET", false) => Verb::List,
            ("POST", false) => Verb::Create,
            ("POST", true) if self.part.is_some() => Verb::Create,
            ("PUT", true) => Verb::Update,
            ("PATCH", true) => Verb::Patch,
            ("DELETE", true) => Verb::Delete,
            ("DELETE", false) => Verb::DeleteCollection,
            (method, _) => {
                let verb = method.to_ascii_lowercase();
                return Err(Error::MethodNotAllowed { resource: self.resource.about, verb });
            }
        })
    }
}

/// The group's version that is meant.
fn served(is_meant: impl Fn(&str, &str) -> bool) -> Result<(&'static str, &'static str), Error> {
    let mut all = groups().into_iter();
    all.find(|(group, version)| is_meant(group, version)).ok_or(Error::NoSuchResource)
}

/// The segments of a path, decoded; a slash at its end means nothing.
fn segments(path: &str) -> Result<Vec<String>, Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let decoded = path.split('/').map(|segment| percent_decode_str(segment).decode_utf8());
    decoded
        .map(|segment| segment.map(std::borrow::Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(|_| Error::BadRequest("the path is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        match Route::read(path) {
            Ok(Route::Objects(target)) => target,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn paths_lead_to_objects() {
        let status = target("/apis/batch/v1/namespaces/a/jobs/b/status");
        assert_eq!(status.resource.about.kind, "Job");
        assert_eq!((status.namespace.as_deref(), status.name.as_deref()), (Some("a"), Some("b")));
        assert_eq!(status.part, Some(Part::Status));
        let all = target("/api/v1/pods/");
        assert_eq!((all.resource.about.kind, all.namespace, all.name), ("Pod", None, None));
        let odd = target("/api/v1/namespaces/a/pods/b%2Fc");
        assert_eq!(odd.name.as_deref(), Some("b/c"));
    }

    #[test]
    fn paths_lead_nowhere() {
        for path in [
            "/apis/batch/v2",
            "/apis/batch/v2/jobs",
            "/api/v1/jobs",
            "/apis/batch/v1/pods",
            "/apis/batch/v1/jobs/without-namespace",
            "/apis/batch/v1/namespaces/a/jobs/b/cats",
            "/apis/batch/v1/namespaces/a/jobs/b/status/c",
            "/apis//v1/pods",
            "/favicon.ico",
        ] {
            let outcome = Route::read(path);
            assert!(matches!(outcome, Err(Error::NoSuchResource)), "{path}: {outcome:?}");
        }
        assert!(matches!(Route::read("/api/v1/%ff"), Err(Error::BadRequest(_))));
    }

    #[test]
    fn methods_are_verbs() {
        let verb = |method: Method, path: &str, query: &str| {
            target(path).verb(&method, &Query::parse(Some(query))).map_err(|error| error.code())
        };
        let (all, one) = ("/apis/batch/v1/namespaces/a/jobs", "/apis/batch/v1/namespaces/a/jobs/b");
        assert_eq!(verb(Method::GET, all, ""), Ok(Verb::List));
        assert_eq!(verb(Method::GET, all, "watch=true"), Ok(Verb::Watch));
        assert_eq!(verb(Method::DELETE, all, ""), Ok(Verb::DeleteCollection));
        assert_eq!(verb(Method::PATCH, one, ""), Ok(Verb::Patch));
        assert_eq!(verb(Method::POST, one, ""), Err(405));
        assert_eq!(verb(Method::PUT, all, ""), Err(405));
    }
}
