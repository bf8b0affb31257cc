//! Field selectors: `metadata.name=a,status.successful!=1`. Only a few fields can be selected by.

use std::str::FromStr;

use serde_json::Value;

use super::parse::ParseSelectorError;

/// Comparisons of fields that must all hold; none means every object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Comparison>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    field: String,
    value: String,
    equal: bool,
}

/// The fields of a Job by which one can select.
const JOB_FIELDS: [&str; 3] = ["metadata.name", "metadata.namespace", "status.successful"];
/// The fields of a pod by which one can select.
const POD_FIELDS: [&str; 10] = [
    "metadata.name",
    "metadata.namespace",
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
];

impl FieldSelector {
    /// Whether it means every object.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that a field must have, if it asks for exactly one: `metadata.name=a` needs no
    /// listing.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        let comparison =
            self.0.iter().find(|comparison| comparison.equal && comparison.field == field);
        comparison.map(|comparison| &*comparison.value)
    }

    /// Whether nothing fulfils it that has this value there.
    #[must_use]
    pub fn excludes(&self, field: &str, value: &str) -> bool {
        let mut about = self.0.iter().filter(|comparison| comparison.field == field);
        about.any(|comparison| (comparison.value == value) != comparison.equal)
    }

    /// Whether a Job, as a client sees it, fulfils it.
    ///
    /// # Errors
    ///
    /// When it asks for a field by which Jobs cannot be selected.
    pub fn for_jobs(&self) -> Result<impl Fn(&Value) -> bool + '_, ParseSelectorError> {
        self.only(&JOB_FIELDS, |field| {
            format!("field label {field:?} not supported for batchv1.Job")
        })?;
        Ok(|job: &Value| self.matches(|field| job_field(job, field)))
    }

    /// Whether a pod, as a client sees it, fulfils it.
    ///
    /// # Errors
    ///
    /// When it asks for a field by which pods cannot be selected.
    pub fn for_pods(&self) -> Result<impl Fn(&Value) -> bool + '_, ParseSelectorError> {
        self.only(&POD_FIELDS, |field| format!("field label not supported: {field}"))?;
        Ok(|pod: &Value| self.matches(|field| pod_field(pod, field)))
    }

    /// Whether it asks only for fields of `known`.
    ///
    /// # Errors
    ///
    /// When it does not; names the field.
    pub fn check(&self, known: &[&str]) -> Result<(), ParseSelectorError> {
        self.only(known, |field| format!("field label not supported: {field}"))
    }

    /// Whether an object, as a client sees it, fulfils it: a field is a path of members.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(|field| text_at(object, field))
    }

    /// Whether all comparisons hold; `lookup` gives a field's text, empty when absent.
    pub fn matches(&self, lookup: impl Fn(&str) -> String) -> bool {
        self.0.iter().all(|it| (lookup(&it.field) == it.value) == it.equal)
    }

    fn only(
        &self,
        known: &[&str],
        complaint: impl Fn(&str) -> String,
    ) -> Result<(), ParseSelectorError> {
        let foreign = self.0.iter().find(|comparison| !known.contains(&&*comparison.field));
        foreign.map_or(Ok(()), |comparison| Err(ParseSelectorError(complaint(&comparison.field))))
    }
}

fn job_field(job: &Value, field: &str) -> String {
    match field {
        "status.successful" => job["status"]["succeeded"].as_u64().unwrap_or(0).to_string(),
        _ => text_at(job, field),
    }
}

fn pod_field(pod: &Value, field: &str) -> String {
    match field {
        "spec.hostNetwork" => (pod["spec"]["hostNetwork"] == true).to_string(),
        _ => text_at(pod, field),
    }
}

fn text_at(object: &Value, field: &str) -> String {
    let value = field.split('.').fold(object, |value, member| &value[member]);
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

impl FromStr for FieldSelector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, ParseSelectorError> {
        let terms = split(text).into_iter().filter(|term| !term.is_empty());
        terms.map(|term| comparison(&term)).collect::<Result<_, _>>().map(Self)
    }
}

/// Cuts at commas that no backslash protects.
fn split(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, terms.last_mut()) {
            (',', _) => terms.push(String::new()),
            ('\\', Some(term)) => {
                term.push('\\');
                term.extend(letters.next());
            }
            (letter, Some(term)) => term.push(letter),
            (_, None) => {}
        }
    }
    terms
}

fn comparison(term: &str) -> Result<Comparison, ParseSelectorError> {
    let invalid =
        || ParseSelectorError(format!("invalid selector: '{term}'; can't understand '{term}'"));
    let at = term.find(['=', '!']).ok_or_else(invalid)?;
    let (field, rest) = term.split_at(at);
    let operators = [("!=", false), ("==", true), ("=", true)];
    let (value, equal) = operators
        .iter()
        .find_map(|(operator, equal)| rest.strip_prefix(operator).map(|value| (value, *equal)))
        .ok_or_else(invalid)?;
    Ok(Comparison { field: field.to_owned(), value: unescape(value).ok_or_else(invalid)?, equal })
}

/// Takes the backslashes off: only commas, equal signs and backslashes may be protected, and must
/// be.
fn unescape(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(letters.next().filter(|it| matches!(it, '\\' | ',' | '='))?),
            ',' | '=' => return None,
            letter => plain.push(letter),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn jobs(selector: &str, job: &Value) -> Result<bool, String> {
        let selector: FieldSelector = selector.parse().map_err(|it: ParseSelectorError| it.0)?;
        selector.for_jobs().map(|matches| matches(job)).map_err(|error| error.0)
    }

    #[test]
    fn jobs_are_selected_by_three_fields() {
        let job = json!({"metadata": {"name": "a", "namespace": "b"}, "status": {"succeeded": 2}});
        assert_eq!(jobs("metadata.name=a,status.successful==2", &job), Ok(true));
        assert_eq!(jobs("metadata.namespace!=b", &job), Ok(false));
        assert_eq!(jobs("", &job), Ok(true));
        assert_eq!(jobs("status.successful=0", &json!({})), Ok(true));
        assert_eq!(
            jobs("spec.suspend=true", &job),
            Err("field label \"spec.suspend\" not supported for batchv1.Job".to_owned())
        );
        assert!(jobs("metadata.name", &job).is_err());
    }

    #[test]
    fn pods_are_selected_by_phase_and_node() {
        let pod = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
        let selector: FieldSelector = "status.phase!=Failed,spec.nodeName=n".parse().unwrap();
        assert!(selector.for_pods().unwrap()(&pod));
        assert_eq!(selector.exact("spec.nodeName"), Some("n"));
        assert_eq!(selector.exact("status.phase"), None);
    }

    #[test]
    fn backslashes_protect() {
        let selector: FieldSelector = "metadata.name=a\\,b".parse().unwrap();
        assert_eq!(selector.exact("metadata.name"), Some("a,b"));
        assert!("metadata.name=a=b".parse::<FieldSelector>().is_err());
    }
}
