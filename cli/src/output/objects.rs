//! Lists of objects in every form.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::events;
use super::job::{self, JobView};
use super::nodes::{self, NodeView};
use super::pod::{self, PodView};
use super::table::Table;
use crate::args::Format;
use crate::resource::Resource;

/// Which columns, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// The kind of the objects.
    pub resource: Resource,
    /// With the additional ones.
    pub wide: bool,
    /// With the namespace first.
    pub namespace: bool,
}

impl Columns {
    /// The headings.
    #[must_use]
    pub fn heading(self) -> Vec<&'static str> {
        let (columns, wide) = match self.resource {
            Resource::Jobs => (&job::COLUMNS, &job::WIDE[..]),
            Resource::Pods => (&pod::COLUMNS, &pod::WIDE[..]),
            Resource::Nodes => (&nodes::COLUMNS, &nodes::WIDE[..]),
            Resource::Events => (&events::COLUMNS, &events::WIDE[..]),
        };
        let namespace = self.namespace.then_some("NAMESPACE");
        let wide = wide.iter().filter(|_| self.wide);
        namespace.into_iter().chain(columns.iter().chain(wide).copied()).collect()
    }

    /// The cells of one object.
    #[must_use]
    pub fn row(self, object: &Value, now: Timestamp) -> Vec<String> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let (columns, wide) = match self.resource {
            Resource::Jobs => (JobView(object).row(now), JobView(object).wide()),
            Resource::Pods if self.wide => (PodView(object).row(now), PodView(object).wide()),
            Resource::Pods => (PodView(object).row(now), Vec::new()),
            Resource::Nodes => (NodeView(object).row(now), NodeView(object).wide()),
            Resource::Events => (events::row(object, now), events::wide(object)),
        };
        let namespace = self.namespace.then_some(namespace);
        let wide = wide.into_iter().filter(|_| self.wide);
        namespace.into_iter().chain(columns).chain(wide).collect()
    }
}

/// A list in a form. `table` is given for the forms that have columns, and kept for what is to
/// follow.
#[must_use]
pub fn list(
    format: Format,
    columns: Columns,
    items: &[Value],
    now: Timestamp,
    table: &mut Table,
) -> String {
    match format {
        Format::Table | Format::Wide => {
            let rows: Vec<Vec<String>> = items.iter().map(|item| columns.row(item, now)).collect();
            table.render(&columns.heading(), &rows)
        }
        Format::Json | Format::Yaml => {
            structured(format, &json!({"apiVersion": "v1", "kind": "List", "items": items}))
        }
        Format::Name => items.iter().map(|item| name_line(columns.resource, item)).collect(),
    }
}

/// One object in a form without columns.
#[must_use]
pub fn structured(format: Format, object: &Value) -> String {
    match format {
        Format::Yaml => yaml(object),
        Format::Json | Format::Table | Format::Wide | Format::Name => format!("{object:#}\n"),
    }
}

/// An object as YAML.
#[must_use]
pub fn yaml(object: &Value) -> String {
    // JSON values always have a YAML form; if the writer fails all the same, JSON is YAML too.
    let mut text = serde_saphyr::to_string(object).unwrap_or_else(|_| format!("{object:#}"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// `job.batch/pi`.
#[must_use]
pub fn name_line(resource: Resource, object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{name}\n", resource.qualified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> Vec<Value> {
        let job = |name: &str| {
            json!({
                "metadata": {"name": name, "namespace": "team",
                             "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"completions": 2},
            })
        };
        vec![job("pi"), job("e")]
    }

    fn render(format: Format, namespace: bool) -> String {
        let columns = Columns { resource: Resource::Jobs, wide: format == Format::Wide, namespace };
        let now = "2026-01-01T00:00:09Z".parse().unwrap();
        list(format, columns, &jobs(), now, &mut Table::default())
    }

    #[test]
    fn every_form_shows_the_list() {
        let table = "NAME   STATUS    COMPLETIONS   DURATION   AGE\n\
                     pi     Running   0/2                      9s\n\
                     e      Running   0/2                      9s\n";
        assert_eq!(render(Format::Table, false), table);
        assert!(render(Format::Wide, true).starts_with("NAMESPACE   NAME   STATUS"));
        assert!(render(Format::Wide, true).lines().next().unwrap().ends_with("IMAGES   SELECTOR"));
        assert_eq!(render(Format::Name, false), "job.batch/pi\njob.batch/e\n");
        assert!(render(Format::Yaml, false).starts_with("apiVersion: v1\nkind: List\nitems:\n"));
        let back: Value = serde_json::from_str(&render(Format::Json, false)).unwrap();
        assert_eq!(back["items"], Value::from(jobs()));
    }
}
