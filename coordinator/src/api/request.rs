//! A request, whichever front end it came by, and its way to the registry.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use stint_common::metrics::{self, Asked};
use stint_common::time::Instant;

use super::delete_options::with_body;
use super::instead::no_verb;
use super::resources::{ApiResource, Part, Verb, Verbs, group_version};
use crate::registry::objects::{Changed, Kind, kind};
use crate::registry::{
    Answer, Error, EventForm, LogStream, Options, Registry, WatchStream, is_apply,
};

/// What is asked for. Namespace and name are as they came.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// Of what kind.
    pub(crate) resource: &'static ApiResource,
    /// Which part of the object, if not all of it.
    pub(crate) part: Option<Part>,
    /// What is to be done.
    pub(crate) verb: Verb,
    /// `None` for all namespaces, and for what is in none.
    pub(crate) namespace: Option<&'a str>,
    /// The object, where the verb is about one.
    pub(crate) name: Option<&'a str>,
    /// The object, the patch, or the `DeleteOptions`.
    pub(crate) body: &'a [u8],
    /// What the body is.
    pub(crate) content_type: Option<&'a str>,
    /// Everything else.
    pub(crate) options: Options,
    /// The text of an object will do, where that is made faster.
    pub(crate) as_text: bool,
}

/// What a request is answered with.
pub(crate) enum Reply {
    /// An object, a list, or a `Status`.
    Object(Answer),
    /// The text of a list.
    Text(String),
    /// An object that was not there before, where the verb does not say so.
    Created(Answer),
    /// Events, until the watch ends.
    Watch(WatchStream),
    /// Bytes, until the log ends.
    Log(LogStream),
}

/// By which front end a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Http,
    Nats,
}

impl Front {
    /// As metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Nats => "nats",
        }
    }
}

/// Has the registry do what is asked for, and counts it.
pub(crate) async fn carry_out(
    front: Front,
    registry: &Arc<Registry>,
    request: Request<'_>,
) -> Result<Reply, Error> {
    let (start, verb) = (Instant::now(), request.verb.name());
    let plural = request.resource.about.plural;
    let resource = match request.part {
        Some(part) => Cow::Owned(format!("{plural}/{}", part.name())),
        None => Cow::Borrowed(plural),
    };
    let reply = have_done(registry, request).await;
    let code = match &reply {
        Ok(Reply::Created(_)) => 201,
        Ok(Reply::Object(_) | Reply::Text(_) | Reply::Watch(_) | Reply::Log(_)) => 200,
        Err(error) => error.code(),
    };
    let asked = Asked { front: front.name(), resource: &resource, verb, code };
    metrics::coordinator().answered(asked, start.elapsed());
    reply
}

async fn have_done(registry: &Arc<Registry>, mut request: Request<'_>) -> Result<Reply, Error> {
    request.check()?;
    match request.verb {
        Verb::Delete | Verb::DeleteCollection => {
            request.options = with_body(request.verb, request.body, request.options)?;
        }
        Verb::List => request.options.check_beginning(false)?,
        Verb::Watch => request.options.check_beginning(true)?,
        Verb::Create | Verb::Get | Verb::Patch | Verb::Update => {}
    }
    match request.resource.served_by {
        Verbs::Jobs => jobs(registry, request).await,
        Verbs::Pods => pods(registry, request).await,
        Verbs::Objects(kind) => objects(registry, kind, request).await,
        Verbs::Events(form) => events(registry, form, request).await,
        Verbs::Nodes => nodes(registry, request).await,
        Verbs::Leases => leases(registry, request).await,
        Verbs::Services => services(registry, &request),
        Verbs::Absent => absent(registry, &request),
        // Over NATS its own permissions say who may do what.
        Verbs::Reviews => Err(Error::NoSuchResource),
    }
}

impl<'a> Request<'a> {
    /// Whether there is such a verb, and whether namespace and name are there as it needs them.
    fn check(&self) -> Result<(), Error> {
        let verbs = match self.part {
            None => self.resource.verbs,
            Some(part) => {
                let sub = self.resource.subresource(part.name());
                sub.ok_or(Error::NoSuchResource)?.verbs
            }
        };
        if !verbs.contains(&self.verb) {
            return Err(self.not_allowed());
        }
        // What is no namespace must not become a part of a subject, whoever would refuse it there.
        let spans = self.verb.spans_namespaces() && self.namespace.is_none();
        if self.resource.namespaced && !spans {
            self.namespace()?;
        }
        if self.verb.needs_name() {
            self.name()?;
        }
        Ok(())
    }

    /// The namespace, where a verb needs one.
    fn namespace(&self) -> Result<&'a str, Error> {
        let namespace = self.namespace.ok_or_else(|| {
            Error::BadRequest(format!(
                "{} of {} needs one namespace, not all",
                self.verb.name(),
                self.resource.about.plural
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
    fn name(&self) -> Result<&'a str, Error> {
        self.name.filter(|name| !name.is_empty()).ok_or_else(|| {
            Error::BadRequest(format!(
                "{} of {} needs a name",
                self.verb.name(),
                self.resource.about.plural
            ))
        })
    }

    fn not_allowed(&self) -> Error {
        no_verb(self.resource, self.verb.name())
    }
}

async fn jobs(registry: &Registry, request: Request<'_>) -> Result<Reply, Error> {
    let Request { body, content_type, options, .. } = &request;
    let (body, content_type) = (*body, *content_type);
    let answer = match (request.part, request.verb) {
        (None | Some(Part::Status), Verb::Get) => {
            plain(registry.get_job(request.namespace()?, request.name()?).await?)
        }
        (None, Verb::List) if request.as_text => {
            let text = registry.list_jobs_as_text(request.namespace, options).await?;
            return Ok(Reply::Text(text));
        }
        (None, Verb::List) => plain(registry.list_jobs(request.namespace, options).await?),
        (None, Verb::Watch) => {
            return Ok(Reply::Watch(
                registry.watch_jobs(request.namespace, request.options).await?,
            ));
        }
        (None, Verb::Create) => {
            registry.create_job(request.namespace()?, body, content_type, options).await?
        }
        (None, Verb::Update) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.update_job(namespace, name, body, content_type, options).await?
        }
        (None, Verb::Patch) if is_apply(content_type) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            let (answer, created) = registry.apply_job(namespace, name, body, options).await?;
            return Ok(if created { Reply::Created(answer) } else { Reply::Object(answer) });
        }
        (None, Verb::Patch) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.patch_job(namespace, name, body, content_type, options).await?
        }
        (Some(Part::Status), Verb::Update) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.update_job_status(namespace, name, body, content_type, options).await?
        }
        (Some(Part::Status), Verb::Patch) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.patch_job_status(namespace, name, body, content_type, options).await?
        }
        (Some(Part::Rerun), Verb::Create) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.rerun_job(namespace, name, body, options).await?
        }
        (None, Verb::Delete) => {
            registry.delete_job(request.namespace()?, request.name()?, options).await?
        }
        (None, Verb::DeleteCollection) => {
            registry.delete_jobs(request.namespace()?, options).await?
        }
        (Some(_), _) => return Err(request.not_allowed()),
    };
    Ok(Reply::Object(answer))
}

async fn pods(registry: &Arc<Registry>, request: Request<'_>) -> Result<Reply, Error> {
    let options = &request.options;
    let answer = match (request.part, request.verb) {
        (None, Verb::Get) => plain(registry.get_pod(request.namespace()?, request.name()?).await?),
        (None, Verb::List) => plain(registry.list_pods(request.namespace, options).await?),
        (None, Verb::Watch) => {
            return Ok(Reply::Watch(
                registry.watch_pods(request.namespace, request.options).await?,
            ));
        }
        (None, Verb::Update) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry
                .update_pod(namespace, name, request.body, request.content_type, options)
                .await?
        }
        (None, Verb::Patch) if is_apply(request.content_type) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.apply_pod(namespace, name, request.body, options).await?
        }
        (None, Verb::Patch) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.patch_pod(namespace, name, request.body, request.content_type, options).await?
        }
        (None, Verb::Delete) => {
            registry.delete_pod(request.namespace()?, request.name()?, options).await?
        }
        (None, Verb::DeleteCollection) => {
            registry.delete_pods(request.namespace()?, options).await?
        }
        (Some(Part::Log), Verb::Get) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            return Ok(Reply::Log(registry.open_log(namespace, name, options).await?));
        }
        (Some(Part::Eviction), Verb::Create) => {
            let (namespace, name) = (request.namespace()?, request.name()?);
            registry.evict_pod(namespace, name, request.body, options).await?
        }
        (None, Verb::Create) | (Some(_), _) => {
            return Err(request.not_allowed());
        }
    };
    Ok(Reply::Object(answer))
}

async fn objects(
    registry: &Registry,
    kind: &'static Kind,
    request: Request<'_>,
) -> Result<Reply, Error> {
    let Request { body, content_type, options, .. } = &request;
    let (body, content_type) = (*body, *content_type);
    let part = match request.part {
        None => Changed::Object,
        Some(Part::Status) => Changed::Status,
        Some(Part::Finalize) => Changed::Finalize,
        Some(_) => return Err(request.not_allowed()),
    };
    let place = || if kind.is_namespaced() { request.namespace() } else { Ok("") };
    let answer = match request.verb {
        Verb::Get => plain(registry.get_object(kind, place()?, request.name()?).await?),
        Verb::List => plain(registry.list_objects(kind, request.namespace, options).await?),
        Verb::Watch => {
            let stream = registry.watch_objects(kind, request.namespace, request.options);
            return Ok(Reply::Watch(stream.await?));
        }
        Verb::Create => registry.create_object(kind, place()?, body, content_type, options).await?,
        Verb::Update => {
            let place = (place()?, request.name()?);
            registry.update_object(kind, place, part, body, content_type, options).await?
        }
        Verb::Patch if is_apply(content_type) && part == Changed::Object => {
            let place = (place()?, request.name()?);
            let (answer, created) = registry.apply_object(kind, place, body, options).await?;
            return Ok(if created { Reply::Created(answer) } else { Reply::Object(answer) });
        }
        Verb::Patch => {
            let place = (place()?, request.name()?);
            registry.patch_object(kind, place, part, body, content_type, options).await?
        }
        Verb::Delete => registry.delete_object(kind, place()?, request.name()?, options).await?,
        Verb::DeleteCollection => registry.delete_objects(kind, place()?, options).await?,
    };
    Ok(Reply::Object(answer))
}

async fn events(
    registry: &Registry,
    form: EventForm,
    request: Request<'_>,
) -> Result<Reply, Error> {
    let Request { body, content_type, options, .. } = &request;
    let (body, content_type) = (*body, *content_type);
    if request.part.is_some() {
        return Err(request.not_allowed());
    }
    let place = || request.namespace();
    let answer = match request.verb {
        Verb::Get => plain(registry.get_event(form, place()?, request.name()?).await?),
        Verb::List => plain(registry.list_events(form, request.namespace, options).await?),
        Verb::Watch => {
            let stream = registry.watch_events(form, request.namespace, request.options);
            return Ok(Reply::Watch(stream.await?));
        }
        Verb::Create => registry.create_event(form, place()?, body, content_type, options).await?,
        Verb::Update => {
            let (namespace, name) = (place()?, request.name()?);
            registry.update_event(form, namespace, name, body, content_type, options).await?
        }
        Verb::Patch if is_apply(content_type) => {
            let (namespace, name) = (place()?, request.name()?);
            let applied = registry.apply_event(form, namespace, name, body, options).await?;
            let (answer, created) = applied;
            return Ok(if created { Reply::Created(answer) } else { Reply::Object(answer) });
        }
        Verb::Patch => {
            let (namespace, name) = (place()?, request.name()?);
            registry.patch_event(form, namespace, name, body, content_type, options).await?
        }
        Verb::Delete => registry.delete_event(form, place()?, request.name()?, options).await?,
        Verb::DeleteCollection => registry.delete_events(form, place()?, options).await?,
    };
    Ok(Reply::Object(answer))
}

async fn nodes(registry: &Arc<Registry>, request: Request<'_>) -> Result<Reply, Error> {
    let Request { body, content_type, options, .. } = &request;
    let answer = match (request.part, request.verb) {
        (None, Verb::Get) => plain(registry.get_node(request.name()?).await?),
        (None, Verb::List) => plain(registry.list_nodes(options).await?),
        (None, Verb::Watch) => {
            return Ok(Reply::Watch(registry.watch_nodes(request.options).await?));
        }
        (None, Verb::Update) => {
            registry.update_node(request.name()?, body, *content_type, options).await?
        }
        (None, Verb::Patch) if is_apply(*content_type) => {
            registry.apply_node(request.name()?, body, options).await?
        }
        (None, Verb::Patch) => {
            registry.patch_node(request.name()?, body, *content_type, options).await?
        }
        (None, Verb::Create | Verb::Delete | Verb::DeleteCollection) | (Some(_), _) => {
            return Err(request.not_allowed());
        }
    };
    Ok(Reply::Object(answer))
}

async fn leases(registry: &Registry, request: Request<'_>) -> Result<Reply, Error> {
    let object = match request.verb {
        Verb::Get => registry.get_lease(request.namespace()?, request.name()?).await?,
        Verb::List => registry.list_leases(request.namespace, &request.options).await?,
        Verb::Watch => {
            let stream = registry.watch_leases(request.namespace, request.options).await?;
            return Ok(Reply::Watch(stream));
        }
        Verb::Create | Verb::Delete | Verb::DeleteCollection | Verb::Patch | Verb::Update => {
            Registry::may_change_leases(request.namespace()?, request.verb.name())?;
            return objects(registry, &kind::LEASE, request).await;
        }
    };
    Ok(Reply::Object(plain(object)))
}

fn services(registry: &Registry, request: &Request<'_>) -> Result<Reply, Error> {
    let options = &request.options;
    let object = match (request.part, request.verb) {
        (None, Verb::Get) => registry.get_service(request.namespace()?, request.name()?)?,
        (None, Verb::List) => registry.list_services(request.namespace, options)?,
        (None, Verb::Watch) => {
            return Ok(Reply::Watch(registry.watch_services(request.namespace, options)?));
        }
        _ => return Err(request.not_allowed()),
    };
    Ok(Reply::Object(plain(object)))
}

fn absent(registry: &Registry, request: &Request<'_>) -> Result<Reply, Error> {
    let about = request.resource.about;
    let api_version = group_version(about.group, request.resource.version);
    let object = match (request.part, request.verb) {
        (None, Verb::Get) => registry.get_none(about, request.name()?)?,
        (None, Verb::List) => registry.list_none(about, &api_version),
        (None, Verb::Watch) => {
            let stream = registry.watch_none(about, &api_version, &request.options);
            return Ok(Reply::Watch(stream));
        }
        _ => return Err(request.not_allowed()),
    };
    Ok(Reply::Object(plain(object)))
}

fn plain(object: Value) -> Answer {
    Answer { object, warnings: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::resources::by_plural;
    use super::*;

    fn check(verb: Verb, namespace: Option<&str>, name: Option<&str>) -> Result<(), Error> {
        let resource = by_plural("jobs").unwrap();
        let options = Options::default();
        let request = Request {
            resource,
            part: None,
            verb,
            namespace,
            name,
            body: b"",
            content_type: None,
            options,
            as_text: false,
        };
        request.check()
    }

    #[test]
    fn a_verb_has_what_it_needs() {
        assert_eq!(check(Verb::Get, Some("default"), Some("a")), Ok(()));
        assert_eq!(check(Verb::List, None, None), Ok(()));
        for (verb, namespace, name) in [
            (Verb::Get, Some("default"), None),
            (Verb::Get, None, Some("a")),
            (Verb::Create, None, None),
            (Verb::Create, Some("Not_A"), None),
            (Verb::Delete, Some("-a"), Some("a")),
        ] {
            let outcome = check(verb, namespace, name);
            assert!(matches!(outcome, Err(Error::BadRequest(_))), "{outcome:?}");
        }
    }
}
