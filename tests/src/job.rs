//! Manifests: a Job with defaults, in which a test names only what matters to it.

use serde_json::{Value, json};

/// A Job of one pod that runs `true`, never restarted.
#[must_use]
pub fn job(name: &str) -> JobBuilder {
    JobBuilder {
        manifest: json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "host", "command": ["true"]}],
            }}},
        }),
    }
}

/// Builds a manifest.
#[derive(Clone, Debug)]
pub struct JobBuilder {
    manifest: Value,
}

impl JobBuilder {
    /// What the pods run: a script for `sh -c`, in which `$$` is the shell's process id.
    #[must_use]
    pub fn script(self, script: &str) -> Self {
        // In a command, Kubernetes makes one dollar of two.
        self.container(&json!({"command": ["sh", "-c", script.replace("$$", "$$$$")]}))
    }

    /// Sets fields of the first container.
    #[must_use]
    pub fn container(mut self, fields: &Value) -> Self {
        let container = &mut self.manifest["spec"]["template"]["spec"]["containers"][0];
        set_all(container, fields);
        self
    }

    /// Adds a variable to the first container.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let container = &mut self.manifest["spec"]["template"]["spec"]["containers"][0];
        let variable = json!({"name": name, "value": value});
        match container["env"].as_array_mut() {
            Some(variables) => variables.push(variable),
            None => container["env"] = json!([variable]),
        }
        self
    }

    /// Sets fields of the Job's spec.
    #[must_use]
    pub fn spec(mut self, fields: &Value) -> Self {
        set_all(&mut self.manifest["spec"], fields);
        self
    }

    /// Sets fields of the pods' spec.
    #[must_use]
    pub fn pod_spec(mut self, fields: &Value) -> Self {
        set_all(&mut self.manifest["spec"]["template"]["spec"], fields);
        self
    }

    /// Sets fields of the pods' metadata.
    #[must_use]
    pub fn pod_metadata(mut self, fields: &Value) -> Self {
        set_all(&mut self.manifest["spec"]["template"]["metadata"], fields);
        self
    }

    /// Sets the Job's labels.
    #[must_use]
    pub fn labels(mut self, labels: &Value) -> Self {
        self.manifest["metadata"]["labels"] = labels.clone();
        self
    }

    /// So many completions, all of which may run at once.
    #[must_use]
    pub fn completions(self, completions: u32) -> Self {
        self.spec(&json!({"completions": completions, "parallelism": completions}))
    }

    /// Each pod has an index.
    #[must_use]
    pub fn indexed(self) -> Self {
        self.spec(&json!({"completionMode": "Indexed"}))
    }

    /// The manifest.
    #[must_use]
    pub fn build(self) -> Value {
        self.manifest
    }
}

fn set_all(target: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        target[name] = value.clone();
    }
}
