//! The demo's manifests: ordinary `batch/v1` Jobs.

use std::path::Path;

use serde_json::{Value, json};

/// What the Jobs are made from.
pub(crate) struct Plan<'a> {
    /// This program.
    pub(crate) stint: &'a Path,
    /// Where the crates are.
    pub(crate) root: &'a Path,
    /// Where results go.
    pub(crate) out: &'a Path,
    /// How many shares.
    pub(crate) shares: u32,
}

impl Plan<'_> {
    /// The share that fails once, on purpose. The last one: Kubernetes backs off from failures that
    /// no other pod's success has followed.
    pub(crate) fn stumbling(&self) -> u32 {
        self.shares.saturating_sub(1)
    }

    /// One pod a share; each finds out by its index which one.
    pub(crate) fn count(&self) -> Value {
        let (of, stumble) = (self.shares.to_string(), self.stumbling().to_string());
        let command = [
            &*self.stint.to_string_lossy(),
            "__demo-count",
            "--share",
            "$(JOB_COMPLETION_INDEX)",
            "--of",
            &of,
            "--root",
            &self.root.to_string_lossy(),
            "--out",
            &self.out.to_string_lossy(),
            "--stumble",
            &stumble,
        ];
        let mut job = job("demo-count", &command);
        job["spec"]["completionMode"] = "Indexed".into();
        job["spec"]["completions"] = self.shares.into();
        job["spec"]["parallelism"] = self.shares.into();
        job
    }

    /// One pod that puts the shares together.
    pub(crate) fn merge(&self) -> Value {
        let of = self.shares.to_string();
        let stint = self.stint.to_string_lossy();
        job(
            "demo-merge",
            &[&stint, "__demo-merge", "--of", &of, "--out", &self.out.to_string_lossy()],
        )
    }

    /// Many pods that do nothing: what a pod costs.
    pub(crate) fn burst(&self, pods: u32) -> Value {
        let mut job = job("demo-burst", &["/bin/true"]);
        job["spec"]["completions"] = pods.into();
        job["spec"]["parallelism"] = pods.into();
        job
    }
}

fn job(name: &str, command: &[&str]) -> Value {
    let container = json!({"name": "main", "image": "host", "command": command});
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    })
}
