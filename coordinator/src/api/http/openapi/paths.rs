//! Paths of a resource, and what can be done there.

use serde_json::{Map, Value, json};

use super::types::Names;
use crate::api::resources::{ApiResource, Part, Subresource, Verb};

/// In which forms an object may be sent.
const BODIES: [&str; 2] = ["application/json", "application/yaml"];
/// In which forms a patch may be.
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// A query parameter: name, type, meaning.
type Parameter = (&'static str, &'static str, &'static str);

const EVERYWHERE: [Parameter; 1] = [("pretty", "string", "Whether the answer is indented.")];
const SELECTION: [Parameter; 8] = [
    ("continue", "string", "The place that the page before ended with."),
    ("fieldSelector", "string", "Fields that objects must have, such as metadata.name=a."),
    ("labelSelector", "string", "Labels that objects must have, such as a=b,c in (d,e)."),
    ("limit", "integer", "The most objects in one page."),
    ("resourceVersion", "string", "Where the list or watch begins."),
    ("resourceVersionMatch", "string", "Exact or NotOlderThan: what resourceVersion means."),
    ("sendInitialEvents", "boolean", "Whether a watch begins with the objects there are."),
    ("timeoutSeconds", "integer", "When a watch ends."),
];
const WATCHING: [Parameter; 2] = [
    ("allowWatchBookmarks", "boolean", "Whether a watch says how far it has come."),
    ("watch", "boolean", "Whether changes are sent as they happen."),
];
const WRITING: [Parameter; 3] = [
    ("dryRun", "string", "All: nothing is written."),
    ("fieldManager", "string", "Who writes."),
    ("fieldValidation", "string", "Strict, Warn or Ignore: what becomes of unknown members."),
];
const PATCHING: [Parameter; 1] = [("force", "boolean", "Whether an apply takes over fields.")];
const DELETING: [Parameter; 4] = [
    ("dryRun", "string", "All: nothing is written."),
    ("gracePeriodSeconds", "integer", "How long pods may take to end."),
    ("orphanDependents", "boolean", "The older form of propagationPolicy."),
    ("propagationPolicy", "string", "Background, Foreground or Orphan."),
];
const LOG: [Parameter; 10] = [
    ("container", "string", "Whose output, when there are several containers."),
    ("follow", "boolean", "Whether output is sent as it is written."),
    ("insecureSkipTLSVerifyBackend", "boolean", "Without a meaning here."),
    ("limitBytes", "integer", "The most bytes."),
    ("previous", "boolean", "The output of the container's run before."),
    ("sinceSeconds", "integer", "Nothing that is older."),
    ("sinceTime", "string", "Nothing that is older."),
    ("stream", "string", "All, Stdout or Stderr."),
    ("tailLines", "integer", "The last lines only."),
    ("timestamps", "boolean", "Whether a time stands before each line."),
];

/// All paths of a resource, by path.
pub(super) fn of(resource: &'static ApiResource, root: &str, names: &Names) -> Map<String, Value> {
    let plural = resource.about.plural;
    let mut paths = Map::new();
    let at = if resource.namespaced {
        let all = Place { scope: Scope::All, ..Place::of(resource, names) };
        paths.insert(format!("/{root}/{plural}"), all.path(&[Verb::List]));
        format!("/{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("/{root}/{plural}")
    };
    let place = Place::of(resource, names);
    let many = [Verb::List, Verb::Create, Verb::DeleteCollection];
    paths.insert(at.clone(), place.path(&many));
    let one = Place { one: true, ..place };
    let single = [Verb::Get, Verb::Update, Verb::Patch, Verb::Delete];
    paths.insert(format!("{at}/{{name}}"), one.path(&single));
    for sub in resource.subresources {
        let part = Place { sub: Some(sub), ..one };
        let verbs = [Verb::Get, Verb::Create, Verb::Update, Verb::Patch];
        paths.insert(format!("{at}/{{name}}/{}", sub.part.name()), part.path(&verbs));
    }
    paths
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Objects of all namespaces.
    All,
    /// Objects of one namespace, or such that are in none.
    One,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    resource: &'static ApiResource,
    names: &'a Names,
    scope: Scope,
    one: bool,
    sub: Option<&'static Subresource>,
}

impl<'a> Place<'a> {
    fn of(resource: &'static ApiResource, names: &'a Names) -> Self {
        Self { resource, names, scope: Scope::One, one: false, sub: None }
    }

    fn path(&self, verbs: &[Verb]) -> Value {
        let served = self.sub.map_or(self.resource.verbs, |sub| sub.verbs);
        let mut path = Map::new();
        for verb in verbs.iter().copied().filter(|verb| served.contains(verb)) {
            path.insert(method(verb).to_owned(), self.operation(verb));
        }
        let mut parameters = Vec::new();
        if self.resource.namespaced && self.scope == Scope::One {
            parameters.push(in_path("namespace"));
        }
        if self.one {
            parameters.push(in_path("name"));
        }
        if !parameters.is_empty() {
            path.insert("parameters".to_owned(), Value::Array(parameters));
        }
        Value::Object(path)
    }

    fn operation(&self, verb: Verb) -> Value {
        let about = self.resource.about;
        let (group, version) = self
            .sub
            .and_then(|sub| sub.group_version)
            .unwrap_or((about.group, self.resource.version));
        let kind = self.sub.map_or(about.kind, |sub| sub.kind);
        let tag = format!("{}_{}", group_name(about.group), self.resource.version);
        let mut operation = json!({
            "description": format!("{} {}", verb.name(), self.what()),
            "operationId": self.id(verb),
            "tags": [tag],
            "parameters": self.parameters(verb),
            "responses": self.responses(verb),
            "x-kubernetes-action": action(verb),
            "x-kubernetes-group-version-kind":
                {"group": group, "version": version, "kind": kind},
        });
        if let Some(body) = self.body(verb) {
            operation["requestBody"] = body;
        }
        operation
    }

    fn what(&self) -> String {
        let kind = self.resource.about.kind;
        self.sub.map_or_else(|| kind.to_owned(), |sub| format!("{} of {kind}", sub.part.name()))
    }

    /// As Kubernetes names its operations, so that generated clients look alike.
    fn id(&self, verb: Verb) -> String {
        let about = self.resource.about;
        let group = capital(group_name(about.group)) + &capital(self.resource.version);
        let scope = match (self.resource.namespaced, self.scope) {
            (true, Scope::One) => "Namespaced",
            (true, Scope::All) | (false, _) => "",
        };
        let collection = if verb == Verb::DeleteCollection { "Collection" } else { "" };
        let part = self.sub.map(|sub| capital(sub.part.name())).unwrap_or_default();
        let all = if self.scope == Scope::All { "ForAllNamespaces" } else { "" };
        format!("{}{group}{collection}{scope}{}{part}{all}", action_word(verb), about.kind)
    }

    fn parameters(&self, verb: Verb) -> Value {
        let groups: &[&[Parameter]] = match (verb, self.sub.map(|sub| sub.part)) {
            (Verb::Get, Some(Part::Log)) => &[&LOG],
            (Verb::Get, _) => &[],
            (Verb::List | Verb::Watch, _) => &[&SELECTION, &WATCHING],
            (Verb::Create | Verb::Update, _) => &[&WRITING],
            (Verb::Patch, _) => &[&WRITING, &PATCHING],
            (Verb::Delete, _) => &[&DELETING],
            (Verb::DeleteCollection, _) => &[&SELECTION, &DELETING],
        };
        let all = groups.iter().flat_map(|group| group.iter()).chain(&EVERYWHERE);
        all.map(|(name, kind, description)| {
            json!({
                "name": name,
                "in": "query",
                "description": description,
                "schema": {"type": kind, "uniqueItems": true},
            })
        })
        .collect()
    }

    fn body(&self, verb: Verb) -> Option<Value> {
        let content = |types: &[&str], schema: &Value| {
            let types = types.iter().map(|name| ((*name).to_owned(), json!({"schema": schema})));
            Value::Object(types.collect())
        };
        let (required, content) = match verb {
            Verb::Get | Verb::List | Verb::Watch => return None,
            Verb::Create | Verb::Update => (true, content(&BODIES, &self.names.object)),
            // A patch is a list of operations, or looks like a part of the object.
            Verb::Patch => (true, content(&PATCHES, &json!({}))),
            Verb::Delete | Verb::DeleteCollection => {
                (false, content(&BODIES[..1], &self.names.delete_options))
            }
        };
        Some(json!({"required": required, "content": content}))
    }

    fn responses(&self, verb: Verb) -> Value {
        let answer = |description: &str, types: &[&str], schema: &Value| {
            let types = types.iter().map(|name| ((*name).to_owned(), json!({"schema": schema})));
            json!({"description": description, "content": Value::Object(types.collect())})
        };
        let mut responses = Map::new();
        let names = self.names;
        let (code, answered) = match (verb, self.sub.map(|sub| sub.part)) {
            (Verb::Get, Some(Part::Log)) => {
                ("200", answer("OK", &["text/plain"], &json!({"type": "string"})))
            }
            (Verb::Create, _) => ("201", answer("Created", &BODIES, &names.object)),
            (Verb::Get | Verb::Update | Verb::Patch, _) => {
                ("200", answer("OK", &BODIES, &names.object))
            }
            (Verb::List | Verb::Watch, _) => ("200", answer("OK", &BODIES, &names.list)),
            // The object while it is still there, or a list, or a Status.
            (Verb::Delete | Verb::DeleteCollection, _) => {
                ("200", answer("OK", &BODIES, &json!({"type": "object"})))
            }
        };
        responses.insert(code.to_owned(), answered);
        let refused = answer("Why not", &BODIES[..1], &names.status);
        responses.insert("default".to_owned(), refused);
        Value::Object(responses)
    }
}

fn in_path(name: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "schema": {"type": "string", "uniqueItems": true},
    })
}

fn group_name(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

const fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => "get",
        Verb::Create => "post",
        Verb::Update => "put",
        Verb::Patch => "patch",
        Verb::Delete | Verb::DeleteCollection => "delete",
    }
}

const fn action(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "post",
        Verb::Update => "put",
        Verb::Get
        | Verb::List
        | Verb::Watch
        | Verb::Patch
        | Verb::Delete
        | Verb::DeleteCollection => verb.name(),
    }
}

const fn action_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "read",
        Verb::Update => "replace",
        Verb::DeleteCollection => "delete",
        Verb::List | Verb::Watch | Verb::Create | Verb::Patch | Verb::Delete => verb.name(),
    }
}
