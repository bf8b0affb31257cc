//! The kinds of objects that can be named on the command line.

use std::fmt;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Jobs.
    Jobs,
    /// Pods.
    Pods,
    /// Workers.
    Nodes,
    /// Events.
    Events,
}

/// What the words of a command line name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No such kind.
    #[error(
        "there is no kind `{0}`: jobs (job), pods (pod, po), nodes (workers) and events can be named"
    )]
    Kind(String),
    /// A kind without a name.
    #[error("`{0}` names no object: write `{0} NAME` or `{0}/NAME`")]
    Name(String),
}

impl Resource {
    /// Reads `job`, `pods`, `po`, `jobs.batch`…
    ///
    /// # Errors
    ///
    /// When it is no kind that we know.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        match text.to_ascii_lowercase().as_str() {
            "job" | "jobs" | "job.batch" | "jobs.batch" => Ok(Self::Jobs),
            "pod" | "pods" | "po" => Ok(Self::Pods),
            "node" | "nodes" | "no" | "worker" | "workers" => Ok(Self::Nodes),
            "event" | "events" | "ev" => Ok(Self::Events),
            _ => Err(ParseError::Kind(text.to_owned())),
        }
    }

    /// Its name in the API.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Pods => "pods",
            Self::Nodes => "nodes",
            Self::Events => "events",
        }
    }

    /// Its name before a slash, as in `job.batch/pi`.
    #[must_use]
    pub fn qualified(self) -> &'static str {
        match self {
            Self::Jobs => "job.batch",
            Self::Pods => "pod",
            Self::Nodes => "node",
            Self::Events => "event",
        }
    }

    /// Its `kind`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Jobs => "Job",
            Self::Pods => "Pod",
            Self::Nodes => "Node",
            Self::Events => "Event",
        }
    }

    /// Whether its objects are in namespaces.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Nodes)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural())
    }
}

/// Reads `job a b`, `job/a pod/b`: at least one name each.
///
/// # Errors
///
/// When a kind is not known, or has no name.
pub fn parse_targets(words: &[String]) -> Result<Vec<(Resource, String)>, ParseError> {
    let Some((first, names)) = words.split_first() else { return Ok(Vec::new()) };
    if first.contains('/') {
        return words.iter().map(|word| parse_target(word)).collect();
    }
    let resource = Resource::parse(first)?;
    if names.is_empty() {
        return Err(ParseError::Name(first.clone()));
    }
    Ok(names.iter().map(|name| (resource, name.clone())).collect())
}

fn parse_target(word: &str) -> Result<(Resource, String), ParseError> {
    match word.split_once('/') {
        Some((kind, name)) if !name.is_empty() => Ok((Resource::parse(kind)?, name.to_owned())),
        _ => Err(ParseError::Name(word.trim_end_matches('/').to_owned())),
    }
}

/// A Job's name from `NAME` or `job/NAME`.
///
/// # Errors
///
/// When another kind is named.
pub fn job_name(word: &str) -> Result<String, ParseError> {
    if !word.contains('/') {
        return Ok(word.to_owned());
    }
    match parse_target(word)? {
        (Resource::Jobs, name) => Ok(name),
        (Resource::Pods | Resource::Nodes | Resource::Events, _) => {
            Err(ParseError::Kind(word.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(words: &str) -> Result<Vec<(Resource, String)>, ParseError> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        parse_targets(&words)
    }

    #[test]
    fn both_forms_of_naming_are_read() {
        let pi = || (Resource::Jobs, "pi".to_owned());
        assert_eq!(targets("job pi"), Ok(vec![pi()]));
        assert_eq!(
            targets("jobs.batch/pi pod/x"),
            Ok(vec![pi(), (Resource::Pods, "x".to_owned())])
        );
        assert_eq!(targets("po a b").unwrap().len(), 2);
        assert_eq!(targets("job"), Err(ParseError::Name("job".to_owned())));
        assert_eq!(targets("job/"), Err(ParseError::Name("job".to_owned())));
        assert_eq!(targets("cronjob x"), Err(ParseError::Kind("cronjob".to_owned())));
    }

    #[test]
    fn a_job_is_named_with_or_without_its_kind() {
        assert_eq!(job_name("pi"), Ok("pi".to_owned()));
        assert_eq!(job_name("job/pi"), Ok("pi".to_owned()));
        assert!(job_name("pod/pi").is_err());
    }
}
