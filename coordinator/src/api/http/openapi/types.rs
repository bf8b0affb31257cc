//! Schemas of the kinds that are served.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectRulesReview};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::events::v1::Event as EventsEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, ObjectMeta, Status};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::api::resources::ApiResource;

/// Where schemas stand in a document.
const PLACE: &str = "/components/schemas";
/// Says of which kind a schema is.
const KIND: &str = "x-kubernetes-group-version-kind";

/// Collects schemas, and those that they name.
pub(super) struct Schemas {
    generator: SchemaGenerator,
    added: Map<String, Value>,
    kinds: Vec<(String, Value)>,
}

/// References to the schemas of a resource.
pub(super) struct Names {
    /// Of one object.
    pub(super) object: Value,
    /// Of a list.
    pub(super) list: Value,
    /// Of what a delete is asked with.
    pub(super) delete_options: Value,
    /// Of what is answered in place of an object.
    pub(super) status: Value,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = SchemaSettings::openapi3();
        Self { generator: settings.into_generator(), added: Map::new(), kinds: Vec::new() }
    }
}

impl Schemas {
    /// Adds those of a resource.
    pub(super) fn add(&mut self, resource: &ApiResource) -> Names {
        let (group, version) = (resource.about.group, resource.version);
        let object = match (group, resource.about.kind) {
            ("batch", "Job") => self.of::<Job>(),
            ("batch", "CronJob") => self.of::<CronJob>(),
            ("", "ConfigMap") => self.of::<ConfigMap>(),
            ("", "Event") => self.of::<Event>(),
            ("", "Namespace") => self.of::<Namespace>(),
            ("", "Node") => self.of::<Node>(),
            ("", "Pod") => self.of::<Pod>(),
            ("", "Secret") => self.of::<Secret>(),
            ("", "Service") => self.of::<Service>(),
            ("", "ServiceAccount") => self.of::<ServiceAccount>(),
            ("coordination.k8s.io", "Lease") => self.of::<Lease>(),
            ("events.k8s.io", "Event") => self.of::<EventsEvent>(),
            ("authentication.k8s.io", "SelfSubjectReview") => self.of::<SelfSubjectReview>(),
            ("authorization.k8s.io", "SelfSubjectAccessReview") => {
                self.of::<SelfSubjectAccessReview>()
            }
            ("authorization.k8s.io", "SelfSubjectRulesReview") => {
                self.of::<SelfSubjectRulesReview>()
            }
            (_, kind) => self.plain(resource, kind),
        };
        let name = name_of(&object).to_owned();
        let kind = |kind: &str| json!({"group": group, "version": version, "kind": kind});
        self.kinds.push((name.clone(), kind(resource.about.kind)));
        let list_name = format!("{name}List");
        let list_kind = format!("{}List", resource.about.kind);
        let list = json!({
            "description": format!("Many objects of kind {}.", resource.about.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": self.of::<ListMeta>(),
                "items": {"type": "array", "items": object},
            },
        });
        self.added.insert(list_name.clone(), list);
        self.kinds.push((list_name.clone(), kind(&list_kind)));
        Names {
            object,
            list: reference(&list_name),
            delete_options: self.of::<DeleteOptions>(),
            status: self.of::<Status>(),
        }
    }

    fn of<T: JsonSchema>(&mut self) -> Value {
        Schema::to_value(self.generator.subschema_for::<T>())
    }

    /// A kind whose members are not described.
    fn plain(&mut self, resource: &ApiResource, kind: &str) -> Value {
        let metadata = self.of::<ObjectMeta>();
        let name = format!("io.stint.{}.{}.{kind}", resource.about.group, resource.version);
        let schema = json!({
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": metadata,
            },
        });
        self.added.insert(name.clone(), schema);
        reference(&name)
    }

    /// All of them, by name.
    pub(super) fn finish(mut self) -> Map<String, Value> {
        let mut schemas = self.generator.take_definitions(true);
        schemas.extend(self.added);
        for (name, kind) in self.kinds {
            if let Some(schema) = schemas.get_mut(&name) {
                schema[KIND] = json!([kind]);
            }
        }
        schemas
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#{PLACE}/{name}")})
}

/// What a reference names; empty when it is none.
pub(super) fn name_of(reference: &Value) -> &str {
    let text = match reference["$ref"].as_str() {
        Some(text) => text,
        // A reference with a text beside it is wrapped.
        None => reference["allOf"][0]["$ref"].as_str().unwrap_or_default(),
    };
    text.rsplit('/').next().unwrap_or_default()
}
