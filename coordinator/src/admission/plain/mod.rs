//! Objects that are kept as they are sent, and mean something only to who reads them: ConfigMaps,
//! Secrets, leases, namespaces, service accounts.
//!
//! One pair of functions admits them all; what is particular to a kind is in its [`Rules`].

mod config_map;
mod cron_job;
mod data;
mod event;
mod lease;
mod namespace;
mod node;
mod pod;
mod rules;
mod secret;
mod service_account;

pub use config_map::CONFIG_MAP;
pub use cron_job::{CRON_JOB, default_cron_job};
pub use event::{EVENT, EVENTS_EVENT, from_events_form, to_events_form};
pub use lease::LEASE;
pub use namespace::{ACTIVE, KUBERNETES, NAMESPACE, TERMINATING};
pub use node::{NODE, UNSCHEDULABLE};
pub use pod::POD;
pub use rules::{AdmittedObject, Rules, create, update, update_finalizers, update_status};
pub use secret::SECRET;
pub use service_account::SERVICE_ACCOUNT;
