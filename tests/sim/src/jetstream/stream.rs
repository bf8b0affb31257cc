//! A stream: what stands at its subjects, and its consumers.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::Millis;
use super::consumer::Consumer;

/// A subject with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }

    pub(super) fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for wanted in &self.0 {
            match (wanted.as_str(), tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

/// A message in a stream.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) subject: String,
    pub(super) payload: Bytes,
    pub(super) at: Millis,
}

/// A stream.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) config: Value,
    subjects: Vec<Pattern>,
    one_a_subject: bool,
    pub(super) work_queue: bool,
    pub(super) messages: BTreeMap<u64, Stored>,
    last: BTreeMap<String, u64>,
    pub(super) last_sequence: u64,
    pub(super) consumers: BTreeMap<String, Consumer>,
    /// Messages that left by their answers: a crash of the server may bring them back.
    answered: Vec<(u64, Stored)>,
}

impl Stream {
    pub(super) fn new(config: &Value) -> Self {
        let subjects = config["subjects"].as_array().into_iter().flatten();
        Self {
            subjects: subjects.filter_map(Value::as_str).map(Pattern::new).collect(),
            one_a_subject: config["max_msgs_per_subject"] == 1,
            work_queue: config["retention"] == "workqueue",
            config: config.clone(),
            messages: BTreeMap::new(),
            last: BTreeMap::new(),
            last_sequence: 0,
            consumers: BTreeMap::new(),
            answered: Vec::new(),
        }
    }

    pub(super) fn takes(&self, subject: &str) -> bool {
        self.subjects.iter().any(|pattern| pattern.matches(subject))
    }

    /// The sequence of the last message at a subject; 0 for none.
    pub(super) fn last_of(&self, subject: &str) -> u64 {
        self.last.get(subject).copied().unwrap_or(0)
    }

    /// The last message that matches.
    pub(super) fn last_matching(&self, pattern: &str) -> Option<(u64, &Stored)> {
        if !pattern.contains(['*', '>']) {
            let sequence = self.last.get(pattern)?;
            return Some((*sequence, self.messages.get(sequence)?));
        }
        let pattern = Pattern::new(pattern);
        let mut newest = self.messages.iter().rev();
        let found = newest.find(|(_, message)| pattern.matches(&message.subject))?;
        Some((*found.0, found.1))
    }

    /// How many messages stand at each subject that matches.
    pub(super) fn subjects(&self, pattern: &str) -> BTreeMap<String, u64> {
        let pattern = Pattern::new(pattern);
        let mut found = BTreeMap::new();
        for stored in self.messages.values().filter(|stored| pattern.matches(&stored.subject)) {
            *found.entry(stored.subject.clone()).or_default() += 1;
        }
        found
    }

    pub(super) fn store(&mut self, subject: &str, payload: &Bytes, at: Millis) -> u64 {
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        let before = self.last.insert(subject.to_owned(), sequence);
        if let Some(before) = before.filter(|_| self.one_a_subject) {
            self.messages.remove(&before);
            self.consumers.values_mut().for_each(|consumer| consumer.settle(before));
        }
        let stored = Stored { subject: subject.to_owned(), payload: payload.clone(), at };
        self.messages.insert(sequence, stored);
        sequence
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Stored> {
        let stored = self.messages.remove(&sequence)?;
        if self.last.get(&stored.subject) == Some(&sequence) {
            self.last.remove(&stored.subject);
        }
        self.consumers.values_mut().for_each(|consumer| consumer.settle(sequence));
        Some(stored)
    }

    /// Takes out what was answered; remembered, since that may be lost in a crash.
    pub(super) fn answer(&mut self, sequence: u64) -> Option<Stored> {
        let stored = self.remove(sequence)?;
        self.answered.push((sequence, stored.clone()));
        if self.answered.len() > 64 {
            self.answered.remove(0);
        }
        Some(stored)
    }

    pub(super) fn purge(&mut self, pattern: &str) -> Vec<(u64, Stored)> {
        let pattern = Pattern::new(pattern);
        let matching = self.messages.iter().filter(|(_, stored)| pattern.matches(&stored.subject));
        let sequences: Vec<u64> = matching.map(|(sequence, _)| *sequence).collect();
        sequences
            .into_iter()
            .filter_map(|sequence| Some((sequence, self.remove(sequence)?)))
            .collect()
    }

    /// The server was killed: consumers in memory are gone, answers are forgotten.
    pub(super) fn crash(&mut self, mut forgets: impl FnMut() -> bool) {
        self.consumers.retain(|_, consumer| consumer.durable);
        let mut back = std::collections::BTreeSet::new();
        for (sequence, stored) in std::mem::take(&mut self.answered) {
            if forgets() && !self.last.contains_key(&stored.subject) {
                self.last.insert(stored.subject.clone(), sequence);
                self.messages.insert(sequence, stored);
                back.insert(sequence);
            }
        }
        self.consumers.values_mut().for_each(|consumer| consumer.forget(&back));
    }
}
