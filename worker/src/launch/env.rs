//! A container's environment as a list of variables, worked out once per Job as far as it goes.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, EnvVar};
use stint_common::id::PodId;
use stint_common::pod_meta::PodMetadata;

use super::error::PrepareError;
use super::expand::{self, Text};
use super::field::{Field, Fields, PodField};
use super::resources;

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// A text, perhaps with references to variables before it.
    Text(Text),
    /// The pod itself.
    Pod(PodField),
}

/// The variables that `$(NAME)` can see, in order. Later ones of a name hide earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    sources: Vec<Source>,
    /// The last variable of each name.
    places: HashMap<Arc<str>, usize>,
}

impl Variables {
    /// The variables of `container`, which stands at `path` in the template.
    pub(super) fn of(
        container: &Container,
        fields: Fields<'_>,
        path: &str,
    ) -> Result<Self, PrepareError> {
        let mut variables = Self::default();
        variables.define("STINT_POD_UID", Source::Pod(PodField::Uid));
        variables.define("STINT_ATTEMPT", Source::Pod(PodField::Attempt));
        let job = Arc::from(fields.template.job_uid.to_string());
        variables.define("STINT_JOB_UID", Source::Text(Text::Fixed(job)));
        if container.env_from.iter().flatten().next().is_some() {
            return Err(PrepareError::Unsupported { field: format!("{path}.envFrom") });
        }
        for (index, variable) in container.env.iter().flatten().enumerate() {
            let path = format!("{path}.env[{index}]");
            let source = variables.source(variable, container, fields, &path)?;
            variables.define(&variable.name, source);
        }
        Ok(variables)
    }

    fn define(&mut self, name: &str, source: Source) {
        self.places.insert(Arc::from(name), self.sources.len());
        self.sources.push(source);
    }

    fn source(
        &self,
        variable: &EnvVar,
        container: &Container,
        fields: Fields<'_>,
        path: &str,
    ) -> Result<Source, PrepareError> {
        let Some(from) = &variable.value_from else {
            return Ok(Source::Text(self.parse(variable.value.as_deref().unwrap_or_default())));
        };
        if let Some(reference) = &from.resource_field_ref {
            let machine = &fields.host.allocatable;
            let text = resources::field(fields.spec, Some(container), reference, machine);
            let text = text.ok_or_else(|| PrepareError::FieldPath {
                field: format!("{path}.valueFrom.resourceFieldRef.resource"),
                path: reference.resource.clone(),
            })?;
            return Ok(Source::Text(Text::Fixed(Arc::from(text))));
        }
        let Some(reference) = &from.field_ref else {
            return Err(PrepareError::Unsupported { field: format!("{path}.valueFrom") });
        };
        match fields.follow(&reference.field_path) {
            Some(Field::Fixed(text)) => Ok(Source::Text(Text::Fixed(text))),
            Some(Field::Own(field)) => Ok(Source::Pod(field)),
            None => Err(PrepareError::FieldPath {
                field: format!("{path}.valueFrom.fieldRef.fieldPath"),
                path: reference.field_path.clone(),
            }),
        }
    }

    /// Parses a text that may refer to the variables defined so far.
    pub(super) fn parse(&self, text: &str) -> Text {
        expand::parse(text, |name| self.places.get(name).copied())
    }

    /// The same, and says of each reference where the variable stands that it leads to.
    pub(super) fn parse_noting(
        &self,
        text: &str,
        mut note: impl FnMut(&str, Option<usize>),
    ) -> Text {
        expand::parse(text, |name| {
            let place = self.places.get(name).copied();
            note(name, place);
            place
        })
    }

    /// Whether a variable of this name is defined.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Every variable's value for one pod, by place.
    pub(super) fn values(&self, pod: PodId, metadata: &PodMetadata) -> Vec<Arc<str>> {
        let mut values = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let value = match source {
                Source::Text(text) => text.render(&values),
                Source::Pod(field) => field.value(pod, metadata),
            };
            values.push(value);
        }
        values
    }

    /// Name and value of each variable, each name once.
    pub(super) fn named<'a>(
        &'a self,
        values: &'a [Arc<str>],
    ) -> impl Iterator<Item = (Arc<str>, Arc<str>)> + 'a {
        self.places
            .iter()
            .filter_map(|(name, place)| Some((name.clone(), values.get(*place)?.clone())))
    }
}
