//! How the lists of a Job are merged by a strategic merge patch: `patchStrategy` and
//! `patchMergeKey` of Kubernetes' types.
//!
//! Only what differs from the plain rule has a line: a member without one is merged if it is an
//! object, and replaced otherwise.

/// How a member of an object is patched.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name in JSON.
    pub name: &'static str,
    /// What is done with it.
    pub strategy: Strategy,
    /// Of an object its members, of a list those of its items.
    pub schema: Option<&'static Schema>,
}

impl Member {
    /// Whether a list under this name is merged with the patch's.
    #[must_use]
    pub fn merges_lists(&self) -> bool {
        match self.strategy {
            Strategy::MergeValues | Strategy::MergeBy(_) => true,
            Strategy::Plain | Strategy::Replace => false,
        }
    }
}

/// What is done with a member that the object and the patch both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// An object is merged, anything else is replaced.
    Plain,
    /// It is replaced, also if it is an object.
    Replace,
    /// A list of plain values becomes one with the patch's, each once.
    MergeValues,
    /// Items of a list are merged that have the same value under this key.
    MergeBy(&'static str),
}

/// Members of an object that are not patched by the plain rule, or that contain such.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The members.
    pub members: &'static [Member],
}

impl Schema {
    /// How a member is patched.
    #[must_use]
    pub fn member(&self, name: &str) -> Member {
        let found = self.members.iter().find(|member| member.name == name);
        found.copied().unwrap_or(Member { name: "", strategy: Strategy::Plain, schema: None })
    }
}

const fn object(name: &'static str, schema: &'static Schema) -> Member {
    Member { name, strategy: Strategy::Plain, schema: Some(schema) }
}

const fn list(name: &'static str, key: &'static str) -> Member {
    Member { name, strategy: Strategy::MergeBy(key), schema: None }
}

const fn list_of(name: &'static str, key: &'static str, schema: &'static Schema) -> Member {
    Member { name, strategy: Strategy::MergeBy(key), schema: Some(schema) }
}

/// A Job.
pub static JOB: Schema = Schema {
    members: &[
        object("metadata", &OBJECT_META),
        object("spec", &JOB_SPEC),
        object("status", &JOB_STATUS),
    ],
};

/// An object whose lists are all replaced, but for those of its metadata.
pub static PLAIN: Schema = Schema { members: &[object("metadata", &OBJECT_META)] };

/// A CronJob.
pub static CRON_JOB: Schema =
    Schema { members: &[object("metadata", &OBJECT_META), object("spec", &CRON_JOB_SPEC)] };

static CRON_JOB_SPEC: Schema = Schema { members: &[object("jobTemplate", &JOB)] };

/// A pod.
pub static POD: Schema = Schema {
    members: &[
        object("metadata", &OBJECT_META),
        object("spec", &POD_SPEC),
        object("status", &JOB_STATUS),
    ],
};

/// A service account.
pub static SERVICE_ACCOUNT: Schema = Schema {
    members: &[
        object("metadata", &OBJECT_META),
        list("imagePullSecrets", "name"),
        list("secrets", "name"),
    ],
};

/// A node.
pub static NODE: Schema = Schema {
    members: &[
        object("metadata", &OBJECT_META),
        object("spec", &NODE_SPEC),
        object("status", &NODE_STATUS),
    ],
};

static NODE_SPEC: Schema = Schema {
    members: &[Member { name: "podCIDRs", strategy: Strategy::MergeValues, schema: None }],
};

static NODE_STATUS: Schema =
    Schema { members: &[list("addresses", "type"), list("conditions", "type")] };

static OBJECT_META: Schema = Schema {
    members: &[
        Member { name: "finalizers", strategy: Strategy::MergeValues, schema: None },
        list("ownerReferences", "uid"),
    ],
};

static JOB_SPEC: Schema = Schema { members: &[object("template", &POD_TEMPLATE)] };

static JOB_STATUS: Schema = Schema { members: &[list("conditions", "type")] };

static POD_TEMPLATE: Schema =
    Schema { members: &[object("metadata", &OBJECT_META), object("spec", &POD_SPEC)] };

static POD_SPEC: Schema = Schema {
    members: &[
        list_of("containers", "name", &CONTAINER),
        list_of("ephemeralContainers", "name", &CONTAINER),
        list("hostAliases", "ip"),
        list("imagePullSecrets", "name"),
        list_of("initContainers", "name", &CONTAINER),
        list("resourceClaims", "name"),
        list("schedulingGates", "name"),
        list("topologySpreadConstraints", "topologyKey"),
        list("volumes", "name"),
    ],
};

static CONTAINER: Schema = Schema {
    members: &[
        list("env", "name"),
        list("ports", "containerPort"),
        list("volumeDevices", "devicePath"),
        list("volumeMounts", "mountPath"),
    ],
};
