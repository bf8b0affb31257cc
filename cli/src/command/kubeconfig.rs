//! `stint kubeconfig`: what `kubectl` and Kubernetes' client libraries need to know.

use std::path::Path;

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
    out(&yaml(&config(args)))?;
    Ok(Exit::Success)
}

fn config(args: &KubeconfigArgs) -> Value {
    let mut cluster = json!({"server": args.server});
    if args.server.starts_with("http://") && args.certificate_authority.is_none() {
        // There is nothing to verify, and Kubernetes' client for Node.js asks for this word before
        // it uses plain HTTP.
        cluster["insecure-skip-tls-verify"] = json!(true);
    }
    let mut user = json!({});
    if let Some(token) = &args.token {
        user["token"] = json!(token);
    }
    put_path(&mut cluster, "certificate-authority", args.certificate_authority.as_deref());
    put_path(&mut user, "client-certificate", args.client_certificate.as_deref());
    put_path(&mut user, "client-key", args.client_key.as_deref());
    let context = json!({"cluster": NAME, "user": NAME, "namespace": args.namespace});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": NAME, "user": user}],
        "contexts": [{"name": NAME, "context": context}],
        "current-context": NAME,
    })
}

/// A path that holds from any directory.
fn put_path(object: &mut Value, member: &str, path: Option<&Path>) {
    let Some(path) = path else { return };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    object[member] = json!(path.display().to_string());
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        args: KubeconfigArgs,
    }

    fn cluster(typed: &[&str]) -> Value {
        let typed = ["kubeconfig"].iter().chain(typed);
        config(&Typed::parse_from(typed).args)["clusters"][0]["cluster"].clone()
    }

    #[test]
    fn certificates_are_left_unverified_where_there_are_none() {
        let plain = cluster(&["--server", "http://127.0.0.1:1"]);
        let wanted = json!({"server": "http://127.0.0.1:1", "insecure-skip-tls-verify": true});
        assert_eq!(plain, wanted);
        let secure = cluster(&["--server", "https://stint.example"]);
        assert_eq!(secure, json!({"server": "https://stint.example"}));
    }
}
