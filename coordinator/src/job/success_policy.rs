//! `successPolicy`: when an Indexed Job has succeeded before all its indexes have (SEMANTICS 7).
//!
//! How far each rule has got is kept up to date index by index, so that a decision costs what ended
//! and not what the Job is.

use stint_common::index_set::IndexSet;

/// Ordered rules; the first that is met ends the Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuccessPolicy {
    /// `rules`, all of them: a message names a rule by its place.
    pub rules: Vec<SuccessRule>,
}

/// One of `rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuccessRule {
    /// `succeededIndexes`, restricted to those below `completions`; `None`: all indexes.
    pub indexes: Option<IndexSet>,
    /// `succeededCount`; `None`: all of `indexes`.
    pub count: Option<u32>,
}

/// How many indexes have succeeded that each rule asks about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress(Vec<u32>);

impl SuccessRule {
    fn asks_about(&self, index: u32) -> bool {
        self.indexes.as_ref().is_none_or(|indexes| indexes.contains(index))
    }

    /// How many of the indexes it asks about must have succeeded; `None`: a rule that asks for
    /// nothing is passed over.
    fn threshold(&self) -> Option<u32> {
        match (&self.indexes, self.count) {
            (Some(indexes), _) if indexes.is_empty() => None,
            (_, Some(count)) => Some(count),
            (Some(indexes), None) => Some(indexes.len()),
            (None, None) => None,
        }
    }
}

impl SuccessPolicy {
    /// How far each rule has got, with these indexes (below `limit`) succeeded.
    pub(super) fn progress(&self, succeeded: &IndexSet, limit: u32) -> Progress {
        let reached = self.rules.iter().map(|rule| match &rule.indexes {
            Some(indexes) => indexes.intersection_len(succeeded),
            None => succeeded.count_below(limit),
        });
        Progress(reached.collect())
    }

    /// No rule has got anywhere.
    pub(super) fn no_progress(&self) -> Progress {
        Progress(vec![0; self.rules.len()])
    }

    /// One more index has succeeded.
    pub(super) fn advance(&self, progress: &mut Progress, index: u32) {
        for (rule, reached) in self.rules.iter().zip(&mut progress.0) {
            *reached = reached.saturating_add(u32::from(rule.asks_about(index)));
        }
    }

    /// The first rule that is met by what succeeded before and by what `more` says has just.
    /// Something must have succeeded, whatever the rules ask for: that is the caller's to know.
    pub(super) fn first_met(&self, progress: &Progress, more: &Progress) -> Option<usize> {
        let of = |progress: &Progress, rule: usize| progress.0.get(rule).copied().unwrap_or(0);
        self.rules.iter().enumerate().position(|(number, rule)| {
            let reached = of(progress, number).saturating_add(of(more, number));
            rule.threshold().is_some_and(|threshold| reached >= threshold)
        })
    }
}
