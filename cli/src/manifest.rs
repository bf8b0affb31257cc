//! Manifests: documents from a file, and a Job made from a command.

use serde_json::{Map, Value, json};

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not YAML.
    #[error("the manifest is not YAML")]
    Yaml(#[source] Box<serde_saphyr::Error>),
    /// Not JSON.
    #[error("the manifest is not JSON")]
    Json(#[source] serde_json::Error),
    /// A document that is no object.
    #[error("document {0} of the manifest is not an object")]
    NotAnObject(usize),
    /// Nothing in it.
    #[error("the manifest is empty")]
    Empty,
}

/// Reads all documents, JSON or YAML; takes the items out of a `List`.
///
/// # Errors
///
/// When it does not parse, or holds nothing.
pub fn parse(text: &str) -> Result<Vec<Value>, Error> {
    let documents = if text.trim_start().starts_with('{') {
        let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        stream.collect::<Result<Vec<_>, _>>().map_err(Error::Json)?
    } else {
        // 0644 is octal, as for Kubernetes (YAML 1.1).
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        serde_saphyr::from_multiple_with_options::<Value>(text, options)
            .map_err(|error| Error::Yaml(Box::new(error)))?
    };
    let mut objects = Vec::new();
    for (number, document) in documents.into_iter().enumerate() {
        match document {
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                let items = list.get_mut("items").and_then(Value::as_array_mut);
                objects.extend(items.into_iter().flat_map(std::mem::take));
            }
            Value::Object(_) => objects.push(document),
            _ => return Err(Error::NotAnObject(number + 1)),
        }
    }
    if objects.is_empty() { Err(Error::Empty) } else { Ok(objects) }
}

/// A Job made from a command.
#[derive(Clone, Debug, Default)]
pub struct AdHoc {
    /// Its name; one is made from the program's when absent.
    pub name: Option<String>,
    /// `completions`; 1 when absent.
    pub completions: Option<u32>,
    /// `parallelism`; all completions at once when absent.
    pub parallelism: Option<u32>,
    /// `backoffLimit`.
    pub backoff_limit: Option<u32>,
    /// `completionMode: Indexed`.
    pub indexed: bool,
    /// `activeDeadlineSeconds`.
    pub deadline_seconds: Option<u64>,
    /// The container's variables.
    pub env: Vec<(String, String)>,
    /// The container's directory.
    pub workdir: Option<String>,
    /// The image to record.
    pub image: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

impl AdHoc {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> Value {
        let completions = self.completions.unwrap_or(1);
        let mut spec = Map::new();
        spec.insert("completions".to_owned(), completions.into());
        spec.insert("parallelism".to_owned(), self.parallelism.unwrap_or(completions).into());
        if self.indexed {
            spec.insert("completionMode".to_owned(), "Indexed".into());
        }
        if let Some(limit) = self.backoff_limit {
            spec.insert("backoffLimit".to_owned(), limit.into());
        }
        if let Some(seconds) = self.deadline_seconds {
            spec.insert("activeDeadlineSeconds".to_owned(), seconds.into());
        }
        let mut container = json!({"name": "main", "image": self.image, "command": self.command});
        if !self.env.is_empty() {
            let variables =
                self.env.iter().map(|(name, value)| json!({"name": name, "value": value}));
            container["env"] = variables.collect();
        }
        if let Some(directory) = &self.workdir {
            container["workingDir"] = directory.as_str().into();
        }
        let pod = json!({"restartPolicy": "Never", "containers": [container]});
        spec.insert("template".to_owned(), json!({"spec": pod}));
        let metadata = match &self.name {
            Some(name) => json!({"name": name}),
            None => json!({"generateName": generate_name(&self.command)}),
        };
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    }
}

/// `/usr/bin/Convert.py` gives `convert-py-`: what a name may hold, ended so that letters can
/// follow.
fn generate_name(command: &[String]) -> String {
    let program = command.first().map_or("", |word| word.split_whitespace().next().unwrap_or(""));
    let base = program.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let letters =
        base.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    let name: String = letters.take(40).collect();
    match name.trim_matches('-') {
        "" => "run-".to_owned(),
        name if name.starts_with(|letter: char| letter.is_ascii_digit()) => format!("run-{name}-"),
        name => format!("{name}-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_json_are_read() {
        let text =
            "# first\nkind: Job\nmode: 0644\n---\n---\nkind: List\nitems: [{kind: A}, {kind: B}]\n";
        let kinds = |text: &str| -> Vec<String> {
            let objects = parse(text).unwrap().into_iter();
            objects.map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(kinds(text), ["Job", "A", "B"]);
        assert_eq!(parse(text).unwrap()[0]["mode"], 420);
        assert_eq!(kinds("{\"kind\":\"X\"}\n{\"kind\":\"Y\"}"), ["X", "Y"]);
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        assert!(matches!(parse(""), Err(Error::Empty)));
        assert!(matches!(parse("---\n# nothing\n"), Err(Error::Empty)));
        assert!(matches!(parse("kind: Job\n---\n- 1\n"), Err(Error::NotAnObject(2))));
        assert!(matches!(parse("a: [1\nb: 2"), Err(Error::Yaml(_))));
        assert!(matches!(parse("a: 1\na: 2\n"), Err(Error::Yaml(_))));
        assert!(matches!(parse("{\"a\": }"), Err(Error::Json(_))));
    }

    #[test]
    fn a_command_becomes_a_job() {
        let job = AdHoc {
            completions: Some(3),
            indexed: true,
            env: vec![("A".to_owned(), "b=c".to_owned())],
            workdir: Some("/tmp".to_owned()),
            image: "host".to_owned(),
            command: vec!["/usr/bin/Convert.py".to_owned(), "-x".to_owned()],
            ..AdHoc::default()
        };
        let job = job.manifest();
        assert_eq!(job["metadata"], json!({"generateName": "convert-py-"}));
        assert_eq!(job["spec"]["parallelism"], 3);
        assert_eq!(job["spec"]["completionMode"], "Indexed");
        assert_eq!(job["spec"].get("backoffLimit"), None);
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["env"], json!([{"name": "A", "value": "b=c"}]));
        assert_eq!(container["workingDir"], "/tmp");
    }

    #[test]
    fn generated_names_are_names() {
        let name = |word: &str| generate_name(&[word.to_owned()]);
        assert_eq!(name("gzip -k data/*.csv && ls"), "gzip-");
        assert_eq!(name("7z"), "run-7z-");
        assert_eq!(name("_"), "run-");
        assert_eq!(generate_name(&[]), "run-");
    }
}
