//! `podFailurePolicy`: what a failed pod's exit codes and conditions make of its failure
//! (SEMANTICS 8).
//!
//! Only pods that have ended are judged: a policy implies that only they are replaced.

use super::pod::{ConditionStatus, ContainerExit, EndFact};

/// Ordered rules; the first that matches a pod decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailurePolicy {
    /// `rules`, all of them: a message names a rule by its place.
    pub rules: Vec<FailureRule>,
}

/// One of `rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRule {
    /// `action`; `None` if this build does not know it: the rule is passed over, as in Kubernetes.
    pub action: Option<FailureAction>,
    /// What it asks of a pod.
    pub on: FailureMatch,
}

/// `action` of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAction {
    /// The whole Job fails.
    FailJob,
    /// The pod's index fails, with a back-off limit per index.
    FailIndex,
    /// The failure counts to no limit.
    Ignore,
    /// The failure counts, as it would without a policy.
    Count,
}

/// What a rule asks of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureMatch {
    /// `onExitCodes`.
    ExitCodes {
        /// `containerName`; `None`: any container.
        container: Option<String>,
        /// `operator`.
        operator: ExitOperator,
        /// `values`.
        values: Vec<i32>,
    },
    /// `onPodConditions`: type and status; one that is met is enough.
    PodConditions(Vec<(String, ConditionStatus)>),
}

/// `operator` of `onExitCodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitOperator {
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// One that this build does not know: matches nothing.
    Unknown,
}

/// A rule that matched, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched<'a> {
    /// What is to be done.
    pub action: FailureAction,
    /// Which rule it was.
    pub rule: usize,
    /// What of the pod it matched.
    pub by: MatchedBy<'a>,
}

/// What of a pod a rule matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy<'a> {
    /// The exit of a container.
    Exit(&'a ContainerExit),
    /// A condition of this type.
    Condition(&'a str),
}

impl FailurePolicy {
    /// The first rule that matches a pod that failed; `None`: the failure counts.
    #[must_use]
    pub fn judge<'a>(&'a self, end: &'a EndFact) -> Option<Matched<'a>> {
        self.rules.iter().enumerate().find_map(|(rule, it)| {
            let action = it.action?;
            Some(Matched { action, rule, by: it.on.find(end)? })
        })
    }
}

impl FailureMatch {
    fn find<'a>(&'a self, end: &'a EndFact) -> Option<MatchedBy<'a>> {
        match self {
            Self::ExitCodes { container, operator, values } => {
                let named = |exit: &&ContainerExit| {
                    container.as_ref().is_none_or(|name| *name == exit.container)
                };
                // Exit code 0 never matches, not even `NotIn`: that container did not fail.
                let mut failed = end.exits.iter().filter(|exit| exit.code != 0).filter(named);
                failed.find(|exit| operator.matches(values, exit.code)).map(MatchedBy::Exit)
            }
            Self::PodConditions(patterns) => patterns
                .iter()
                .find(|(kind, status)| {
                    end.conditions.iter().any(|it| it.kind == **kind && it.status == *status)
                })
                .map(|(kind, _)| MatchedBy::Condition(kind)),
        }
    }
}

impl ExitOperator {
    fn matches(self, values: &[i32], code: i32) -> bool {
        match self {
            Self::In => values.contains(&code),
            Self::NotIn => !values.contains(&code),
            Self::Unknown => false,
        }
    }
}

impl Matched<'_> {
    /// What the Job's condition says when this fails it; `pod` is `namespace/name`.
    #[must_use]
    pub fn message(&self, pod: &str) -> String {
        let rule = self.rule;
        match self.by {
            MatchedBy::Exit(ContainerExit { container, code }) => format!(
                "Container {container} for pod {pod} failed with exit code {code} matching FailJob \
                 rule at index {rule}"
            ),
            MatchedBy::Condition(kind) => {
                format!("Pod {pod} has condition {kind} matching FailJob rule at index {rule}")
            }
        }
    }
}
