//! What hooks and probes do, worked out once per Job.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Container, EnvVar, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe,
    TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::expand::{self, Text};
use crate::pod::{ActionKind, ProbeKind};

/// What is to be done for a hook or for a try of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Run this beside the container, in its surroundings: it has to exit with 0.
    Exec(Vec<Arc<str>>),
    /// Get this.
    Http(Arc<HttpGet>),
    /// Connect to this.
    Tcp(Arc<Endpoint>),
    /// Ask this for its health, over gRPC.
    Grpc(Arc<HealthCheck>),
    /// It cannot be done; the text says why.
    Broken(Arc<str>),
}

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, as written.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A service that knows how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Whom to ask.
    pub endpoint: Endpoint,
    /// What of it; empty for all.
    pub service: String,
}

/// An HTTP request and what is made of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// Whom to ask.
    pub endpoint: Endpoint,
    /// HTTPS, without a look at the certificate.
    pub tls: bool,
    /// Path and query.
    pub path: String,
    /// Headers, which may repeat; `Host` takes the place of the endpoint's.
    pub headers: Vec<(String, String)>,
    /// Any answer is good, as it is for hooks; of probes those from 200 to 399 are.
    pub any_status: bool,
}

/// The handlers of one container.
pub(super) fn handlers(container: &Container, pod_ip: &str) -> Vec<(ActionKind, Handler)> {
    let surroundings = Surroundings::new(container, pod_ip);
    let hooks = container.lifecycle.iter().flat_map(|lifecycle| hooks(lifecycle, &surroundings));
    let probes = [
        (ProbeKind::Startup, &container.startup_probe),
        (ProbeKind::Liveness, &container.liveness_probe),
        (ProbeKind::Readiness, &container.readiness_probe),
    ];
    let probes = probes.into_iter().filter_map(|(kind, probe)| {
        Some((ActionKind::Probe(kind), surroundings.probe(probe.as_ref()?)))
    });
    hooks.chain(probes).collect()
}

fn hooks<'a>(
    lifecycle: &'a Lifecycle,
    surroundings: &'a Surroundings<'a>,
) -> impl Iterator<Item = (ActionKind, Handler)> + 'a {
    let hooks = [
        (ActionKind::PostStart, &lifecycle.post_start),
        (ActionKind::PreStop, &lifecycle.pre_stop),
    ];
    hooks
        .into_iter()
        .filter_map(move |(kind, hook)| Some((kind, surroundings.hook(hook.as_ref()?)?)))
}

struct Surroundings<'a> {
    container: &'a Container,
    pod_ip: &'a str,
    /// The container's variables as probes see them: as written, those from elsewhere empty.
    variables: HashMap<&'a str, usize>,
    values: Vec<Arc<str>>,
}

impl<'a> Surroundings<'a> {
    fn new(container: &'a Container, pod_ip: &'a str) -> Self {
        let env: Vec<&EnvVar> = container.env.iter().flatten().collect();
        let places = env.iter().enumerate().map(|(place, it)| (it.name.as_str(), place));
        Self {
            container,
            pod_ip,
            variables: places.collect(),
            values: env.iter().map(|it| Arc::from(it.value.as_deref().unwrap_or(""))).collect(),
        }
    }

    fn probe(&self, probe: &Probe) -> Handler {
        if let Some(exec) = &probe.exec {
            let expand = |text: &String| -> Text {
                expand::parse(text, |name| self.variables.get(name).copied())
            };
            let argv = exec.command.iter().flatten().map(|text| expand(text).render(&self.values));
            return exec_handler(argv.collect());
        }
        if let Some(grpc) = &probe.grpc {
            let service = grpc.service.clone().unwrap_or_default();
            let endpoint = self.endpoint(None, &IntOrString::Int(grpc.port));
            return match endpoint {
                Ok(endpoint) => Handler::Grpc(Arc::new(HealthCheck { endpoint, service })),
                Err(why) => Handler::Broken(Arc::from(why)),
            };
        }
        self.network(probe.http_get.as_ref(), probe.tcp_socket.as_ref(), false)
    }

    /// `None` for a hook that only sleeps: the machine does that by itself.
    fn hook(&self, hook: &LifecycleHandler) -> Option<Handler> {
        if hook.sleep.is_some() {
            return None;
        }
        if let Some(ExecAction { command }) = &hook.exec {
            // Unlike in probes, nothing is expanded.
            let argv = command.iter().flatten().map(|text| Arc::from(text.as_str()));
            return Some(exec_handler(argv.collect()));
        }
        Some(self.network(hook.http_get.as_ref(), None, true))
    }

    fn network(
        &self,
        http: Option<&HTTPGetAction>,
        tcp: Option<&TCPSocketAction>,
        any_status: bool,
    ) -> Handler {
        let handler = match (http, tcp) {
            (Some(http), _) => self.http(http, any_status).map(|it| Handler::Http(Arc::new(it))),
            (None, Some(tcp)) => self
                .endpoint(tcp.host.as_deref(), &tcp.port)
                .map(|endpoint| Handler::Tcp(Arc::new(endpoint))),
            (None, None) => Err("it has no handler that this runtime knows".to_owned()),
        };
        handler.unwrap_or_else(|why| Handler::Broken(Arc::from(why)))
    }

    fn http(&self, http: &HTTPGetAction, any_status: bool) -> Result<HttpGet, String> {
        let path = http.path.as_deref().unwrap_or("/");
        let headers = http.http_headers.iter().flatten();
        Ok(HttpGet {
            endpoint: self.endpoint(http.host.as_deref(), &http.port)?,
            tls: http.scheme.as_deref() == Some("HTTPS"),
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers: headers.map(|it| (it.name.clone(), it.value.clone())).collect(),
            any_status,
        })
    }

    fn endpoint(&self, host: Option<&str>, port: &IntOrString) -> Result<Endpoint, String> {
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => {
                let ports = self.container.ports.iter().flatten();
                let named = ports.filter(|port| port.name.as_deref() == Some(name.as_str()));
                // As the kubelet: what is no name of a port may still be a number.
                named.map(|port| port.container_port).next().or_else(|| name.parse().ok())
            }
        };
        let number = number.and_then(|it| u16::try_from(it).ok()).filter(|number| *number > 0);
        let port = number.ok_or_else(|| match port {
            IntOrString::Int(number) => format!("{number} is no port"),
            IntOrString::String(name) => format!("the container has no port {name:?}"),
        })?;
        let host = host.filter(|host| !host.is_empty()).unwrap_or(self.pod_ip).to_owned();
        Ok(Endpoint { host, port })
    }
}

fn exec_handler(argv: Vec<Arc<str>>) -> Handler {
    if argv.is_empty() {
        return Handler::Broken(Arc::from("its command is empty"));
    }
    Handler::Exec(argv)
}
