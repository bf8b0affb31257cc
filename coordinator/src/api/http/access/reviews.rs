//! Reviews: clients ask what they may, and who they are (`kubectl auth can-i`, `whoami`).

use serde_json::{Value, json};

use super::User;
use super::roles::Question;
use crate::registry::Error;

/// What is for those only whose roles say so.
const METRICS: &str = "/metrics";
/// What is for all who have said who they are.
const DOCUMENTS: [&str; 10] = [
    "/",
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi/*",
    "/readyz",
    "/version",
];

/// The body of a review, JSON or YAML.
///
/// # Errors
///
/// 400 when it is none of them.
pub(crate) fn read(body: &[u8], content_type: Option<&str>) -> Result<Value, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::BadRequest(format!("reading it: {error}"));
    if content_type.is_some_and(|it| it.contains("yaml")) {
        let text = std::str::from_utf8(body).map_err(|error| bad(&error))?;
        return serde_saphyr::from_str(text).map_err(|error| bad(&error));
    }
    serde_json::from_slice(body).map_err(|error| bad(&error))
}

/// What a review of this kind answers.
///
/// # Errors
///
/// 400 when it is none.
pub(crate) fn answer(kind: &str, body: &Value, user: &User) -> Result<Value, Error> {
    if body["kind"].as_str().is_some_and(|own| own != kind) {
        return Err(Error::BadRequest(format!("the body is no {kind}")));
    }
    let mut review = body.clone();
    review["kind"] = json!(kind);
    if review["metadata"].is_null() {
        review["metadata"] = json!({});
    }
    review["status"] = match kind {
        "SelfSubjectAccessReview" => access(&body["spec"], user)?,
        "SelfSubjectRulesReview" => rules(&body["spec"], user)?,
        _ => json!({"userInfo": {"username": user.name, "groups": user.groups}}),
    };
    Ok(review)
}

fn access(spec: &Value, user: &User) -> Result<Value, Error> {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let allowed = match (&spec["resourceAttributes"], &spec["nonResourceAttributes"]) {
        (Value::Object(_), Value::Null) => {
            let about = &spec["resourceAttributes"];
            let [verb, resource, part, namespace] =
                ["verb", "resource", "subresource", "namespace"].map(|name| text(about, name));
            user.may(&Question {
                verb: &verb,
                resource: &resource,
                part: &part,
                namespace: &namespace,
            })
        }
        (Value::Null, about @ Value::Object(_)) => {
            let (verb, path) = (text(about, "verb"), text(about, "path"));
            // Documents about the API are for everybody who has said who they are.
            (verb == "get" && path != METRICS) || user.roles.allow_path(&verb, &path)
        }
        _ => {
            let message =
                "exactly one of nonResourceAttributes or resourceAttributes must be given";
            return Err(Error::BadRequest(message.to_owned()));
        }
    };
    Ok(json!({"allowed": allowed}))
}

fn rules(spec: &Value, user: &User) -> Result<Value, Error> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Error::BadRequest("no namespace on request".to_owned()));
    }
    let roles = user.roles.iter().filter(|role| role.is_in(namespace));
    let resource_rules: Vec<Value> = roles
        .map(|role| json!({"verbs": role.verbs, "apiGroups": ["*"], "resources": role.resources}))
        .collect();
    let of_paths = user.roles.iter().filter(|role| !role.paths.is_empty());
    let path_rules: Vec<Value> = std::iter::once(json!({
        "verbs": ["get"], "nonResourceURLs": DOCUMENTS,
    }))
    .chain(of_paths.map(|role| json!({"verbs": role.verbs, "nonResourceURLs": role.paths})))
    .collect();
    Ok(json!({
        "resourceRules": resource_rules,
        "nonResourceRules": path_rules,
        "incomplete": false,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{AUTHENTICATED, Roles};
    use super::*;

    fn user(roles: Roles) -> User {
        User { name: "alice".to_owned(), groups: vec![AUTHENTICATED.to_owned()], roles }
    }

    #[test]
    fn one_can_ask_what_one_may() {
        let spec =
            json!({"resourceAttributes": {"verb": "get", "resource": "jobs", "namespace": "a"}});
        let body = json!({"spec": spec});
        let allowed = |user: &User| {
            answer("SelfSubjectAccessReview", &body, user).unwrap()["status"]["allowed"].clone()
        };
        assert_eq!(allowed(&user(Roles::everything())), true);
        assert_eq!(allowed(&user(Roles::default())), false);
        let neither = answer("SelfSubjectAccessReview", &json!({}), &user(Roles::default()));
        assert!(neither.is_err());
    }

    #[test]
    fn one_can_ask_who_one_is() {
        let said = answer("SelfSubjectReview", &json!({}), &user(Roles::default())).unwrap();
        assert_eq!(said["status"]["userInfo"]["username"], "alice");
        let path = |path: &str| {
            let asked = json!({"nonResourceAttributes": {"verb": "get", "path": path}});
            let body = json!({"spec": asked});
            let nobody = answer("SelfSubjectAccessReview", &body, &user(Roles::default())).unwrap();
            let all = answer("SelfSubjectAccessReview", &body, &user(Roles::everything())).unwrap();
            (nobody["status"]["allowed"] == true, all["status"]["allowed"] == true)
        };
        assert_eq!((path("/metrics"), path("/openapi/v3")), ((false, true), (true, true)));
        let rules = json!({"spec": {"namespace": "a"}});
        let said = answer("SelfSubjectRulesReview", &rules, &user(Roles::everything())).unwrap();
        assert_eq!(said["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    }
}
