//! What is served: one table, from which both front ends find what a request means, and discovery
//! says what there is.

use crate::registry::EventForm;
use crate::registry::error::{
    ACCESS_REVIEWS, CONFIG_MAPS, CRON_JOBS, DAEMON_SETS, EVENTS, EVENTS_K8S, JOBS, LEASES,
    NAMESPACES, NODES, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, RULES_REVIEWS, Resource,
    SECRETS, SELF_REVIEWS, SERVICE_ACCOUNTS, SERVICES,
};
use crate::registry::objects::{Kind, kind};

/// Everything there is.
pub(crate) static RESOURCES: [&ApiResource; 18] = [
    &CONFIG_MAPS_V1,
    &EVENTS_V1,
    &NAMESPACES_V1,
    &NODES_V1,
    &PODS_V1,
    &SECRETS_V1,
    &SERVICES_V1,
    &SERVICE_ACCOUNTS_V1,
    &REPLICATION_CONTROLLERS_V1,
    &CRON_JOBS_V1,
    &JOBS_V1,
    &LEASES_V1,
    &EVENTS_K8S_V1,
    &ACCESS_REVIEWS_V1,
    &RULES_REVIEWS_V1,
    &SELF_REVIEWS_V1,
    &DAEMON_SETS_V1,
    &REPLICA_SETS_V1,
];

static EVENTS_V1: ApiResource = ApiResource {
    served_by: Verbs::Events(EventForm::Core),
    about: EVENTS,
    version: "v1",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[],
};

static EVENTS_K8S_V1: ApiResource = ApiResource {
    served_by: Verbs::Events(EventForm::Events),
    about: EVENTS_K8S,
    version: "v1",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[],
};

static SERVICES_V1: ApiResource = ApiResource {
    served_by: Verbs::Services,
    about: SERVICES,
    version: "v1",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    namespaced: true,
    verbs: &[Verb::Get, Verb::List, Verb::Watch],
    subresources: &[],
};

static LEASES_V1: ApiResource = ApiResource {
    served_by: Verbs::Leases,
    about: LEASES,
    version: "v1",
    singular: "lease",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[],
};

static NODES_V1: ApiResource = ApiResource {
    served_by: Verbs::Nodes,
    about: NODES,
    version: "v1",
    singular: "node",
    short_names: &["no"],
    categories: &[],
    namespaced: false,
    verbs: &[Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
    subresources: &[],
};

static CONFIG_MAPS_V1: ApiResource = ApiResource {
    served_by: Verbs::Objects(&kind::CONFIG_MAP),
    about: CONFIG_MAPS,
    version: "v1",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[],
};

static NAMESPACES_V1: ApiResource = ApiResource {
    served_by: Verbs::Objects(&kind::NAMESPACE),
    about: NAMESPACES,
    version: "v1",
    singular: "namespace",
    short_names: &["ns"],
    categories: &[],
    namespaced: false,
    verbs: &[
        Verb::Create,
        Verb::Delete,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Update,
        Verb::Watch,
    ],
    subresources: &[
        Subresource::own(Part::Finalize, "Namespace", &[Verb::Update]),
        Subresource::own(Part::Status, "Namespace", &[Verb::Get, Verb::Patch, Verb::Update]),
    ],
};

static REPLICATION_CONTROLLERS_V1: ApiResource =
    ApiResource::absent(REPLICATION_CONTROLLERS, "replicationcontroller", &["rc"]);
static DAEMON_SETS_V1: ApiResource = ApiResource::absent(DAEMON_SETS, "daemonset", &["ds"]);
static REPLICA_SETS_V1: ApiResource = ApiResource::absent(REPLICA_SETS, "replicaset", &["rs"]);

static SECRETS_V1: ApiResource = ApiResource {
    served_by: Verbs::Objects(&kind::SECRET),
    about: SECRETS,
    version: "v1",
    singular: "secret",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[],
};

static SERVICE_ACCOUNTS_V1: ApiResource = ApiResource {
    served_by: Verbs::Objects(&kind::SERVICE_ACCOUNT),
    about: SERVICE_ACCOUNTS,
    version: "v1",
    singular: "serviceaccount",
    short_names: &["sa"],
    categories: &[],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[],
};

static CRON_JOBS_V1: ApiResource = ApiResource {
    served_by: Verbs::Objects(&kind::CRON_JOB),
    about: CRON_JOBS,
    version: "v1",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[Subresource::own(
        Part::Status,
        "CronJob",
        &[Verb::Get, Verb::Patch, Verb::Update],
    )],
};

static JOBS_V1: ApiResource = ApiResource {
    served_by: Verbs::Jobs,
    about: JOBS,
    version: "v1",
    singular: "job",
    short_names: &[],
    categories: &["all"],
    namespaced: true,
    verbs: &ALL_VERBS,
    subresources: &[
        Subresource::own(Part::Status, "Job", &[Verb::Get, Verb::Patch, Verb::Update]),
        Subresource::own(Part::Rerun, "Job", &[Verb::Create]),
    ],
};

static PODS_V1: ApiResource = ApiResource {
    served_by: Verbs::Pods,
    about: PODS,
    version: "v1",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    namespaced: true,
    verbs: &[
        Verb::Delete,
        Verb::DeleteCollection,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Update,
        Verb::Watch,
    ],
    subresources: &[
        Subresource {
            part: Part::Eviction,
            kind: "Eviction",
            group_version: Some(("policy", "v1")),
            verbs: &[Verb::Create],
        },
        Subresource::own(Part::Log, "Pod", &[Verb::Get]),
    ],
};

static ACCESS_REVIEWS_V1: ApiResource =
    ApiResource::review(ACCESS_REVIEWS, "selfsubjectaccessreview");
static RULES_REVIEWS_V1: ApiResource = ApiResource::review(RULES_REVIEWS, "selfsubjectrulesreview");
static SELF_REVIEWS_V1: ApiResource = ApiResource::review(SELF_REVIEWS, "selfsubjectreview");

/// Every verb, in the order of discovery documents.
pub(crate) const ALL_VERBS: [Verb; 8] = [
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];

/// A resource as Kubernetes' `APIResource` describes it.
#[derive(Debug)]
pub(crate) struct ApiResource {
    /// Which functions of the registry serve it.
    pub(crate) served_by: Verbs,
    /// Group, plural and kind.
    pub(crate) about: Resource,
    /// `v1`.
    pub(crate) version: &'static str,
    /// `job`.
    pub(crate) singular: &'static str,
    /// `po`.
    pub(crate) short_names: &'static [&'static str],
    /// `all`.
    pub(crate) categories: &'static [&'static str],
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
    /// What can be done with it.
    pub(crate) verbs: &'static [Verb],
    /// What its objects have beside themselves.
    pub(crate) subresources: &'static [Subresource],
}

/// A part of an object that has verbs of its own.
#[derive(Debug)]
pub(crate) struct Subresource {
    /// Which one.
    pub(crate) part: Part,
    /// Kind of the object that is sent and answered.
    pub(crate) kind: &'static str,
    /// Group and version of that kind, where they are not the resource's.
    pub(crate) group_version: Option<(&'static str, &'static str)>,
    /// What can be done with it.
    pub(crate) verbs: &'static [Verb],
}

/// The registry's functions for one kind of object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verbs {
    /// Jobs.
    Jobs,
    /// Pods, which follow from Jobs.
    Pods,
    /// Objects that are kept as they are sent.
    Objects(&'static Kind),
    /// Events, in one of their forms.
    Events(EventForm),
    /// Workers.
    Nodes,
    /// What workers renew, and what clients hold.
    Leases,
    /// The one Service.
    Services,
    /// Of which there are none, and clients look all the same.
    Absent,
    /// What one may, which the front end that asks who one is answers itself.
    Reviews,
}

/// What a subresource is of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `status`: the object, of which writes change the status alone.
    Status,
    /// `log`: what a container wrote.
    Log,
    /// `finalize`: the object, of which writes change what it waits for.
    Finalize,
    /// `rerun`: Jobs that run a finished one again.
    Rerun,
    /// `eviction`: has the object go.
    Eviction,
}

/// What can be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// POST of a new object.
    Create,
    /// DELETE of one object.
    Delete,
    /// DELETE of all that match.
    DeleteCollection,
    /// GET of one object.
    Get,
    /// GET of all that match.
    List,
    /// PATCH.
    Patch,
    /// PUT.
    Update,
    /// GET of all that match, and of what happens to them.
    Watch,
}

impl ApiResource {
    /// What can only be asked: answered at once, and kept nowhere.
    const fn review(about: Resource, singular: &'static str) -> Self {
        Self {
            served_by: Verbs::Reviews,
            about,
            version: "v1",
            singular,
            short_names: &[],
            categories: &[],
            namespaced: false,
            verbs: &[Verb::Create],
            subresources: &[],
        }
    }

    /// Of which there are none.
    const fn absent(
        about: Resource,
        singular: &'static str,
        short_names: &'static [&'static str],
    ) -> Self {
        Self {
            served_by: Verbs::Absent,
            about,
            version: "v1",
            singular,
            short_names,
            categories: &["all"],
            namespaced: true,
            verbs: &[Verb::Get, Verb::List, Verb::Watch],
            subresources: &[],
        }
    }

    /// The subresource of this name.
    pub(crate) fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|sub| sub.part.name() == name)
    }
}

impl Subresource {
    /// Of the resource's own kind.
    const fn own(part: Part, kind: &'static str, verbs: &'static [Verb]) -> Self {
        Self { part, kind, group_version: None, verbs }
    }
}

impl Part {
    /// Its name in paths.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Log => "log",
            Self::Finalize => "finalize",
            Self::Rerun => "rerun",
            Self::Eviction => "eviction",
        }
    }

    /// Whether it is answered with bytes and not with an object.
    pub(crate) const fn is_bytes(self) -> bool {
        match self {
            Self::Log => true,
            Self::Status | Self::Finalize | Self::Rerun | Self::Eviction => false,
        }
    }
}

impl Verb {
    /// Its name in subjects and discovery documents.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }

    /// The verb of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL_VERBS.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether it is done to one object that a name says.
    pub(crate) const fn needs_name(self) -> bool {
        match self {
            Self::Delete | Self::Get | Self::Patch | Self::Update => true,
            Self::Create | Self::DeleteCollection | Self::List | Self::Watch => false,
        }
    }

    /// Whether it can be done across namespaces.
    pub(crate) const fn spans_namespaces(self) -> bool {
        match self {
            Self::List | Self::Watch => true,
            Self::Create
            | Self::Delete
            | Self::DeleteCollection
            | Self::Get
            | Self::Patch
            | Self::Update => false,
        }
    }
}

/// `batch/v1`; the core group has no name, so `v1`.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Groups with their versions, each once, the core group first.
pub(crate) fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for resource in RESOURCES {
        let group = (resource.about.group, resource.version);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups.sort_by_key(|(group, _)| !group.is_empty());
    groups
}

/// The resource of this plural, whatever its group.
pub(crate) fn by_plural(plural: &str) -> Option<&'static ApiResource> {
    RESOURCES.into_iter().find(|resource| resource.about.plural == plural)
}

/// Resources of a group's version.
pub(crate) fn of_group(group: &str, version: &str) -> impl Iterator<Item = &'static ApiResource> {
    RESOURCES
        .into_iter()
        .filter(move |resource| resource.about.group == group && resource.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_one_thing() {
        let mut seen = Vec::new();
        for resource in RESOURCES {
            let about = resource.about;
            let place = (group_version(about.group, resource.version), about.plural);
            assert!(!seen.contains(&place), "{place:?} is there twice");
            seen.push(place);
            for sub in resource.subresources {
                let found = resource.subresource(sub.part.name()).map(|found| found.part);
                assert_eq!(found, Some(sub.part));
            }
        }
        for verb in ALL_VERBS {
            assert_eq!(Verb::named(verb.name()), Some(verb));
        }
        assert_eq!(groups()[0], ("", "v1"));
    }
}
