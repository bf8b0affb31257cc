//! Secrets: bytes under keys, with a type that may ask for some. No message names a value.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Map, Value};

use super::data::{
    MOST_BYTES, bytes, check_base64, encoded, entries, judge_keys, judge_unchangeable,
};
use super::rules::Rules;
use crate::admission::cause::{Causes, Path};
use crate::admission::decode::Body;
use crate::admission::defaults::{default_text, object};
use crate::admission::read::{FieldValidation, Identity, Read, read_as, unhandled};
use crate::admission::rejection::Rejection;
use crate::admission::text;
use crate::admission::validate::metadata::immutable;

/// Secrets.
pub static SECRET: Rules = Rules {
    identity: Identity { api_version: "v1", kind: "Secret" },
    namespaced: true,
    name: text::dns_subdomain,
    read,
    complete,
    carry,
    judge,
    judge_change,
};

/// What a message says instead of a value.
const REDACTED: &str = "<secret contents redacted>";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

fn read(
    mut body: Body,
    validation: FieldValidation,
    identity: Identity,
) -> Result<Read, Rejection> {
    check_base64(&mut body.value, "data").map_err(|fault| unhandled(identity, &fault))?;
    read_as::<Secret>(body, validation, identity)
}

/// `stringData` is for writing only: it goes into `data`.
fn complete(secret: &mut Value) {
    let Some(members) = secret.as_object_mut() else { return };
    if let Some(Value::Object(texts)) = members.shift_remove("stringData") {
        let data = object(members, "data");
        for (key, value) in texts {
            let value = encoded(value.as_str().unwrap_or_default().as_bytes());
            data.insert(key, Value::from(value));
        }
    }
    default_text(members, "type", "Opaque");
}

/// A change that says no type means the one that there is.
fn carry(new: &mut Value, old: &Value) {
    if new["type"].as_str().is_none_or(str::is_empty) {
        new["type"] = old["type"].clone();
    }
}

fn judge_change(new: &Value, old: &Value, causes: &mut Causes) {
    immutable(&new["type"], &old["type"], &Path::root("type"), causes);
    judge_unchangeable(new, old, &["data"], causes);
}

fn judge(secret: &Value, causes: &mut Causes) {
    judge_keys(secret, "data", causes);
    let path = Path::root("data");
    let size: usize = entries(secret, "data").map(|(_, value)| bytes(value).len()).sum();
    if size > MOST_BYTES {
        causes.too_long(&path, MOST_BYTES);
    }
    let has = |key: &str| entries(secret, "data").any(|(other, _)| other == key);
    let mut need = |key: &str| {
        if !has(key) {
            causes.required(&path.key(key), "");
        }
    };
    match secret["type"].as_str().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let metadata = Path::root("metadata");
            let name = &secret["metadata"]["annotations"][ACCOUNT_NAME];
            if name.as_str().is_none_or(str::is_empty) {
                causes.required(&metadata.child("annotations").key(ACCOUNT_NAME), "");
            }
        }
        "kubernetes.io/dockercfg" => judge_json(secret, ".dockercfg", causes),
        "kubernetes.io/dockerconfigjson" => judge_json(secret, ".dockerconfigjson", causes),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            need("username");
            need("password");
        }
        "kubernetes.io/ssh-auth" => {
            let key = entries(secret, "data").find(|(key, _)| *key == "ssh-privatekey");
            if key.is_none_or(|(_, value)| value.is_empty()) {
                causes.required(&path.key("ssh-privatekey"), "");
            }
        }
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        _ => {}
    }
}

fn judge_json(secret: &Value, key: &str, causes: &mut Causes) {
    let path = Path::root("data");
    let Some((_, value)) = entries(secret, "data").find(|(other, _)| *other == key) else {
        causes.required(&path.key(key), "");
        return;
    };
    if serde_json::from_slice::<Map<String, Value>>(&bytes(value)).is_err() {
        // Differs from Kubernetes: the parser's own text could show a part of the value.
        causes.invalid(&path.key(key), REDACTED, "it is not a JSON object");
    }
}
