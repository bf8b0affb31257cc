//! Service accounts: names that pods can say. No tokens are made for them.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::rules::{Rules, carry_nothing, judge_no_change, judge_nothing, read_plainly};
use crate::admission::read::Identity;
use crate::admission::text;

/// Service accounts.
pub static SERVICE_ACCOUNT: Rules = Rules {
    identity: Identity { api_version: "v1", kind: "ServiceAccount" },
    namespaced: true,
    name: text::dns_subdomain,
    read: read_plainly::<ServiceAccount>,
    complete: |_| {},
    carry: carry_nothing,
    judge: judge_nothing,
    judge_change: judge_no_change,
};
