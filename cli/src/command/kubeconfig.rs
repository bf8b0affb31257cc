//! `stint kubeconfig`: what `kubectl` and Kubernetes' client libraries need to know.

use serde_json::{Value, json};

use super::print::out;
use crate::args::KubeconfigArgs;
use crate::exit::{Exit, Expected};
use crate::output::objects::yaml;

/// The name of cluster, user and context.
const NAME: &str = "stint";

pub(super) fn run(args: &KubeconfigArgs) -> anyhow::Result<Exit> {
    let known = ["http://", "https://"].iter().any(|scheme| args.server.starts_with(scheme));
    if !known {
        let what = format!("--server {}: must begin with http:// or https://", args.server);
        return Err(Expected::usage(what).into());
    }
    out(&yaml(&config(&args.server, &args.namespace)))?;
    Ok(Exit::Success)
}

fn config(server: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {"server": server}}],
        "users": [{"name": NAME, "user": {}}],
        "contexts": [{
            "name": NAME,
            "context": {"cluster": NAME, "user": NAME, "namespace": namespace},
        }],
        "current-context": NAME,
    })
}
