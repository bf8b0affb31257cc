//! Hooks and probes of a container.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, Probe, SleepAction,
    TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::port_number;
use super::pod::given;
use crate::admission::cause::{Causes, Path};
use crate::admission::text;

/// What is wrong with the hooks and probes of a container that may have them.
pub(super) fn hooks_and_probes(
    container: &Container,
    grace_seconds: Option<i64>,
    path: &Path<'_>,
    causes: &mut Causes,
) {
    if let Some(lifecycle) = &container.lifecycle {
        let path = path.child("lifecycle");
        for (name, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)]
        {
            if let Some(hook) = hook {
                Handler::of_hook(hook).check(grace_seconds, &path.child(name), causes);
            }
        }
    }
    let probes = [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ];
    for (name, probe) in probes {
        let Some(probe) = probe else { continue };
        let path = path.child(name);
        common(probe, grace_seconds, &path, causes);
        if name == "readinessProbe" {
            let grace = path.child("terminationGracePeriodSeconds");
            if let Some(seconds) = probe.termination_grace_period_seconds {
                causes.invalid(&grace, seconds, "must not be set for readinessProbes");
            }
        } else if let Some(count) = probe.success_threshold.filter(|count| *count != 1) {
            causes.invalid(&path.child("successThreshold"), count, "must be 1");
        }
    }
}

fn common(probe: &Probe, grace_seconds: Option<i64>, path: &Path<'_>, causes: &mut Causes) {
    Handler::of_probe(probe).check(grace_seconds, path, causes);
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (name, number) in numbers {
        if let Some(number) = number.filter(|number| *number < 0) {
            let detail = "must be greater than or equal to 0";
            causes.invalid(&path.child(name), number, detail);
        }
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|it| *it <= 0) {
        let path = path.child("terminationGracePeriodSeconds");
        causes.invalid(&path, seconds, "must be greater than 0");
    }
}

/// What a hook or a probe does: one of these.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http: Option<&'a HTTPGetAction>,
    tcp: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

impl<'a> Handler<'a> {
    fn of_hook(hook: &'a LifecycleHandler) -> Self {
        Self {
            exec: hook.exec.as_ref(),
            http: hook.http_get.as_ref(),
            tcp: hook.tcp_socket.as_ref(),
            grpc: None,
            sleep: hook.sleep.as_ref(),
        }
    }

    fn of_probe(probe: &'a Probe) -> Self {
        Self {
            exec: probe.exec.as_ref(),
            http: probe.http_get.as_ref(),
            tcp: probe.tcp_socket.as_ref(),
            grpc: probe.grpc.as_ref(),
            sleep: None,
        }
    }

    fn check(&self, grace_seconds: Option<i64>, path: &Path<'_>, causes: &mut Causes) {
        let mut kinds = 0;
        let mut first = |name: &str, causes: &mut Causes| {
            kinds += 1;
            if kinds > 1 {
                causes.forbidden(&path.child(name), "may not specify more than 1 handler type");
            }
            kinds == 1
        };
        if let Some(exec) = self.exec
            && first("exec", causes)
            && exec.command.as_ref().is_none_or(Vec::is_empty)
        {
            causes.required(&path.child("exec").child("command"), "");
        }
        if let Some(http) = self.http.filter(|_| first("httpGet", causes)) {
            http_get(http, &path.child("httpGet"), causes);
        }
        if let Some(tcp) = self.tcp.filter(|_| first("tcpSocket", causes)) {
            port(&tcp.port, &path.child("tcpSocket").child("port"), causes);
        }
        if let Some(grpc) = self.grpc.filter(|_| first("grpc", causes)) {
            port_number(grpc.port, &path.child("grpc").child("port"), causes);
        }
        if let Some(sleep) = self.sleep.filter(|_| first("sleep", causes)) {
            sleeps(sleep, grace_seconds, &path.child("sleep"), causes);
        }
        if kinds == 0 {
            causes.required(path, "must specify a handler type");
        }
    }
}

fn http_get(http: &HTTPGetAction, path: &Path<'_>, causes: &mut Causes) {
    if given(http.path.as_deref()).is_none() {
        causes.required(&path.child("path"), "");
    }
    port(&http.port, &path.child("port"), causes);
    let scheme = http.scheme.as_deref().unwrap_or_default();
    if !["HTTP", "HTTPS"].contains(&scheme) {
        causes.not_supported(&path.child("scheme"), scheme, &["HTTP", "HTTPS"]);
    }
    for header in http.http_headers.iter().flatten() {
        let faults = text::http_header_name(&header.name);
        causes.invalid_each(&path.child("httpHeaders"), &header.name, faults);
    }
}

fn port(port: &IntOrString, path: &Path<'_>, causes: &mut Causes) {
    match port {
        IntOrString::Int(number) => port_number(*number, path, causes),
        IntOrString::String(name) => causes.invalid_each(path, name, text::port_name(name)),
    }
}

fn sleeps(sleep: &SleepAction, grace: Option<i64>, path: &Path<'_>, causes: &mut Causes) {
    let seconds = sleep.seconds;
    // A grace period that is none is complained of elsewhere.
    let Some(grace) = grace else { return };
    if seconds < 0 || seconds > grace {
        let detail =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        causes.invalid(path, seconds, detail);
    }
}
