//! That no field of the API is forgotten, and what is said of those that are refused.

mod document;

use super::*;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    EnvVar, EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
    ResourceFieldSelector, ResourceRequirements, SeccompProfile, SecurityContext, Volume,
    VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor, value::Error};
use serde::forward_to_deserialize_any;
use serde_json::json;
use std::cell::RefCell;

/// A deserializer that is told the fields of a struct, and has nothing to give.
struct Names<'a>(&'a RefCell<Vec<&'static str>>);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("nothing here"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.borrow_mut().extend(fields);
        Err(Error::custom("nothing here"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn covers<T: for<'de> Deserialize<'de>>(table: &[Field]) {
    let fields = RefCell::new(Vec::new());
    assert!(T::deserialize(Names(&fields)).is_err());
    let mut fields = fields.into_inner();
    fields.sort_unstable();
    assert!(fields.len() > 1, "the type is a struct");
    let mut listed: Vec<&str> = table.iter().map(|field| field.name).collect();
    listed.sort_unstable();
    assert_eq!(listed, fields);
}

#[test]
fn every_field_of_the_api_has_its_line() {
    covers::<Job>(JOB);
    covers::<ObjectMeta>(JOB_METADATA);
    covers::<JobSpec>(JOB_SPEC);
    covers::<PodTemplateSpec>(TEMPLATE);
    covers::<ObjectMeta>(TEMPLATE_METADATA);
    covers::<PodSpec>(POD_SPEC);
    covers::<Container>(CONTAINER);
    covers::<Lifecycle>(LIFECYCLE);
    covers::<LifecycleHandler>(HOOK);
    covers::<Probe>(PROBE);
    covers::<HTTPGetAction>(HTTP_GET);
    covers::<EnvVar>(ENV_VAR);
    covers::<EnvVarSource>(ENV_VAR_SOURCE);
    covers::<ObjectFieldSelector>(FIELD_REF);
    covers::<Affinity>(AFFINITY);
    covers::<ResourceRequirements>(RESOURCES);
    covers::<ResourceFieldSelector>(RESOURCE_FIELD_REF);
    covers::<Volume>(VOLUME);
    covers::<EmptyDirVolumeSource>(EMPTY_DIR);
    covers::<k8s_openapi::api::core::v1::ConfigMapVolumeSource>(CONFIG_MAP);
    covers::<k8s_openapi::api::core::v1::SecretVolumeSource>(SECRET);
    covers::<k8s_openapi::api::core::v1::ConfigMapProjection>(PROJECTED_OBJECT);
    covers::<k8s_openapi::api::core::v1::SecretProjection>(PROJECTED_OBJECT);
    covers::<k8s_openapi::api::core::v1::KeyToPath>(KEY_TO_PATH);
    covers::<DownwardAPIVolumeSource>(DOWNWARD_FILES);
    covers::<DownwardAPIVolumeFile>(DOWNWARD_FILE);
    covers::<ProjectedVolumeSource>(PROJECTED);
    covers::<VolumeProjection>(PROJECTION);
    covers::<VolumeMount>(MOUNT);
    covers::<PodSecurityContext>(POD_SECURITY);
    covers::<SecurityContext>(CONTAINER_SECURITY);
    covers::<k8s_openapi::api::core::v1::Capabilities>(CAPABILITIES);
    covers::<SeccompProfile>(SECCOMP);
}

fn found(job: &Value) -> Vec<String> {
    let mut causes = Causes::default();
    check(job, &mut causes);
    causes.into_vec().iter().map(ToString::to_string).collect()
}

fn in_pod(mut pod: Value) -> Vec<String> {
    let containers = json!([{"name": "a", "command": ["true"]}]);
    pod.as_object_mut().unwrap().entry("containers").or_insert(containers);
    found(&json!({"spec": {"template": {"spec": pod}}}))
}

#[test]
fn what_asks_for_nothing_is_let_in() {
    let pod = json!({
        "securityContext": {},
        "hostNetwork": false,
        "volumes": [],
        "nodeSelector": {},
        "hostUsers": true,
        "schedulerName": "default-scheduler",
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "os": {"name": "linux"},
        "containers": [{"command": ["x"], "resources": {"limits": {}}, "stdin": false}],
    });
    assert_eq!(in_pod(pod), Vec::<String>::new());
}

#[test]
fn what_asks_for_something_is_refused_by_its_path() {
    let found = in_pod(json!({
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "hostUsers": false,
        "schedulerName": "mine",
        "terminationGracePeriodSeconds": -1,
        "containers": [
            {"name": "a", "command": ["x"], "resources": {"limits": {"cpu": 1, "hugepages-2Mi": 1}}},
            {"name": "b", "env": [
                {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.ephemeral-storage"}}},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ]},
        ],
    }));
    let paths: Vec<&str> = found.iter().map(|text| text.split_once(": ").unwrap().0).collect();
    assert_eq!(
        paths,
        [
            "spec.template.spec.containers[0].resources.limits[hugepages-2Mi]",
            "spec.template.spec.containers[1].command",
            "spec.template.spec.containers[1].env[0].valueFrom.resourceFieldRef.resource",
            "spec.template.spec.hostUsers",
            "spec.template.spec.schedulerName",
            "spec.template.spec.terminationGracePeriodSeconds",
            "spec.template.spec.topologySpreadConstraints",
        ]
    );
    assert_eq!(
        found[6],
        "spec.template.spec.topologySpreadConstraints: Forbidden: not supported yet by this version \
         of Stint: use nodeSelector, nodeAffinity and tolerations"
    );
}
