//! Images whose program is known although nothing is pulled: those of Kubernetes' own examples and
//! tests. A container of one of them may leave its command out, and gets what the image would run,
//! in words that every machine understands.

use serde_json::{Map, Value, json};

use super::semantic::is_blank;

/// What `pause` does: nothing, until it is told to end. TERM goes to every process of a container,
/// so whichever of the two hears it first, the shell ends with 0, as `pause` does.
const PAUSE: &str = "trap 'exit 0' INT TERM; sleep 2147483647 & wait $!; exit 0";

/// The command of a container that says none, if its image is known.
pub(super) fn command(container: &Map<String, Value>) -> Option<Value> {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    match repository(image) {
        // It has no entry point: what arguments there are is the program, and a shell without
        // standard input ends at once.
        "busybox" if container.get("args").is_none_or(is_blank) => Some(json!(["sh"])),
        "busybox" => Some(json!(["env"])),
        "pause" => Some(json!(["sh", "-c", PAUSE])),
        _ => None,
    }
}

/// `pause` of `registry.k8s.io/pause:3.10@sha256:…`: registries are mirrored under many names.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &str, args: &Value) -> Option<Value> {
        let container = json!({"name": "a", "image": image, "args": args});
        command(container.as_object().unwrap())
    }

    #[test]
    fn an_image_is_known_by_its_name_alone() {
        for (image, known) in [
            ("busybox", true),
            ("registry.k8s.io/e2e-test-images/busybox:1.37.0-1", true),
            ("localhost:5000/mirror/busybox@sha256:0123", true),
            ("registry.k8s.io/pause:3.10.1", true),
            ("my-busybox:1", false),
            ("busybox/tool", false),
            ("perl:5.34", false),
            ("", false),
        ] {
            assert_eq!(of(image, &Value::Null).is_some(), known, "{image}");
        }
    }

    #[test]
    fn arguments_of_an_image_without_an_entry_point_are_its_program() {
        assert_eq!(of("busybox", &json!([])), Some(json!(["sh"])));
        assert_eq!(of("busybox", &json!(["echo", "hi"])), Some(json!(["env"])));
    }
}
