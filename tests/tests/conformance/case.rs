//! What a case says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use stint_coordinator::job::Deletion;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Case {
    /// What it shows.
    pub(super) title: String,
    /// Which section of the semantics, or which Kubernetes rule.
    pub(super) rule: String,
    /// The manifest's `spec`; a template that says nothing of interest may be left out.
    pub(super) spec: Value,
    /// The Job's annotations.
    #[serde(default)]
    pub(super) annotations: Value,
    pub(super) steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Step {
    /// Time since the Job was created: `90s`.
    pub(super) at: String,
    /// Members of `spec` that are changed (JSON merge patch).
    #[serde(default)]
    pub(super) spec: Option<Value>,
    /// Annotations that are changed.
    #[serde(default)]
    pub(super) annotations: Option<Value>,
    /// Other Jobs of the namespace, as they are from now on.
    #[serde(default)]
    pub(super) jobs: BTreeMap<String, Other>,
    /// Others that wait for this one have not taken note of its end.
    #[serde(default)]
    pub(super) followers: Option<bool>,
    /// The Job is deleted, and this is what it waits for.
    #[serde(default)]
    pub(super) delete: Option<Waits>,
    /// What pods report: `<slot>[-<slot>][/<attempt>] <what> [<argument>]`.
    #[serde(default)]
    pub(super) pods: Vec<String>,
    /// Store one change only, to see what is written first.
    #[serde(default)]
    pub(super) once: bool,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// What another Job is doing.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Other {
    Running,
    Complete,
    Failed,
    /// It waits for the Job of this case.
    WaitsForThisOne,
    Gone,
}

/// What a Job that is deleted waits for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Waits {
    /// Its pods are stopped, and waited for.
    Foreground,
    /// Its pods run to their ends, and are waited for.
    Orphan,
    /// A client's finalizer.
    Held,
}

impl Waits {
    pub(super) fn deletion(self, at: Timestamp) -> Deletion {
        let none = Deletion { foreground: false, ..Deletion::foreground(at) };
        match self {
            Self::Foreground => Deletion::foreground(at),
            Self::Orphan => Deletion { orphan: true, ..none },
            Self::Held => Deletion { held: true, ..none },
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Expect {
    /// Counters; those not listed are 0, or empty.
    #[serde(default)]
    pub(super) status: Option<BTreeMap<String, Value>>,
    /// `Type Reason`, or `Type=False Reason`.
    #[serde(default)]
    pub(super) conditions: Option<Vec<String>>,
    /// The conditions' messages, in the same order; `POD` stands for a pod's name.
    #[serde(default)]
    pub(super) messages: Option<Vec<String>>,
    /// Whether `ready`, `terminating` and `uncountedTerminatedPods` are shown, also when 0.
    #[serde(default)]
    pub(super) shown: Option<bool>,
    /// Pods that come into being.
    #[serde(default)]
    pub(super) issued: Vec<String>,
    /// With a back-off limit per index: what pods that come into being are annotated with, as
    /// `job-index-failure-count`, or that `+ job-index-ignored-failure-count`.
    #[serde(default)]
    pub(super) failure_counts: Option<Vec<String>>,
    /// Pods that workers may hear of, if other than those issued.
    #[serde(default)]
    pub(super) published: Option<Vec<String>>,
    /// Pods that are told to end.
    #[serde(default)]
    pub(super) stopped: Vec<String>,
    /// Events of the Job: `Reason: message`, with `POD` for a pod's name; without those about
    /// single pods.
    #[serde(default)]
    pub(super) events: Vec<String>,
    /// Events about single pods, each with how often it was said in a row: `2 x Reason: message`.
    #[serde(default)]
    pub(super) pod_events: Option<Vec<String>>,
    /// When the Job is looked at again though nothing happens.
    #[serde(default)]
    pub(super) wake: Option<String>,
    /// Notes for `explain`.
    #[serde(default)]
    pub(super) notes: Option<Vec<String>>,
    /// How many writes it took.
    #[serde(default)]
    pub(super) writes: Option<usize>,
    /// What becomes of the Job itself: `Delete` or `Remove`.
    #[serde(default)]
    pub(super) dispose: Option<String>,
}
