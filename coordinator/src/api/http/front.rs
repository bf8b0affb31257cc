//! One request: what it means, the registry's answer, and how that is sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode};
use serde_json::Value;
use stint_common::metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::accept::{self, Discovery, Form};
use super::access::{Access, User, reviews};
use super::browser;
use super::discovery::{self, Half};
use super::query::Query;
use super::respond::{self, Body, Shape};
use super::route::{Route, Target};
use super::table::{Include, Tables, metadata_of};
use super::tls::Peer;
use super::{health, openapi, protobuf, stream, ui};
use crate::api::request::{self, Reply, Request, carry_out};
use crate::api::resources::{Part, Verb, Verbs};
use crate::registry::{Answer, Error, LogStream, MAX_BODY_BYTES, Registry, WatchStream};

/// Requests that are worked on at once; more wait.
const AT_ONCE: usize = 512;
/// Watches and followed logs that are open at once; more are refused (429).
const STREAMS_AT_ONCE: usize = 4096;
/// A body that has not come after this does not come.
const BODY: Duration = Duration::from_secs(30);

/// What all requests share.
pub(super) struct Front {
    registry: Arc<Registry>,
    places: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    shutdown: CancellationToken,
    access: Access,
}

impl Front {
    /// A front end of this registry.
    pub(super) fn new(
        registry: Arc<Registry>,
        access: Access,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            registry,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            streams: Arc::new(Semaphore::new(STREAMS_AT_ONCE)),
            shutdown,
            access,
        }
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(
        &self,
        request: HttpRequest<Incoming>,
        peer: Option<&Peer>,
    ) -> Response<Body> {
        let answered = self.handle(request, peer).await;
        answered.unwrap_or_else(|error| {
            metrics::coordinator().refused(request::Front::Http.name(), error.code());
            respond::refusal(&error)
        })
    }

    async fn handle(
        &self,
        request: HttpRequest<Incoming>,
        peer: Option<&Peer>,
    ) -> Result<Response<Body>, Error> {
        let (head, body) = request.into_parts();
        if self.access.is_open() {
            browser::refuse(&head.uri, &head.headers)?;
        }
        let query = Query::parse(head.uri.query());
        let route = Route::read(head.uri.path())?;
        // Who looks after the coordinator has no token, and the page asks for one by itself.
        let for_everybody =
            matches!(route, Route::Health(_) | Route::Version | Route::ToPage | Route::Page(_));
        if matches!(route, Route::Paths) && accept::is_person(&head.headers) {
            return Ok(ui::to_page());
        }
        if !for_everybody {
            let user = self.access.user(&head.headers, peer).await?;
            if matches!(route, Route::Metrics) {
                user.check_path(head.uri.path(), &head.method)?;
            }
            if let Route::Objects(target) = route {
                let verb = target.verb(&head.method, &query)?;
                return self.objects(&target, verb, &query, &head.headers, (body, user)).await;
            }
        }
        if head.method != Method::GET {
            return Err(Error::NoSuchResource);
        }
        self.document(&route, &query, &head.headers)
    }

    /// What the API says of itself.
    fn document(
        &self,
        route: &Route,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Error> {
        let shape =
            Shape::of_document(accept::form(headers).unwrap_or(Form::Json), query.is_set("pretty"));
        let host = || headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let aggregated = accept::discovery(headers);
        let document = match (route, aggregated) {
            (Route::Paths, _) => discovery::paths(),
            (Route::Version, _) => health::version(),
            (Route::Health(check), _) => return health::check(check, query, &self.registry),
            (Route::CoreVersions, Discovery::Legacy) => discovery::core_versions(host()),
            (Route::Groups, Discovery::Legacy) => discovery::group_list(),
            (Route::CoreVersions, Discovery::Aggregated(version)) => {
                return Ok(aggregate(Half::Core, version));
            }
            (Route::Groups, Discovery::Aggregated(version)) => {
                return Ok(aggregate(Half::Named, version));
            }
            (Route::Group(group), _) => discovery::group(group),
            (Route::GroupVersion(group, version), _) => discovery::resources(group, version),
            (Route::OpenApi2, _) => {
                accept::json(headers)?;
                return Ok(described(openapi::v2(), headers));
            }
            (Route::OpenApi3Index, _) => openapi::index(),
            (Route::OpenApi3(path), _) => {
                let document = openapi::v3(path).ok_or(Error::NoSuchResource)?;
                return Ok(described(document, headers));
            }
            (Route::Metrics, _) => return measured(),
            (Route::ToPage, _) => return Ok(ui::to_page()),
            (Route::Page(file), _) => return ui::file(file),
            (Route::Objects(_), _) => return Err(Error::NoSuchResource),
        };
        Ok(respond::object(StatusCode::OK, document, shape))
    }

    async fn objects(
        &self,
        target: &Target,
        verb: Verb,
        query: &Query,
        headers: &HeaderMap,
        (body, user): (Incoming, User),
    ) -> Result<Response<Body>, Error> {
        let is_review = matches!(target.resource.served_by, Verbs::Reviews);
        if !is_review {
            user.check(target, verb)?;
        }
        let shape = shape(target, query, headers)?;
        let options = query.options(headers, verb)?;
        let mut body = read(body).await?;
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.to_str());
        let content_type = content_type
            .transpose()
            .map_err(|_| Error::BadRequest("the Content-Type is no text".to_owned()))?;
        let content_type = if verb != Verb::Patch && protobuf::is_meant(content_type) {
            body = protobuf::decode(&body)?.to_string().into();
            Some("application/json")
        } else {
            content_type
        };
        if is_review {
            let about = target.resource.about.kind;
            let review = reviews::answer(about, &reviews::read(&body, content_type)?, &user)?;
            return Ok(respond::object(StatusCode::CREATED, review, shape));
        }
        let request = Request {
            resource: target.resource,
            part: target.part,
            verb,
            namespace: target.namespace.as_deref(),
            name: target.name.as_deref(),
            body: &body,
            content_type,
            options,
            as_text: matches!(shape, Shape::Json { pretty: false }),
        };
        let place = self.places.acquire().await;
        let reply = carry_out(request::Front::Http, &self.registry, request).await?;
        drop(place);
        match reply {
            Reply::Object(answer) if verb != Verb::Create => {
                Ok(answered(StatusCode::OK, answer, shape))
            }
            Reply::Object(answer) | Reply::Created(answer) => {
                Ok(answered(StatusCode::CREATED, answer, shape))
            }
            Reply::Text(text) => Ok(respond::document(text.into())),
            Reply::Watch(events) => self.watch(events, shape),
            Reply::Log(chunks) => self.log(chunks),
        }
    }

    fn watch(&self, events: WatchStream, shape: Shape) -> Result<Response<Body>, Error> {
        let mut first = true;
        let encode = move |event| {
            let event = shape_event(event, shape, first);
            first = false;
            Bytes::from(format!("{event}\n"))
        };
        let body = stream::body(events, encode, self.place()?, self.shutdown.clone());
        let body = body.boxed_unsync();
        Ok(respond::with_body(StatusCode::OK, "application/json", body))
    }

    fn log(&self, chunks: LogStream) -> Result<Response<Body>, Error> {
        let body = stream::body(chunks, |chunk| chunk, self.place()?, self.shutdown.clone());
        Ok(respond::with_body(StatusCode::OK, "text/plain", body.boxed_unsync()))
    }

    /// A place for one more stream.
    fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Error::TooManyRequests {
            message: format!("{STREAMS_AT_ONCE} streams are open on this coordinator"),
            retry_after_seconds: 1,
        })
    }
}

/// What this process counts, for Prometheus.
fn measured() -> Result<Response<Body>, Error> {
    let text = metrics::render().ok_or(Error::NoSuchResource)?;
    Ok(respond::metrics(text))
}

fn answered(code: StatusCode, answer: Answer, shape: Shape) -> Response<Body> {
    let Answer { object, warnings } = answer;
    let mut response = respond::object(code, object, shape);
    respond::warn(&mut response, &warnings);
    response
}

/// In which form the client wants objects.
fn shape(target: &Target, query: &Query, headers: &HeaderMap) -> Result<Shape, Error> {
    if target.part.is_some_and(Part::is_bytes) {
        return Ok(Shape::Json { pretty: false });
    }
    Ok(match accept::form(headers)? {
        Form::Json => Shape::Json { pretty: query.is_set("pretty") },
        Form::Yaml => Shape::Yaml,
        Form::Table(version) => {
            let kind = target.resource.about.kind;
            Shape::Table(Tables::new(kind, version, Include::read(query)?))
        }
        Form::Metadata(version) => Shape::Metadata(version),
    })
}

/// An event of a watch in that form; one JSON object a line, whatever it is.
fn shape_event(mut event: Value, shape: Shape, first: bool) -> Value {
    match shape {
        Shape::Json { .. } | Shape::Yaml => event,
        Shape::Table(tables) => tables.of_event(event, first),
        Shape::Metadata(version) => {
            if event["type"] != "ERROR" {
                event["object"] = metadata_of(&event["object"], version);
            }
            event
        }
    }
}

fn aggregate(half: Half, version: &'static str) -> Response<Body> {
    let document = discovery::aggregated(half, version);
    let mut response = respond::object(StatusCode::OK, document, Shape::Json { pretty: false });
    let content_type = match version {
        "v2beta1" => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A document that changes only with the program: who has it is not sent it again.
fn described(document: &openapi::Document, headers: &HeaderMap) -> Response<Body> {
    let tag = format!("\"{}\"", document.hash);
    let has_it = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|tags| tags.to_str().is_ok_and(|tags| tags.contains(&tag)));
    let mut response = if has_it {
        respond::nothing(StatusCode::NOT_MODIFIED)
    } else {
        respond::document(document.text.clone())
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The whole body, if it is not too large and comes in time.
async fn read(body: Incoming) -> Result<Bytes, Error> {
    let collected = tokio::time::timeout(BODY, Limited::new(body, MAX_BODY_BYTES).collect());
    let collected = collected.await.map_err(|_| {
        Error::Timeout(format!("the body of the request did not come within {} s", BODY.as_secs()))
    })?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Error::RequestEntityTooLarge { limit: MAX_BODY_BYTES }
        } else {
            Error::BadRequest(format!("reading the body of the request: {error}"))
        }
    })
}
