//! The kinds: how each is called, admitted, patched and selected.

use crate::admission::Identity;
use crate::admission::plain::{self, Rules};
use crate::registry::error::{
    CONFIG_MAPS, CRON_JOBS, LEASES, NAMESPACES, Resource, SECRETS, SERVICE_ACCOUNTS,
};
use crate::registry::patch::schema::{self, Schema};

/// A kind of object that is kept as it is sent.
#[derive(Debug)]
pub struct Kind {
    /// Group, plural and kind.
    pub about: Resource,
    pub(super) rules: &'static Rules,
    pub(super) schema: &'static Schema,
    /// The fields by which one can select.
    pub(super) fields: &'static [&'static str],
    /// Whether nothing of an object may be repeated in a message.
    pub(super) secret: bool,
}

const NAMES: [&str; 2] = ["metadata.name", "metadata.namespace"];

/// ConfigMaps.
pub static CONFIG_MAP: Kind = Kind {
    about: CONFIG_MAPS,
    rules: &plain::CONFIG_MAP,
    schema: &schema::PLAIN,
    fields: &NAMES,
    secret: false,
};

/// Secrets.
pub static SECRET: Kind = Kind {
    about: SECRETS,
    rules: &plain::SECRET,
    schema: &schema::PLAIN,
    fields: &["metadata.name", "metadata.namespace", "type"],
    secret: true,
};

/// Service accounts.
pub static SERVICE_ACCOUNT: Kind = Kind {
    about: SERVICE_ACCOUNTS,
    rules: &plain::SERVICE_ACCOUNT,
    schema: &schema::SERVICE_ACCOUNT,
    fields: &NAMES,
    secret: false,
};

/// Leases that clients hold. Those of workers are no objects of this kind, although they show as
/// such.
pub static LEASE: Kind = Kind {
    about: LEASES,
    rules: &plain::LEASE,
    schema: &schema::PLAIN,
    fields: &NAMES,
    secret: false,
};

/// CronJobs.
pub static CRON_JOB: Kind = Kind {
    about: CRON_JOBS,
    rules: &plain::CRON_JOB,
    schema: &schema::CRON_JOB,
    fields: &NAMES,
    secret: false,
};

/// Namespaces.
pub static NAMESPACE: Kind = Kind {
    about: NAMESPACES,
    rules: &plain::NAMESPACE,
    schema: &schema::PLAIN,
    fields: &["metadata.name", "status.phase"],
    secret: false,
};

impl Kind {
    /// Whether its objects are in namespaces.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.rules.namespaced
    }

    /// Whether its objects are what other objects are in.
    pub(super) fn is_namespace(&self) -> bool {
        self.about == NAMESPACES
    }

    /// Whether Jobs belong to its objects, and go with them.
    pub(super) fn has_jobs(&self) -> bool {
        self.about == CRON_JOBS
    }

    pub(super) fn identity(&self) -> Identity {
        self.rules.identity
    }

    /// `ConfigMapList`.
    pub(super) fn list_kind(&self) -> String {
        format!("{}List", self.about.kind)
    }
}
