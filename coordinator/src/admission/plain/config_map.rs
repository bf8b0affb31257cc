//! ConfigMaps: texts and bytes under keys.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::data::{MOST_BYTES, bytes, check_base64, entries, judge_keys, judge_unchangeable};
use super::rules::{Rules, carry_nothing};
use crate::admission::cause::{Causes, Path};
use crate::admission::decode::Body;
use crate::admission::read::{FieldValidation, Identity, Read, read_as, unhandled};
use crate::admission::rejection::Rejection;
use crate::admission::text;

/// ConfigMaps.
pub static CONFIG_MAP: Rules = Rules {
    identity: Identity { api_version: "v1", kind: "ConfigMap" },
    namespaced: true,
    name: text::dns_subdomain,
    read,
    complete: |_| {},
    carry: carry_nothing,
    judge,
    judge_change: |new, old, causes| {
        judge_unchangeable(new, old, &["data", "binaryData"], causes);
    },
};

fn read(
    mut body: Body,
    validation: FieldValidation,
    identity: Identity,
) -> Result<Read, Rejection> {
    check_base64(&mut body.value, "binaryData").map_err(|fault| unhandled(identity, &fault))?;
    read_as::<ConfigMap>(body, validation, identity)
}

fn judge(object: &Value, causes: &mut Causes) {
    judge_keys(object, "data", causes);
    let path = Path::root("data");
    for (key, _) in entries(object, "data") {
        if entries(object, "binaryData").any(|(other, _)| other == key) {
            causes.invalid(&path.key(key), key, "duplicate of key present in binaryData");
        }
    }
    judge_keys(object, "binaryData", causes);
    let texts = entries(object, "data").map(|(_, value)| value.len());
    let blobs = entries(object, "binaryData").map(|(_, value)| bytes(value).len());
    if texts.chain(blobs).sum::<usize>() > MOST_BYTES {
        causes.too_long(&Path::root(""), MOST_BYTES);
    }
}
