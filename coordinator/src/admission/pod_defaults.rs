//! The API server's defaults for a pod template: pod, containers, and the few nested ones that a
//! Job can meet.
//!
//! Volume sources that are not admitted get the defaults that validation looks at.

use serde_json::{Map, Value, json};

use super::defaults::{default, default_number, default_text, is_set, items, object};
use super::images;
use super::semantic::is_blank;

/// `terminationGracePeriodSeconds` of a template that says none.
const GRACE_PERIOD_SECONDS: i64 = 30;

/// Fills in what the user left out of a pod spec.
pub(super) fn apply(spec: &mut Map<String, Value>) {
    default_text(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", || json!(GRACE_PERIOD_SECONDS));
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "securityContext", || json!({}));
    default_text(spec, "schedulerName", "default-scheduler");
    for volume in items(spec.get_mut("volumes")) {
        if volume.keys().all(|name| name == "name" || !is_set(volume, name)) {
            volume.insert("emptyDir".to_owned(), json!({}));
        }
        volume_source(volume);
    }
    for list in ["initContainers", "containers"] {
        items(spec.get_mut(list)).for_each(container);
    }
    items(spec.get_mut("ephemeralContainers")).for_each(container);
}

/// `0644`.
const FILE_MODE: i64 = 0o644;

fn volume_source(volume: &mut Map<String, Value>) {
    if let Some(host) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        default(host, "type", || json!(""));
    }
    for name in ["configMap", "downwardAPI", "projected", "secret"] {
        let Some(source) = volume.get_mut(name).and_then(Value::as_object_mut) else { continue };
        default(source, "defaultMode", || json!(FILE_MODE));
        field_versions(source.get_mut("items"));
        for source in items(source.get_mut("sources")) {
            if let Some(files) = source.get_mut("downwardAPI").and_then(Value::as_object_mut) {
                field_versions(files.get_mut("items"));
            }
        }
    }
}

fn field_versions(files: Option<&mut Value>) {
    for file in items(files) {
        if let Some(field) = file.get_mut("fieldRef").and_then(Value::as_object_mut) {
            default_text(field, "apiVersion", "v1");
        }
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    // Differs from Kubernetes: the image's own program is not there, so it is said what runs.
    if container.get("command").is_none_or(is_blank)
        && let Some(command) = images::command(container)
    {
        container.insert("command".to_owned(), command);
    }
    for port in items(container.get_mut("ports")) {
        default_text(port, "protocol", "TCP");
    }
    for variable in items(container.get_mut("env")) {
        let source = variable.get_mut("valueFrom").and_then(Value::as_object_mut);
        if let Some(source) = source.filter(|source| is_set(source, "fieldRef")) {
            default_text(object(source, "fieldRef"), "apiVersion", "v1");
        }
    }
    if !is_set(container, "resources") {
        container.insert("resources".to_owned(), json!({}));
    }
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    default_text(container, "imagePullPolicy", policy);
    for name in ["postStart", "preStop"] {
        let hook = container.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(name));
        hook.and_then(Value::as_object_mut).into_iter().for_each(http_get);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).and_then(Value::as_object_mut) {
            http_get(probe);
            if let Some(grpc) = probe.get_mut("grpc").and_then(Value::as_object_mut) {
                default_text(grpc, "service", "");
            }
            default_number(probe, "timeoutSeconds", 1);
            default_number(probe, "periodSeconds", 10);
            default_number(probe, "successThreshold", 1);
            default_number(probe, "failureThreshold", 3);
        }
    }
}

/// What a request of a hook or probe asks for.
fn http_get(handler: &mut Map<String, Value>) {
    if let Some(request) = handler.get_mut("httpGet").and_then(Value::as_object_mut) {
        default_text(request, "path", "/");
        default_text(request, "scheme", "HTTP");
    }
}

/// Whether an image's tag is `latest`: said, or implied by giving neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, it)| (name, Some(it)));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        // What does not parse as an image has no tag either, so that it is not pulled each time.
        None => digest.is_none() && !last.is_empty() && !image.contains(char::is_whitespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pull_policy_follows_the_tag() {
        for (image, latest) in [
            ("busybox", true),
            ("busybox:latest", true),
            ("busybox:1.36", false),
            ("registry:5000/a/b", true),
            ("registry:5000/a/b:v1", false),
            ("a@sha256:0123", false),
            ("a:latest@sha256:0123", true),
            ("", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }

    #[test]
    fn a_template_becomes_complete_once() {
        let mut spec = json!({
            "containers": [{
                "name": "a",
                "image": "i:1",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            }],
            "restartPolicy": "Never",
        });
        apply(spec.as_object_mut().unwrap());
        let once = spec.clone();
        apply(spec.as_object_mut().unwrap());
        assert_eq!(spec, once);
        assert_eq!(
            spec,
            json!({
                "containers": [{
                    "name": "a",
                    "image": "i:1",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "env": [{"name": "A", "valueFrom": {
                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"},
                    }}],
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent",
                }],
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
            })
        );
    }
}
