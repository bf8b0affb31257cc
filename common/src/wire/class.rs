//! Classes of pods, and what workers offer: who may run what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::VERSION;
use crate::names::DEFAULT_CLASS;

/// What all pods of one class ask for: where they may run, and what they need there. The value at a
/// class's subject; immutable, since its name is made from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Class {
    /// Format version.
    pub v: u8,
    /// `nodeSelector`: labels that the worker must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// `nodeName`: the one worker that may run them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Terms of the required node affinity, one of which the worker must match; none asks for
    /// nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinity: Vec<Term>,
    /// Terms of the preferred node affinity: workers that match more of them are served first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred: Vec<Preference>,
    /// `tolerations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// `runtimeClassName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class: Option<String>,
    /// `priority`: higher ones are taken first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// What each pod takes up.
    #[serde(default, skip_serializing_if = "Request::is_default")]
    pub request: Request,
    /// What the worker must be able to do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<Need>,
    /// Users as whom they run, where they name some: any, if the worker is root's, else its own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub users: BTreeSet<u32>,
    /// Files of the machine that the worker must let them see.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub host_paths: BTreeSet<String>,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl Default for Class {
    fn default() -> Self {
        Self {
            v: VERSION,
            selector: BTreeMap::new(),
            node_name: None,
            affinity: Vec::new(),
            preferred: Vec::new(),
            tolerations: Vec::new(),
            runtime_class: None,
            priority: 0,
            request: Request::default(),
            needs: BTreeSet::new(),
            users: BTreeSet::new(),
            host_paths: BTreeSet::new(),
        }
    }
}

impl Class {
    /// The token that names it in subjects: the same for equal classes, whoever asks.
    #[must_use]
    pub fn name(&self) -> String {
        if *self == Self::default() {
            return DEFAULT_CLASS.to_owned();
        }
        let canonical = serde_json::to_vec(self).expect("a class has only string keys");
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, &canonical).simple().to_string();
        format!("c{}", &hash[..16])
    }
}

/// One term of a node affinity: all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Term {
    /// `matchExpressions`: about labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Expression>,
    /// `matchFields`: about the worker's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Expression>,
}

/// A term that a worker should match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    /// 1 to 100.
    pub weight: u32,
    /// What it is about.
    pub term: Term,
}

/// `key operator values`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// A label, or a field.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    pub operator: String,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A taint that does not keep these pods away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toleration {
    /// Which taints; empty: all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The value that the taint must have; `None`: any (`Exists`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The effect that it must have; empty: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub effect: String,
}

/// What a pod takes up of a worker, beside one of its places for pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Thousandths of a CPU; `None`: what the worker takes for pods that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u64>,
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub memory: u64,
    /// Other resources by name: bytes, or devices.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, u64>,
}

fn is_nothing(number: &u64) -> bool {
    *number == 0
}

impl Request {
    /// Whether a pod says nothing of what it takes up.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What not every machine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Need {
    /// Show a container files of its own (mount namespaces).
    Views,
    /// Limit what a volume in memory holds.
    MemoryVolumes,
    /// Run processes as any user, and with any of root's rights.
    Root,
    /// Run processes as another user than root where none is named.
    NotRoot,
    /// Limit memory, and tell when a process was killed for it.
    MemoryLimits,
    /// Limit CPU time.
    CpuLimits,
}

/// What a worker offers; part of its lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Its labels, the well-known ones included.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// Names of runtime classes that it has.
    #[serde(default)]
    pub runtimes: BTreeSet<String>,
    /// What it has for pods in all.
    #[serde(default)]
    pub allocatable: Allocatable,
    /// Thousandths of a CPU that a pod takes up which does not say.
    #[serde(default)]
    pub default_cpu_milli: u64,
    /// The user that it runs as.
    #[serde(default)]
    pub user: u32,
    /// What it can do.
    #[serde(default)]
    pub abilities: BTreeSet<Need>,
    /// Directories of the machine that it lets pods see.
    #[serde(default)]
    pub host_paths: Vec<String>,
}

/// What keeps pods away that do not tolerate it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// What pods of a worker may take up together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocatable {
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Pods.
    pub pods: u64,
    /// Other resources by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, u64>,
}
