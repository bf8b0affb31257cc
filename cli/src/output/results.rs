//! What succeeded pods left as their termination messages, by index.

use serde::Serialize;
use serde_json::Value;

use super::pod::PodView;
use super::table::Table;

/// What a Job's succeeded pods left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// One for each container that left something, by index.
    pub left: Vec<Left>,
    /// How many succeeded pods left nothing.
    pub without: usize,
}

/// What one container left.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The pod's completion index, in Indexed Jobs.
    pub index: Option<u32>,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// `state.terminated.message`.
    pub result: String,
}

impl Results {
    /// Results of the succeeded ones of `pods`; of one container only if it is named.
    #[must_use]
    pub fn of(pods: &[Value], container: Option<&str>) -> Self {
        let mut results = Self::default();
        for pod in pods.iter().map(PodView).filter(|pod| pod.phase() == "Succeeded") {
            let before = results.left.len();
            results.left.extend(pod.containers().filter_map(|status| {
                let name = status["name"].as_str()?;
                let result = status["state"]["terminated"]["message"].as_str()?;
                container.is_none_or(|wanted| wanted == name).then(|| Left {
                    index: pod.index(),
                    pod: pod.name().to_owned(),
                    container: name.to_owned(),
                    result: result.to_owned(),
                })
            }));
            results.without += usize::from(results.left.len() == before);
        }
        results.left.sort_by(|one, other| (one.index, &one.pod).cmp(&(other.index, &other.pod)));
        results
    }
}

/// A JSON array.
#[must_use]
pub fn json(results: &Results) -> String {
    // Texts and numbers always have a JSON form.
    serde_json::to_string_pretty(&results.left).unwrap_or_default() + "\n"
}

/// One line for each; what has several lines is quoted.
#[must_use]
pub fn table(results: &Results) -> String {
    let rows = results.left.iter().map(|left| {
        let index = left.index.map_or("<none>".to_owned(), |index| index.to_string());
        let text = left.result.trim_end_matches('\n');
        let result =
            if text.contains(char::is_control) { format!("{text:?}") } else { text.to_owned() };
        vec![index, left.pod.clone(), left.container.clone(), result]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    Table::default().render(&["INDEX", "POD", "CONTAINER", "RESULT"], &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(index: u32, phase: &str, messages: &[(&str, &str)]) -> Value {
        let statuses = messages.iter().map(|(name, message)| {
            let mut status = json!({"name": name, "state": {"terminated": {"exitCode": 0}}});
            if !message.is_empty() {
                status["state"]["terminated"]["message"] = json!(message);
            }
            status
        });
        json!({
            "metadata": {
                "name": format!("pi-{index}"),
                "annotations": {"batch.kubernetes.io/job-completion-index": index.to_string()},
            },
            "status": {"phase": phase, "containerStatuses": statuses.collect::<Vec<_>>()},
        })
    }

    #[test]
    fn results_come_by_index_and_only_of_pods_that_succeeded() {
        let pods = [
            pod(10, "Succeeded", &[("main", "ten\n"), ("other", "")]),
            pod(2, "Succeeded", &[("main", "two\nlines")]),
            pod(3, "Failed", &[("main", "why it failed")]),
            pod(4, "Succeeded", &[("main", "")]),
        ];
        let results = Results::of(&pods, None);
        assert_eq!(results.without, 1);
        let lines = "INDEX   POD     CONTAINER   RESULT\n\
                     2       pi-2    main        \"two\\nlines\"\n\
                     10      pi-10   main        ten\n";
        assert_eq!(table(&results), lines);
        let back: Value = serde_json::from_str(&json(&results)).unwrap();
        let first = json!({
            "index": 2, "pod": "pi-2", "container": "main", "result": "two\nlines",
        });
        assert_eq!(back[0], first);
        assert_eq!(Results::of(&pods, Some("other")).left, []);
    }
}
